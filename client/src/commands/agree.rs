//! `ajar agree`: what both have signed. It holds as long as both have signed the same words.

use ajar_journal::book::{Saying, Side};
use ajar_journal::record;
use ajar_journal::records::Agreement;
use ajar_journal::schema::Kind;
use ajar_journal::text::displayable;
use ajar_sync::{DocId, Home, Space};
use serde_json::{Value, json};

use super::deliver::{self, deliver};
use super::say::{Said, of_kind, say};
use crate::cli::{Agree, AgreeCommand, ChangeAgreement, NewAgreement, One, Patience};
use crate::compose;
use crate::consents::{self, Proposal};
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::report::Failure;
use crate::{dates, ids, records, shelf};

pub(crate) fn run(context: &Context, args: &Agree) -> Result<(), Failure> {
    match &args.command {
        AgreeCommand::New(args) => new(context, args),
        AgreeCommand::Change(args) => change(context, args),
        AgreeCommand::Sign(one) => say(context, &said(one, true), |outcome| {
            let text = displayable(&outcome.located.record.text());
            match outcome.standing.is_both() {
                true => format!("You have signed: {text}\nIt holds now, for both of you."),
                false => format!(
                    "You have signed: {text}\nIt holds as soon as both of you have signed it."
                ),
            }
        }),
        AgreeCommand::Leave(one) => say(context, &said(one, false), |outcome| {
            match outcome.changed {
                true => "You have left it; it does not hold any more. Both of you can see that."
                    .to_owned(),
                false => "You had not signed it; nothing changed.".to_owned(),
            }
        }),
        AgreeCommand::List => list(context),
    }
}

fn said(one: &One, given: bool) -> Said<'_> {
    Said {
        one,
        given,
        to: |kind| *kind == Kind::Agreement,
        otherwise: "This is no agreement; `ajar agree list` shows them.",
    }
}

fn new(context: &Context, args: &NewAgreement) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let us = deliver::us(&home)?;
    let text = compose::text(context.out, &context.dir()?, &args.text, None)?;
    let agreement = Agreement {
        text: text.text.clone(),
        on: dates::today(),
    };
    match compose::not_empty(&text.text).and_then(|()| shelf::keep(&us, agreement)) {
        Ok(id) => {
            drop(text);
            finish(context, home, &us, id, &args.patience)
        }
        Err(failure) => Err(text.not_kept(failure)),
    }
}

/// New words in the place of the old ones; what was signed before does not count for them.
fn change(context: &Context, args: &ChangeAgreement) -> Result<(), Failure> {
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let found = records::find(&home, &args.id)?;
    let located = of_kind(
        &found,
        |kind| *kind == Kind::Agreement,
        "This is no agreement; `ajar agree list` shows them.",
    )?;
    if located.author != Author::Me || !found.info.writable {
        let author = names.name(located.author);
        return Err(Failure::fixable(
            "not-yours",
            format!("{author} wrote this agreement; only {author} can change its words."),
        )
        .hint("You can leave it (ajar agree leave) and write down another: ajar agree new"));
    }
    let before: Agreement = found.document().read(record::read)??;
    let text = compose::text(context.out, &context.dir()?, &args.text, Some(&before.text))?;
    let agreement = Agreement {
        text: text.text.clone(),
        ..before
    };
    let saved =
        compose::not_empty(&text.text).and_then(|()| shelf::save(&us, located.id, agreement));
    if let Err(failure) = saved {
        return Err(text.not_kept(failure));
    }
    drop(text);
    finish(context, home, &us, located.id, &args.patience)
}

fn finish(
    context: &Context,
    home: Home,
    us: &Space,
    id: DocId,
    patience: &Patience,
) -> Result<(), Failure> {
    let words = format!(
        "Signed by you. It holds as soon as {} has signed these words too.",
        Names::of(&home).partner()
    );
    let delivery = deliver(context, home, us, patience.timeout)?;
    context.out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(context.out, &words)
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let all = consents::proposals(&us, |kind| *kind == Kind::Agreement)?;
    home.close()?;
    let (mut holds, mut waiting, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for one in all {
        match (one.standing.is_both(), has_left(&one)) {
            (true, _) => holds.push(one),
            (false, true) => left.push(one),
            (false, false) => waiting.push(one),
        }
    }
    if out.json {
        let values = |all: &[Proposal]| -> Vec<Value> {
            all.iter().map(|one| to_json(one, &names)).collect()
        };
        return out.json(&json!({
            "in_force": values(&holds),
            "waiting": values(&waiting),
            "left": values(&left),
        }));
    }
    if holds.is_empty() && waiting.is_empty() && left.is_empty() {
        out.talk("No agreements yet: ajar agree new TEXT");
    }
    for one in &holds {
        out.plain(&line(one, "signed by both of you"))?;
    }
    for one in &waiting {
        let words = match one.standing.mine {
            Saying::OtherWords => "changed since you signed it; see ajar history",
            _ => one.waits_words(),
        };
        out.plain(&line(one, words))?;
    }
    for one in &left {
        let who = leavers(one);
        let who: Vec<&str> = who.iter().map(|author| names.name(*author)).collect();
        let words = format!("does not hold any more: left by {}", who.join(" and "));
        out.plain(&line(one, &words))?;
    }
    Ok(())
}

fn has_left(one: &Proposal) -> bool {
    !leavers(one).is_empty()
}

/// Who has left it. Leaving an agreement is no secret: both see every change of it.
fn leavers(one: &Proposal) -> Vec<Author> {
    [(Side::Mine, Author::Me), (Side::Theirs, Author::Partner)]
        .into_iter()
        .filter(|(side, _)| one.standing.of(*side) == Saying::No)
        .map(|(_, author)| author)
        .collect()
}

fn line(one: &Proposal, words: &str) -> String {
    let text = displayable(&one.located.record.text()).replace('\n', "\n          ");
    format!(
        "{}  {text}\n          ({words})",
        ids::short(one.located.id)
    )
}

fn to_json(one: &Proposal, names: &Names) -> Value {
    let left: Vec<&str> = leavers(one).into_iter().map(Author::word).collect();
    json!({
        "id": ids::text(one.located.id),
        "text": one.located.record.text(),
        "author": one.located.author.word(),
        "author_name": names.name(one.located.author),
        "date": one.located.record.date(),
        "waits_for": one.waits_word(),
        "changed_since_signed": one.standing.mine == Saying::OtherWords,
        "left_by": left,
    })
}
