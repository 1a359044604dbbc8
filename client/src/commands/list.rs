//! `ajar list`: what was kept and what stands open, newest first.

use std::collections::HashMap;

use ajar_journal::date;
use ajar_journal::query::{Filter, Item};
use ajar_journal::schema::Kind;
use ajar_sync::{Error, Home, Space, SpaceKind};
use serde_json::Value;

use crate::cli::List;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name};
use crate::records::Located;
use crate::report::Failure;
use crate::{dates, ids, names, records};

pub(crate) fn run(context: &Context, args: &List) -> Result<(), Failure> {
    let out = context.out;
    let filter = Filter {
        since: args.since.as_deref().map(dates::typed).transpose()?,
        until: args.until.as_deref().map(dates::typed).transpose()?,
        tag: args.tag.clone(),
        kind: args.kind.as_deref().map(kind).transpose()?,
        limit: args.limit,
    };
    let home = context.open_home(if args.me { Need::Private } else { Need::Home })?;
    let names = Names::of(&home);
    let (mut found, mut unreadable) = (HashMap::new(), 0);
    for space in spaces(&home, args)? {
        let (records, skipped) = records::all(&space)?;
        unreadable += skipped;
        found.extend(
            records
                .into_iter()
                .map(|record| (ids::text(record.id), record)),
        );
    }
    let damaged = names::damaged(&home);
    let private = home.is_private_unlocked() || names::is_damaged(&home, SpaceKind::Private);
    let locked = !private && !args.us;
    home.close()?;

    let items: Vec<Item> = found
        .values()
        .map(|located| located.record.item(located.id))
        .collect();
    let lines = filter.select(items);
    if out.json {
        let values: Vec<Value> = lines
            .iter()
            .filter_map(|item| found.get(&item.id))
            .map(|located| located.to_json(&names))
            .collect();
        out.json(&values)?;
    } else {
        let both = !args.me && !args.us;
        for item in &lines {
            if let Some(located) = found.get(&item.id) {
                out.plain(&line(item, located, &names, both))?;
            }
        }
        if lines.is_empty() {
            out.talk("Nothing to list.");
        }
    }
    if locked {
        out.talk("Only me is locked and not listed; set AJAR_PRIVATE_PASSPHRASE to see it.");
    }
    if !args.me && !args.us {
        for line in damaged {
            out.insist(line);
        }
    }
    if unreadable > 0 {
        out.insist(format!(
            "Not listed, because they cannot be read: {unreadable}. `ajar doctor` says more."
        ));
    }
    Ok(())
}

fn kind(word: &str) -> Result<Kind, Failure> {
    match Kind::from(word.to_owned()) {
        kind @ (Kind::Entry | Kind::Opening) => Ok(kind),
        Kind::Profile | Kind::Unknown(_) => Err(Failure::fixable(
            "bad-kind",
            "The kinds are entry and opening.",
        )),
    }
}

/// The spaces asked for. A missing one is an error only if it was asked for by name.
fn spaces(home: &Home, args: &List) -> Result<Vec<Space>, Failure> {
    Ok(if args.me {
        vec![home.space(SpaceKind::Private)?]
    } else if args.us {
        match home.space(SpaceKind::Shared) {
            Ok(space) => vec![space],
            Err(Error::NotPaired) => Vec::new(),
            Err(error) => return Err(error.into()),
        }
    } else {
        home.spaces()
    })
}

/// One line: id, day, where or who, heading.
fn line(item: &Item, located: &Located, names: &Names, both: bool) -> String {
    let who = match (located.space, located.author) {
        (SpaceKind::Private, _) => both.then(|| space_name(located.space).to_owned()),
        (SpaceKind::Shared, Author::Me) => Some("you opened".to_owned()),
        (SpaceKind::Shared, author) => Some(names.name(author).to_owned()),
    };
    let mark = if located.record.has_versions() {
        "  (two versions)"
    } else {
        ""
    };
    let who = who.map(|who| format!("  {who:<12}")).unwrap_or_default();
    format!(
        "{}  {}{who}  {}{mark}",
        ids::short(located.id),
        date::day(&item.date),
        item.heading()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kinds_that_are_listed_can_be_asked_for() {
        assert_eq!(kind("entry").unwrap(), Kind::Entry);
        assert_eq!(kind("opening").unwrap(), Kind::Opening);
        for wrong in ["profile", "Entry", "letter", ""] {
            assert_eq!(kind(wrong).unwrap_err().code(), "bad-kind");
        }
    }
}
