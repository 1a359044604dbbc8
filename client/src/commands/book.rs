//! `ajar book`: what both have put into it, and what waits.

use std::collections::BTreeMap;

use ajar_journal::book::{Waits, is_for_the_book};
use ajar_journal::records::{Milestone, OurWord};
use ajar_journal::schema::Kind;
use ajar_journal::text::displayable_line;
use ajar_journal::{book, date};
use serde_json::{Value, json};

use super::deliver::{self, deliver};
use super::say::{Outcome, Said, say};
use super::{mute, page};
use crate::cli::{Book, BookCommand, NewMilestone};
use crate::consents::{self, Proposal};
use crate::context::{Context, Need};
use crate::lines;
use crate::names::{Author, Names};
use crate::records::{Located, Record};
use crate::report::Failure;
use crate::{dates, ids, shelf, terminal};

pub(crate) fn run(context: &Context, args: &Book) -> Result<(), Failure> {
    match &args.command {
        None => chapters(context),
        Some(BookCommand::Put(one)) => {
            let said = Said {
                one,
                given: true,
                to: is_for_the_book,
                otherwise: "This cannot be put into the book. Openings, pages, letters, days to remember and pages of a diary can.",
            };
            say(context, &said, put)
        }
        Some(BookCommand::TakeOut(one)) => {
            let said = Said {
                one,
                given: false,
                to: is_for_the_book,
                otherwise: "This cannot stand in the book, so there is nothing to take out.",
            };
            say(context, &said, taken_out)
        }
        Some(BookCommand::Waiting) => waiting(context),
        Some(BookCommand::Page(args)) => page::run(context, &args.command),
        Some(BookCommand::Milestone(args)) => milestone(context, args),
    }
}

fn put(outcome: &Outcome<'_>) -> String {
    match outcome.standing.is_both() {
        true => "It is in your book.".to_owned(),
        false => format!(
            "It is in your book as soon as {} has put it there too.",
            outcome.names.partner()
        ),
    }
}

fn taken_out(outcome: &Outcome<'_>) -> String {
    match outcome.changed {
        true => "It is not in your book. Where it was before, it still is.".to_owned(),
        false => "You had not put it in; nothing changed.".to_owned(),
    }
}

/// Everything both have put in, by year.
fn chapters(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let all = consents::proposals(&us, is_for_the_book)?;
    home.close()?;
    let mut years: BTreeMap<String, Vec<Located>> = BTreeMap::new();
    for proposal in all {
        if proposal.standing.is_both() {
            let located = proposal.located;
            let year = located.record.date().get(..4).unwrap_or_default();
            years.entry(year.to_owned()).or_default().push(located);
        }
    }
    if out.json {
        let chapters: Vec<Value> = years
            .iter()
            .map(|(year, items)| {
                let items: Vec<Value> = items.iter().map(|one| one.to_json(&names)).collect();
                json!({"year": year, "items": items})
            })
            .collect();
        return out.json(&json!({"chapters": chapters}));
    }
    if years.is_empty() {
        out.talk("The book is still empty. It holds what both of you put in: `ajar book put ID`.");
    }
    for (place, (year, items)) in years.iter().enumerate() {
        let gap = if place > 0 { "\n" } else { "" };
        out.plain(&format!("{gap}{year}"))?;
        for located in items {
            out.plain(&line(located, &names, ""))?;
        }
    }
    Ok(())
}

/// One thing in a line: id, day, what it is and whose.
pub(super) fn line(located: &Located, names: &Names, mark: &str) -> String {
    let item = located.record.item(located.id);
    let who = match located.author {
        Author::Both => "both of you",
        author => names.name(author),
    };
    let mark = match mark {
        "" => String::new(),
        mark => format!("  ({mark})"),
    };
    let heading = match located.record.title() {
        Some(title) => displayable_line(title),
        None => lines::heading(&item),
    };
    format!(
        "{}  {}  {:<12}  {:<10}  {heading}{mark}",
        ids::short(located.id),
        date::day(&item.date),
        who,
        kind_words(&item.kind),
    )
}

fn kind_words(kind: &Kind) -> String {
    match kind {
        Kind::OurWord => "word".to_owned(),
        Kind::RitualDone => "diary page".to_owned(),
        Kind::MapAnswer => "answer".to_owned(),
        other => other.to_string(),
    }
}

/// What waits for this person, and what waits for both. What rests for this person does not ask.
fn waiting(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let rules = mute::rules(&home)?;
    let wanted = |kind: &Kind| book::is_proposal(kind) || is_for_the_book(kind);
    let mut all = consents::proposals(&us, wanted)?;
    home.close()?;
    all.retain(|one| {
        one.waits() == Some(Waits::ForBoth)
            || (one.waits() == Some(Waits::ForMe) && !mute::rests(&one.located, &[], &rules))
    });
    all.retain(|one| !is_ended(&one.located));
    if out.json {
        let values: Vec<Value> = all
            .iter()
            .map(|one| {
                let mut value = one.located.to_json(&names);
                if let Value::Object(fields) = &mut value {
                    fields.insert("waits_for".to_owned(), json!(one.waits_word()));
                }
                value
            })
            .collect();
        return out.json(&values);
    }
    if all.is_empty() {
        out.talk("Nothing waits.");
    }
    for one in &all {
        out.plain(&line(&one.located, &names, one.waits_words()))?;
    }
    if all.iter().any(|one| one.waits() == Some(Waits::ForMe)) {
        out.talk(
            "What waits for you: ajar book put ID, ajar word agree ID, ajar agree sign ID, ajar ritual agree ID. Or leave it: nobody is told.",
        );
    }
    Ok(())
}

/// Whether it is a ritual that its author has ended.
fn is_ended(located: &Located) -> bool {
    match &located.record {
        Record::Small(Kind::Ritual, facts) => {
            facts.fields.get("ended").and_then(Value::as_bool) == Some(true)
        }
        _ => false,
    }
}

fn milestone(context: &Context, args: &NewMilestone) -> Result<(), Failure> {
    let out = context.out;
    let on = dates::typed(&args.date)?;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let us = deliver::us(&home)?;
    let name = terminal::given_or_asked(Some(&args.name), "What is it called?")?;
    let milestone = Milestone {
        name: name.to_string(),
        yearly: args.yearly,
        on: date::day(&on).to_owned(),
    };
    let id = shelf::keep(&us, milestone)?;
    let words = format!(
        "It is in your book as soon as {} has put it there too.",
        names.partner()
    );
    let delivery = deliver(context, home, &us, args.patience.timeout)?;
    out.data(
        &json!({"id": ids::text(id), "delivered": delivery.is_done()}),
        || ids::short(id),
    )?;
    delivery.told(out, &words)
}

/// A word of theirs, with its meaning, in a line.
pub(super) fn word_line(word: &OurWord) -> String {
    let point = word
        .point
        .map(|point| format!(" ({})", point.in_words()))
        .unwrap_or_default();
    format!(
        "{}: {}{point}",
        displayable_line(&word.word),
        displayable_line(&word.meaning)
    )
}

/// The two parts that lists of what needs both have: what both want, and what waits.
pub(super) fn parted(all: Vec<Proposal>) -> (Vec<Proposal>, Vec<Proposal>) {
    let (both, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.standing.is_both());
    let waiting = rest.into_iter().filter(|one| one.waits().is_some());
    (both, waiting.collect())
}
