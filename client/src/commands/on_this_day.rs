//! `ajar on-this-day`: what was kept and opened on this day in earlier years. Only for whoever
//! turned it on, from what they may see anyway, and without what rests.

use std::collections::BTreeMap;

use ajar_journal::Point;
use ajar_journal::memory::is_anniversary;
use ajar_journal::query::Filter;
use ajar_journal::record;
use ajar_journal::records::{Choices, Letter};
use ajar_journal::schema::Kind;
use ajar_sync::{Home, Space, SpaceKind};
use serde_json::{Value, json};

use super::{book, mute};
use crate::cli::{OnThisDay, Switch};
use crate::consents;
use crate::context::{Context, Need};
use crate::lines::{self, Wanted};
use crate::names::Names;
use crate::records::{Located, Record};
use crate::report::Failure;
use crate::{dates, shelf};

/// Name of the document in Only me that holds what somebody chose for themselves.
const CHOICES: &str = "choices";

pub(crate) fn run(context: &Context, args: &OnThisDay) -> Result<(), Failure> {
    match args.switch {
        Some(switch) => choose(context, switch == Switch::On, args.heavier),
        None => show(context, args.heavier),
    }
}

/// What this person has chosen so far.
fn chosen(me: &Space) -> Result<Choices, Failure> {
    let all = shelf::all::<Choices>(me)?.into_iter();
    Ok(all.map(|kept| kept.record).next_back().unwrap_or(Choices {
        on_this_day: false,
        heavy_days: false,
        ours: false,
        deep_in_week_of: None,
        on: dates::today(),
    }))
}

fn choose(context: &Context, on: bool, heavier: bool) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let choices = Choices {
        on_this_day: on,
        heavy_days: on && heavier,
        on: dates::today(),
        ..chosen(&me)?
    };
    shelf::set(&me, CHOICES, choices)?;
    home.close()?;
    let words = match (on, heavier) {
        (true, false) => "Old days may come back on their day.",
        (true, true) => "Old days may come back on their day, heavier ones too.",
        (false, _) => "Old days stay where they are.",
    };
    out.data(&json!({"on": on, "heavier": on && heavier}), || {
        words.to_owned()
    })
}

fn show(context: &Context, heavier: bool) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Private)?;
    let names = Names::of(&home);
    let me = home.space(SpaceKind::Private)?;
    let choices = chosen(&me)?;
    let today = dates::today();
    if !choices.on_this_day {
        home.close()?;
        if out.json {
            return out.json(&json!({"on": false, "day": today, "years": []}));
        }
        out.talk(
            "Old days stay where they are. To let them come back on their day: ajar on-this-day on",
        );
        return Ok(());
    }
    let found = recalled(&home, &today, heavier || choices.heavy_days)?;
    home.close()?;
    let mut years: BTreeMap<String, Vec<Located>> = BTreeMap::new();
    for located in found {
        let year = located.record.date().get(..4).unwrap_or_default();
        years.entry(year.to_owned()).or_default().push(located);
    }
    if out.json {
        let years: Vec<Value> = years
            .iter()
            .rev()
            .map(|(year, items)| {
                let items: Vec<Value> = items.iter().map(|one| one.to_json(&names)).collect();
                json!({"year": year, "items": items})
            })
            .collect();
        return out.json(&json!({"on": true, "day": today, "years": years}));
    }
    if years.is_empty() {
        out.talk("Nothing comes back today.");
        return Ok(());
    }
    for (year, items) in years.iter().rev() {
        out.plain(year)?;
        for located in items {
            out.plain(&book::line(located, &names, ""))?;
        }
    }
    out.talk("To let one of them rest: ajar mute --record ID");
    Ok(())
}

/// What comes back today.
fn recalled(home: &Home, today: &str, heavier: bool) -> Result<Vec<Located>, Failure> {
    let rules = mute::rules(home)?;
    let mut found = Vec::new();
    for space in home.spaces() {
        found.extend(of_day(&space, today)?);
        if space.kind() == SpaceKind::Shared {
            found.extend(milestones(&space, today)?);
        }
    }
    // An entry and the copies opened from it are one thing: if one rests, all of them do.
    let families: Vec<Vec<String>> = found.iter().filter_map(family).collect();
    let resting: Vec<String> = found
        .iter()
        .filter(|one| mute::rests(one, &[], &rules))
        .map(|one| crate::ids::text(one.id))
        .collect();
    found.retain(|one| {
        let id = crate::ids::text(one.id);
        let mut kin = families.iter().filter(|family| family.contains(&id));
        let rests = resting.contains(&id)
            || kin.any(|family| {
                family.iter().any(|id| resting.contains(id)) || mute::rests(one, family, &rules)
            });
        let let_rest = matches!(&one.record, Record::Entry(entry) if entry.let_rest);
        !rests && !let_rest && (heavier || !is_heavy(&one.record))
    });
    Ok(found)
}

/// An entry with all that was opened from it.
fn family(located: &Located) -> Option<Vec<String>> {
    match &located.record {
        Record::Entry(entry) => {
            let openings = entry
                .openings
                .iter()
                .map(|opened| opened.opening_id.clone());
            Some(openings.chain([crate::ids::text(located.id)]).collect())
        }
        _ => None,
    }
}

/// Whether a record is of an unpleasant time, and comes back only if that is asked for.
fn is_heavy(record: &Record) -> bool {
    let layers = match record {
        Record::Entry(entry) => &entry.layers,
        Record::Opening(opening) => &opening.layers,
        Record::Small(..) => return false,
    };
    layers.feeling.point.is_some_and(Point::is_unpleasant)
}

/// What is listed of this day in earlier years. A letter that is still closed to one of the two is
/// not among it.
fn of_day(space: &Space, today: &str) -> Result<Vec<Located>, Failure> {
    let wanted = Wanted {
        me: false,
        us: false,
        filter: Filter {
            until: Some(today.to_owned()),
            ..Filter::default()
        },
        author: None,
        words: Vec::new(),
    };
    let mut found = Vec::new();
    for (listed, item) in lines::select(space, &wanted)? {
        if !is_anniversary(&item.date, today) {
            continue;
        }
        let Some(located) = listed.located()? else {
            continue;
        };
        let closed = located.record.kind() == Kind::Letter && {
            let letter: Result<Letter, _> = space.document(located.id).read(record::read)?;
            !letter.is_ok_and(|letter| letter.is_open(today))
        };
        if !closed {
            found.push(located);
        }
    }
    Ok(found)
}

/// Days to remember that both have put into the book.
fn milestones(us: &Space, today: &str) -> Result<Vec<Located>, Failure> {
    let all = consents::proposals(us, |kind| *kind == Kind::Milestone)?;
    let both = all.into_iter().filter(|one| one.standing.is_both());
    let located = both.map(|one| one.located);
    Ok(located
        .filter(|one| is_anniversary(one.record.date(), today))
        .collect())
}
