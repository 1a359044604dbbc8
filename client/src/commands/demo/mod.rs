//! `ajar demo`: the whole of it once, with a real relay and two people with two devices each, every
//! step a process of its own over real sockets, in a temporary folder.

mod feeling;
mod process;
mod relay;
mod search;
mod stage;

use std::time::Duration;

use serde_json::Value;

use crate::cli::Demo;
use crate::context::Context;
use crate::output::Output;
use crate::report::{Exit, Failure};
use process::Interrupt;
use relay::Relay;
use stage::{Folder, Person};

const ANA_WRITES: &str = "The sea was louder than what I wanted to say, and you heard it anyway.";
const BEN_WRITES: &str = "I kept the train ticket. It still smells of oranges.";
const ANA_ADDS: &str =
    "The sea was louder than what I wanted to say, and you heard it anyway. Thank you for waiting.";
const BEN_ADDS: &str =
    "I kept the train ticket. It still smells of oranges, and of the rain that day.";

pub(crate) fn run(context: &Context, args: &Demo) -> Result<(), Failure> {
    let out = context.out;
    let program = relay::find(out)?;
    // Ctrl-C ends the demo in order: its processes are stopped and its folder is removed.
    let interrupt = Interrupt::listen(context)?;
    let folder = Folder::create(args.keep)?;
    let told = play(out, &program, &folder, &interrupt);
    if args.keep {
        out.talk(format!("Kept, as you asked: {}", folder.path().display()));
    }
    told.map_err(|failure| {
        let message = format!("The demo stopped: {}", failure.message());
        let exit = if failure.exit() == Exit::Done {
            Exit::Bug
        } else {
            failure.exit()
        };
        Failure::new(exit, failure.code(), message).hint(
            failure
                .hint_text()
                .unwrap_or("Run `ajar demo --keep` to look at what is left, and please report it."),
        )
    })?;
    next(out)
}

/// The story. Every step checks what it claims.
fn play(
    out: Output,
    program: &std::path::Path,
    folder: &Folder,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let say = |text: &str| out.plain(text);
    say("Ajar in half a minute. Everything happens in a temporary folder on this machine.\n")?;

    let mut relay = Relay::init(program, &folder.path().join("relay"), interrupt)?;
    relay.start()?;
    let address = relay.invite()?;
    say("1. A relay runs. It stores and forwards, and cannot read.")?;

    let (ana, ben) = (
        Person::new(folder, "Ana", interrupt)?,
        Person::new(folder, "Ben", interrupt)?,
    );
    stage::both(ana.start_init(&address)?, ben.start_init(&address)?)?;
    say(
        "2. Ana and Ben each begin a journal: a passphrase, twelve words for the worst day, an empty room.",
    )?;

    let words = stage::meet(&ana, &ben)?;
    say(
        "3. Ana shows a code, Ben enters it. Both see the same six words, so nobody stands in between:",
    )?;
    say(&format!("      {}", words.join(" ")))?;

    let entry = ana.id(&["write", "--title", "By the sea", ANA_WRITES])?;
    let before = ben.sync_and_list()?;
    stage::expect(
        before.as_array().is_some_and(Vec::is_empty),
        "Ben saw something that was not opened",
    )?;
    say(
        "4. Ana writes. It is kept in Only me: Ben exchanges with the relay and sees nothing, not even that it exists.",
    )?;

    let ana_open = ana.id(&["open", &entry, "--stage", "room", "--yes"])?;
    let seen = ben.sync_and_list()?;
    stage::expect(
        text_of(&seen, &ana_open) == Some(ANA_WRITES),
        "what Ana opened did not reach Ben",
    )?;
    say("5. Ana opens it. A copy travels, sealed for two. Ben reads:")?;
    say(&format!("      “{ANA_WRITES}”"))?;

    let ticket = ben.id(&["write", BEN_WRITES])?;
    let ben_open = ben.id(&["open", &ticket, "--stage", "room", "--yes"])?;
    let seen = ana.sync_and_list()?;
    stage::expect(
        text_of(&seen, &ben_open) == Some(BEN_WRITES),
        "what Ben opened did not reach Ana",
    )?;
    say("6. Ben opens something too. Ana reads:")?;
    say(&format!("      “{BEN_WRITES}”"))?;

    feeling::play(&ana, &ben)?;
    say(
        "7. Ana is worried, and opens the weather of it: a point and a word, not the story. Ben says what he hears:",
    )?;
    say(&format!("      “{}”", feeling::HEARD))?;
    say("   That is it, says Ana, and he answers:")?;
    say(&format!("      “{}”", feeling::ANSWERED))?;
    say("   She tells him what helped. How it was for her stays hers.")?;

    let (ana_phone, ben_phone) = (
        Person::new(folder, "Ana's phone", interrupt)?,
        Person::new(folder, "Ben's phone", interrupt)?,
    );
    stage::link(&ana, &ana_phone)?;
    stage::link(&ben, &ben_phone)?;
    let (on_ana_phone, on_ben_phone) = stage::lists(&ana_phone, &ben_phone)?;
    stage::expect(
        text_of(&on_ana_phone, &ben_open) == Some(BEN_WRITES)
            && text_of(&on_ben_phone, &ana_open) == Some(ANA_WRITES),
        "a second device did not get what the first has",
    )?;
    say(
        "8. Both add their phones: a code on one device, four words on the other. The phones have everything.",
    )?;

    relay.stop()?;
    stage::both(
        ana.start(&["edit", &ana_open, ANA_ADDS])?,
        ben.start(&["edit", &ben_open, BEN_ADDS])?,
    )?;
    let exit = ana.exit_of(&["sync", "--timeout", "1"])?;
    stage::expect(
        exit == i32::from(Exit::Undelivered.number()),
        "without a relay, sync did not say “not yet delivered”",
    )?;
    say(
        "9. The relay goes away. Both change what they opened; everything is kept, nothing is lost, nothing is delivered yet.",
    )?;

    relay.start()?;
    for _ in 0..2 {
        // The first round delivers; in the second each has what the other delivered.
        stage::both(ana.start(&["sync"])?, ben.start(&["sync"])?)?;
    }
    stage::both(ana_phone.start(&["sync"])?, ben_phone.start(&["sync"])?)?;
    let (at_ana, at_ben) = stage::lists(&ana, &ben)?;
    let (ana_holds, ben_holds) = (shared(&at_ana), shared(&at_ben));
    let (on_ana_phone, on_ben_phone) = stage::lists(&ana_phone, &ben_phone)?;
    stage::expect(
        ana_holds == ben_holds && ana_holds.len() == 3,
        "the two journals are not the same",
    )?;
    stage::expect(
        shared(&on_ana_phone) == ana_holds && shared(&on_ben_phone) == ana_holds,
        "a second device does not hold the same",
    )?;
    stage::expect(
        text_of(&at_ben, &ana_open) == Some(ANA_ADDS),
        "Ana's change did not reach Ben",
    )?;
    stage::expect(
        text_of(&at_ana, &ben_open) == Some(BEN_ADDS),
        "Ben's change did not reach Ana",
    )?;
    say(
        "10. The relay comes back. An exchange each, and all four devices hold the same, word for word.",
    )?;

    relay.stop()?;
    let searched = search::folder(
        &folder.path().join("relay"),
        &[
            ANA_WRITES,
            BEN_WRITES,
            ANA_ADDS,
            BEN_ADDS,
            "By the sea",
            feeling::KEPT,
            feeling::HEARD,
            feeling::ANSWERED,
            feeling::HELPED,
        ],
    )?;
    stage::expect(
        searched.bytes > 0,
        "the relay stored nothing, so there was nothing to search",
    )?;
    stage::expect(
        searched.found.is_empty(),
        "the relay's files hold words of the journal",
    )?;
    say(&format!(
        "11. Every byte the relay stored ({} KiB in {} files) was searched for their words, as UTF-8, UTF-16, base64 and hex: not there.",
        searched.bytes.div_ceil(1024),
        searched.files
    ))
}

/// Text of an opening in the JSON of `list`.
fn text_of<'a>(list: &'a Value, id: &str) -> Option<&'a str> {
    let items = list.as_array()?;
    let item = items
        .iter()
        .find(|item| item.get("id").and_then(Value::as_str) == Some(id))?;
    item.get("text")?.as_str()
}

/// What both must hold alike: everything but whose words they are to the one who looks.
fn shared(list: &Value) -> Vec<[Option<String>; 5]> {
    let field = |item: &Value, name: &str| item.get(name).map(Value::to_string);
    let mut items: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| ["id", "kind", "date", "title", "text"].map(|name| field(item, name)))
        .collect();
    items.sort();
    items
}

fn next(out: Output) -> Result<(), Failure> {
    out.plain(
        "\nNow for real. On a machine both of you reach:\n\
         \x20   ajar-relay init --host YOUR-HOST\n\
         \x20   ajar-relay serve\n\
         \x20   ajar-relay invite            prints an address for the two of you\n\
         On your device, and on your partner's:\n\
         \x20   ajar init --name YOUR-NAME --relay 'ADDRESS'\n\
         Then one of you runs `ajar pair`, the other `ajar join CODE`. After that: `ajar write`.",
    )
}

/// How long a step of the demo may take before it counts as failed.
const STEP: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_journal_seen_from_two_sides_counts_as_the_same() {
        let ana = json!([{"id": "a", "author": "me", "text": "x"}, {"id": "b", "author": "partner", "text": "y"}]);
        let ben = json!([{"id": "b", "author": "me", "text": "y"}, {"id": "a", "author": "partner", "text": "x"}]);
        assert_eq!(shared(&ana), shared(&ben));
        let other = json!([{"id": "b", "author": "me", "text": "z"}, {"id": "a", "author": "partner", "text": "x"}]);
        assert_ne!(shared(&ana), shared(&other));
        assert_eq!(text_of(&ana, "b"), Some("y"));
        assert_eq!(text_of(&ana, "c"), None);
    }
}
