//! Ana and Ben, who have met, and what tests about what they share need again and again.

use serde_json::Value;

use crate::client::{Person, pair};
use crate::relay::Relay;

/// Two people who have met at a relay.
#[must_use]
pub fn met(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let ana = Person::with_home("Ana", &address);
    let ben = Person::with_home("Ben", &address);
    pair(&ana, &ben);
    (ana, ben)
}

impl Person {
    /// Runs a command that keeps something; its id.
    #[must_use]
    pub fn kept(&self, arguments: &[&str]) -> String {
        let said = self.ajar(arguments).json();
        said["id"].as_str().unwrap().to_owned()
    }

    /// Runs a command that works; what it says.
    #[must_use]
    pub fn says(&self, arguments: &[&str]) -> Value {
        self.ajar(arguments).json()
    }

    /// Runs a command that is refused; the code of the error.
    #[must_use]
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.ajar(arguments).exits(1).error_code()
    }

    /// Keeps an entry and opens it; the id of the copy.
    #[must_use]
    pub fn opened(&self, title: &str, text: &str) -> String {
        let entry = self.write(title, text);
        self.kept(&["open", &entry, "--stage", "room", "--yes"])
    }
}

/// The ids in a list.
#[must_use]
pub fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Today, as the program sees it, so many years later (or earlier). A day that is not in every year
/// is moved by years that have it.
#[must_use]
pub fn in_years(person: &Person, years: i32) -> String {
    let said = person.says(&["on-this-day"]);
    let today = said["day"].as_str().unwrap();
    let step = if today.ends_with("-02-29") { 4 } else { 1 };
    let year: i32 = today[..4].parse().unwrap();
    format!("{:04}{}", year + years * step, &today[4..])
}
