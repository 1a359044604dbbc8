//! `ajar status --words`: four words that two devices compare in person, which no relay can make
//! equal when the journals are not. No network.

use ajar_sync::{Sharing, SpaceKind, SpaceStatus};
use serde_json::json;

use crate::cli::SpaceName;
use crate::context::{Context, Need};
use crate::names::{Names, space_name, space_word};
use crate::report::Failure;

pub(crate) fn run(context: &Context, which: SpaceName) -> Result<(), Failure> {
    let out = context.out;
    let (kind, need) = match which {
        SpaceName::Me => (SpaceKind::Private, Need::Private),
        SpaceName::Us => (SpaceKind::Shared, Need::Home),
    };
    let home = context.open_home(need)?;
    let names = Names::of(&home);
    let space = home.space(kind)?;
    let (words, status) = (space.sync_words()?, space.status()?.engine);
    let apart = apart(&status, home.sharing().ok());
    home.close()?;
    let waiting = status.kept.saturating_sub(status.delivered);
    let value = json!({
        "space": space_word(kind),
        "words": words,
        "waiting": waiting,
        "missing": status.missing,
        "comparable": waiting == 0 && status.missing == 0 && apart.is_none(),
    });
    out.data(&value, || {
        let mut lines = vec![format!("{}: {}", space_name(kind), words.join(" "))];
        lines.extend(apart.map(str::to_owned));
        lines.extend(not_yet(waiting, status.missing));
        lines.push(String::new());
        lines.extend(explained(kind).map(str::to_owned));
        lines.join("\n").replace("PARTNER", names.partner())
    })
}

/// Why this device cannot have the words of the others, whatever is delivered.
fn apart(status: &SpaceStatus, sharing: Option<Sharing>) -> Option<&'static str> {
    let shared = status.kind == SpaceKind::Shared;
    let removed = status.devices.iter().any(|d| d.this && !d.active);
    match sharing.filter(|_| shared) {
        _ if status.stale => Some(
            "This is an older copy of the journal: its words differ from those of the device that went on.",
        ),
        _ if removed => Some(
            "This device was removed from the journal: its words stay as they were, those of the others go on.",
        ),
        Some(Sharing::Paused | Sharing::Left) => Some(
            "Nothing travels here at the moment, so the words may differ from those of the others.",
        ),
        _ => None,
    }
}

/// What is known here to be on its way still.
fn not_yet(waiting: u64, missing: u64) -> Option<String> {
    let what = match (waiting, missing) {
        (0, 0) => return None,
        (1, 0) => "1 change is not delivered from here yet".to_owned(),
        (waiting, 0) => format!("{waiting} changes are not delivered from here yet"),
        (_, missing) => format!("{missing} sent by others are not here yet"),
    };
    Some(format!(
        "Not to be compared yet: {what}. First `ajar sync`."
    ))
}

/// What to compare, when a difference is harmless, and what to do when it stays.
fn explained(kind: SpaceKind) -> impl Iterator<Item = &'static str> {
    let whom = match kind {
        SpaceKind::Shared => {
            "Run this on PARTNER's device too, or on another one of yours, and read the words to each other: side by side, or on the phone."
        }
        SpaceKind::Private => {
            "Run this on another device of yours. Nobody else has these words, and they change when you write: compare them alone."
        }
    };
    let moved = match kind {
        SpaceKind::Shared => {
            "Different all the same: the relay shows you different journals. Nothing here is lost. Go to another relay together (`ajar relay move ADDRESS`, on every device): what each of you has meets there, and `ajar status` says what does not fit."
        }
        SpaceKind::Private => {
            "Different all the same: the relay shows your devices different journals. Nothing here is lost. Go to another relay (`ajar relay move ADDRESS --me`): what each device has meets there, and `ajar status` says what does not fit."
        }
    };
    [
        whom,
        "The same words: both devices have the same journal, and nothing was held back from either.",
        "Other words: perhaps something is on its way still. Run `ajar sync` on both, then once more on both, write nothing in between, and look again.",
        moved,
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_said_before_anybody_compares() {
        assert_eq!(not_yet(0, 0), None);
        let said = |waiting, missing| not_yet(waiting, missing).unwrap();
        assert_eq!(
            said(1, 0),
            "Not to be compared yet: 1 change is not delivered from here yet. First `ajar sync`."
        );
        assert!(said(3, 0).contains("3 changes are not delivered from here"));
        assert!(said(3, 2).contains("2 sent by others are not here"));
    }
}
