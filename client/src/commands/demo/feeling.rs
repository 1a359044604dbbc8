//! A feeling is opened a little, reflected back, and answered.

use serde_json::Value;

use super::stage::{self, Person};
use crate::report::Failure;

/// What Ana does not open.
pub(super) const KEPT: &str = "They will see that I cannot do it.";
/// What Ben hears.
pub(super) const HEARD: &str = "You have been carrying something around all week.";
/// What Ben answers.
pub(super) const ANSWERED: &str = "It makes sense that you slept badly, given all that.";
/// What Ana says helped.
pub(super) const HELPED: &str = "That you said it back before anything else.";

/// Ana opens the weather of a feeling; Ben says what he hears, then replies; she says whether that
/// was it, and what helped.
pub(super) fn play(ana: &Person<'_>, ben: &Person<'_>) -> Result<(), Failure> {
    let feeling = ["write", "--point", "-0.5,0.6", "--word", "worried"];
    let entry = ana.id(&[&feeling[..], &["--body", "chest:-1:tight", "--story", KEPT]].concat())?;
    let weather = ["open", &entry, "--stage", "weather", "--need", "hear"];
    let door = ana.id(&[&weather[..], &["--yes"]].concat())?;

    ben.said(&["sync"])?;
    let doors = ben.said(&["doors"])?;
    let stands = |open: &Value| open.get("id").and_then(Value::as_str) == Some(&door);
    stage::expect(
        doors
            .as_array()
            .is_some_and(|doors| doors.iter().any(stands)),
        "no door stands open for Ben",
    )?;
    let seen = ben.said(&["show", &door])?.to_string();
    stage::expect(
        seen.contains("worried") && !seen.contains(KEPT) && !seen.contains("tight"),
        "Ben got more of the feeling than its weather, or less",
    )?;
    let reflection = ben.id(&["reflect", &door, "--word", "alone", HEARD])?;
    let reply = ben.id(&["reply", &door, "--kind", "validate", ANSWERED])?;

    ana.said(&["sync"])?;
    ana.said(&["check", &reflection, "yes"])?;
    ana.said(&["thanks", &reply, HELPED])?;
    ana.said(&["felt", &reply, "--understood", "8"])?;

    ben.said(&["sync"])?;
    let shown = ben.said(&["show", &door])?;
    let thread = shown.get("thread").and_then(Value::as_array);
    stage::expect(
        thread.is_some_and(|thread| thread.len() == 4),
        "what they said about it is not whole",
    )?;
    stage::expect(
        shown.to_string().contains(HELPED) && !shown.to_string().contains("understood"),
        "Ben did not hear what helped, or heard how it was for her",
    )?;
    Ok(())
}
