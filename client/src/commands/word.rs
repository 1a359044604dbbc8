//! `ajar word`: what words mean between the two.

use ajar_journal::records::OurWord;
use ajar_journal::schema::Kind;
use ajar_journal::{Unreadable, record};
use ajar_sync::Space;
use serde_json::{Value, json};

use super::book::{parted, word_line};
use super::deliver::{self, deliver};
use super::say::{Said, say};
use crate::cli::{AddWord, One, Word, WordCommand};
use crate::consents::{self, Proposal};
use crate::context::{Context, Need};
use crate::names::Names;
use crate::report::Failure;
use crate::{dates, ids, shelf, terminal};

pub(crate) fn run(context: &Context, args: &Word) -> Result<(), Failure> {
    match &args.command {
        WordCommand::Add(args) => add(context, args),
        WordCommand::Agree(one) => say(context, &said(one, true), |outcome| {
            match outcome.standing.is_both() {
                true => "It is a word of yours now.".to_owned(),
                false => "Agreed. It is a word of yours as soon as both of you want it.".to_owned(),
            }
        }),
        WordCommand::Withdraw(one) => say(context, &said(one, false), |outcome| {
            match outcome.changed {
                true => "It is no word of the two of you any more.".to_owned(),
                false => "You had not agreed to it; nothing changed.".to_owned(),
            }
        }),
        WordCommand::List => list(context),
    }
}

fn said(one: &One, given: bool) -> Said<'_> {
    Said {
        one,
        given,
        to: |kind| *kind == Kind::OurWord,
        otherwise: "This is no word of yours; `ajar word list` shows them.",
    }
}

fn add(context: &Context, args: &AddWord) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let word = OurWord {
        word: terminal::given_or_asked(Some(&args.word), "Word:")?.to_string(),
        meaning: terminal::given_or_asked(Some(&args.meaning), "What does it mean?")?.to_string(),
        point: args.point,
        on: dates::today(),
    };
    let id = shelf::keep(&us, word)?;
    let words = format!(
        "Kept. It is a word of yours as soon as {} agrees to it.",
        names.partner()
    );
    let delivery = deliver(context, home, &us, args.patience.timeout)?;
    out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(out, &words)
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let (ours, waiting) = parted(consents::proposals(&us, |kind| *kind == Kind::OurWord)?);
    let ours = with_words(&us, ours)?;
    let waiting = with_words(&us, waiting)?;
    home.close()?;
    if out.json {
        let values = |all: &[(Proposal, OurWord)]| -> Vec<Value> {
            all.iter().map(|one| to_json(one, &names)).collect()
        };
        return out.json(&json!({"ours": values(&ours), "waiting": values(&waiting)}));
    }
    if ours.is_empty() && waiting.is_empty() {
        out.talk("No words yet: ajar word add WORD MEANING");
    }
    for (one, word) in &ours {
        out.plain(&format!(
            "{}  {}",
            ids::short(one.located.id),
            word_line(word)
        ))?;
    }
    for (one, word) in &waiting {
        let (short, waits) = (ids::short(one.located.id), one.waits_words());
        out.plain(&format!("{short}  {}  ({waits})", word_line(word)))?;
    }
    Ok(())
}

fn with_words(us: &Space, all: Vec<Proposal>) -> Result<Vec<(Proposal, OurWord)>, Failure> {
    all.into_iter()
        .map(|one| {
            let document = us.document(one.located.id);
            let word: Result<OurWord, Unreadable> = document.read(record::read)?;
            Ok((one, word?))
        })
        .collect()
}

fn to_json((one, word): &(Proposal, OurWord), names: &Names) -> Value {
    json!({
        "id": ids::text(one.located.id),
        "word": word.word,
        "meaning": word.meaning,
        "point": word.point.map(|point| point.to_string()),
        "author": one.located.author.word(),
        "author_name": names.name(one.located.author),
        "waits_for": one.waits_word(),
    })
}
