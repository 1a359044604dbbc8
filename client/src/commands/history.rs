//! `ajar history`: what something said before, one version per save, oldest first.

use ajar_journal::Unreadable;
use ajar_journal::history::{self, Version};
use ajar_journal::text::{displayable, displayable_line};
use serde_json::{Value, json};

use crate::cli::History;
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{dates, records};

pub(crate) fn run(context: &Context, args: &History) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let found = records::find(&home, &args.id)?;
    // Only what is shown has a history: a profile, for one, has none.
    found.located()?;
    let versions = found
        .document()
        .read(|doc| history::versions(doc).map(Iterator::collect::<Vec<_>>))??;
    let mut authors = Vec::with_capacity(versions.len());
    for version in &versions {
        let party = match version {
            Ok(version) => found.space.author_of_actor(found.info.id, &version.actor)?,
            Err(_) => None,
        };
        authors.push(party.map(|(_, party)| Author::of(&found.space, Some(party))));
    }
    home.close()?;
    if out.json {
        let values: Vec<Value> = versions
            .iter()
            .zip(&authors)
            .enumerate()
            .map(|(place, (version, author))| to_json(place + 1, version, *author, &names))
            .collect();
        return out.json(&values);
    }
    for (place, (version, author)) in versions.iter().zip(&authors).enumerate() {
        out.plain(&words(place + 1, version, *author, &names))?;
    }
    Ok(())
}

fn to_json(
    number: usize,
    version: &Result<Version, Unreadable>,
    author: Option<Author>,
    names: &Names,
) -> Value {
    match version {
        Ok(version) => json!({
            "version": number,
            "at": version.saved_at_ms.and_then(dates::utc),
            "author": author.map(Author::word),
            "author_name": author.map(|author| names.name(author)),
            "title": version.title,
            "text": version.text,
        }),
        Err(error) => json!({"version": number, "unreadable": error.to_string()}),
    }
}

fn words(
    number: usize,
    version: &Result<Version, Unreadable>,
    author: Option<Author>,
    names: &Names,
) -> String {
    let version = match version {
        Ok(version) => version,
        Err(error) => return format!("— {number} — cannot be read: {error}\n"),
    };
    let mut head = format!("— {number} —");
    if let Some(at_ms) = version.saved_at_ms {
        head.push_str(&format!(" {}", dates::local(at_ms)));
    }
    if let Some(author) = author {
        head.push_str(&format!(" · {}", names.name(author)));
    }
    if let Some(title) = &version.title {
        head.push_str(&format!(" · {}", displayable_line(title)));
    }
    format!("{head}\n{}\n", displayable(&version.text))
}
