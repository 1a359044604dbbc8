//! `ajar mute`: what is to rest. The rules are this person's own, in Only me: nobody else learns of
//! them, and nothing that both see changes by them.

use ajar_journal::date;
use ajar_journal::memory::{self, Old};
use ajar_journal::records::MemoryRule;
use ajar_journal::text::displayable_line;
use ajar_sync::{Home, SpaceKind};
use serde_json::{Value, json};

use crate::cli::{Mute, MuteCommand};
use crate::context::{Context, Need};
use crate::records::{Located, Record};
use crate::report::Failure;
use crate::shelf::{self, Kept};
use crate::{dates, ids, records, terminal};

pub(crate) fn run(context: &Context, args: &Mute) -> Result<(), Failure> {
    match &args.command {
        None => mute(context, args),
        Some(MuteCommand::List) => list(context),
        Some(MuteCommand::Lift(args)) => lift(context, &args.id),
    }
}

/// The rules that hold; none while Only me is locked.
pub(super) fn rules(home: &Home) -> Result<Vec<MemoryRule>, Failure> {
    if !home.is_private_unlocked() {
        return Ok(Vec::new());
    }
    let me = home.space(SpaceKind::Private)?;
    let all = shelf::all::<MemoryRule>(&me)?.into_iter();
    Ok(all.map(|kept| kept.record).collect())
}

/// Whether a record rests; `also` are ids of what is the same thing elsewhere.
pub(super) fn rests(located: &Located, also: &[String], rules: &[MemoryRule]) -> bool {
    let mut ids = vec![ids::text(located.id)];
    ids.extend_from_slice(also);
    let tags = match &located.record {
        Record::Entry(entry) => entry.tags.as_slice(),
        _ => &[],
    };
    let old = Old {
        ids: &ids,
        day: located.record.date(),
        tags,
    };
    memory::rests(&old, rules)
}

fn mute(context: &Context, args: &Mute) -> Result<(), Failure> {
    let out = context.out;
    let days = args.days.as_deref().map(span).transpose()?;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let tag = terminal::given_or_asked_if(args.tag.as_deref(), "Tag:")?;
    let record = match &args.record {
        Some(typed) => Some(ids::text(records::find(&home, typed)?.info.id)),
        None => None,
    };
    let (from, until) = days.unzip();
    let rule = MemoryRule {
        from,
        until,
        tag,
        record,
        lifted: false,
        on: dates::today(),
    };
    let id = shelf::keep(&me, rule)?;
    home.close()?;
    out.data(&json!({"id": ids::text(id)}), || ids::short(id))?;
    out.talk("It rests. Nobody is told, and lists and searches still find it.");
    Ok(())
}

/// `2024-03-01..2024-04-15`, or one day.
fn span(text: &str) -> Result<(String, String), Failure> {
    let (from, until) = text.split_once("..").unwrap_or((text, text));
    let day = |text: &str| dates::typed(text).map(|day| date::day(&day).to_owned());
    let (from, until) = (day(from)?, day(until)?);
    if from <= until {
        return Ok((from, until));
    }
    Err(
        Failure::fixable("bad-date", "The first day is after the last one.")
            .hint("Write the earlier day first: --days 2024-03-01..2024-04-15"),
    )
}

fn list(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let mut all = shelf::all::<MemoryRule>(&me)?;
    home.close()?;
    all.retain(|kept| !kept.record.lifted);
    if out.json {
        let values: Vec<Value> = all.iter().map(to_json).collect();
        return out.json(&values);
    }
    if all.is_empty() {
        out.talk("Nothing rests.");
    }
    for kept in &all {
        out.plain(&words(kept))?;
    }
    Ok(())
}

fn to_json(kept: &Kept<MemoryRule>) -> Value {
    let rule = &kept.record;
    json!({
        "id": kept.id_text(),
        "from": rule.from,
        "until": rule.until,
        "tag": rule.tag,
        "record": rule.record,
    })
}

fn words(kept: &Kept<MemoryRule>) -> String {
    let rule = &kept.record;
    let mut parts = Vec::new();
    match (&rule.from, &rule.until) {
        (Some(from), Some(until)) if from == until => parts.push(from.clone()),
        (Some(from), Some(until)) => parts.push(format!("{from} to {until}")),
        (Some(from), None) => parts.push(format!("from {from} on")),
        (None, Some(until)) => parts.push(format!("up to {until}")),
        (None, None) => {}
    }
    parts.extend(
        rule.tag
            .as_deref()
            .map(|tag| format!("tag {}", displayable_line(tag))),
    );
    let record = rule.record.clone();
    parts.extend(record.map(|id| format!("record {}", ids::beginning(id))));
    format!("{}  {}", ids::short(kept.id), parts.join(", "))
}

fn lift(context: &Context, typed: &str) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let kept = shelf::find(shelf::all::<MemoryRule>(&me)?, typed)
        .map_err(|failure| failure.hint("`ajar mute list` shows what rests."))?;
    let rule = MemoryRule {
        lifted: true,
        ..kept.record
    };
    let changed = shelf::save(&me, kept.id, rule)?;
    home.close()?;
    let value = json!({"id": ids::text(kept.id), "changed": changed});
    out.data(&value, || ids::short(kept.id))?;
    out.talk("It may come back again.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_two_days_or_one() {
        let span_of = |text| span(text).map_err(|failure| failure.code());
        let days = |from: &str, until: &str| Ok((from.to_owned(), until.to_owned()));
        assert_eq!(
            span_of("2024-03-01..2024-04-15"),
            days("2024-03-01", "2024-04-15")
        );
        assert_eq!(span_of("2024-03-01"), days("2024-03-01", "2024-03-01"));
        for wrong in ["2024-04-15..2024-03-01", "..", "2024-03-01..", "spring"] {
            assert_eq!(span_of(wrong), Err("bad-date"), "{wrong}");
        }
    }
}
