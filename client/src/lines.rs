//! Lists of records, newest first: what `ajar list` and `ajar search` print. They are read from
//! the table of what there is; a record is loaded only when its text is asked for.

use std::collections::HashMap;

use ajar_journal::imported::{self, Origin};
use ajar_journal::query::{Filter, Item};
use ajar_journal::schema::Kind;
use ajar_journal::summary::{Line, UNREADABLE, fold};
use ajar_journal::{date, query};
use ajar_sync::{DocId, Error, Home, PartyId, RowQuery, Space, SpaceKind, TableRow};
use serde_json::Value;

use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name};
use crate::records::{Content, Located};
use crate::report::Failure;
use crate::{between, dates, ids, names, records};

/// What a person asked for.
pub(crate) struct Wanted {
    pub(crate) me: bool,
    pub(crate) us: bool,
    pub(crate) filter: Filter,
    pub(crate) author: Option<Author>,
    /// All of these occur in it.
    pub(crate) words: Vec<String>,
}

/// One record of a list.
pub(crate) struct Listed {
    pub(crate) id: DocId,
    pub(crate) space: Space,
    pub(crate) author: Author,
    /// Whose it is that came out of an archive and is somebody else's.
    by: Option<String>,
    versions: bool,
    owner: Option<PartyId>,
}

/// Prints what is wanted; `nothing` when that is nothing.
pub(crate) fn print(context: &Context, wanted: &Wanted, nothing: &str) -> Result<(), Failure> {
    let out = context.out;
    let need = if wanted.me { Need::Private } else { Need::Home };
    let home = context.open_home(need)?;
    let names = Names::of(&home);
    let (mut found, mut items, mut unreadable) = (HashMap::new(), Vec::new(), 0);
    for space in spaces(&home, wanted)? {
        unreadable += count_unreadable(&space)?;
        for (listed, item) in select(&space, wanted)? {
            items.push(item);
            found.insert(ids::text(listed.id), listed);
        }
    }
    let lines = wanted.filter.select(items).into_iter();
    let lines: Vec<(Item, Listed)> = lines
        .filter_map(|item| found.remove(&item.id).map(|one| (item, one)))
        .collect();
    if out.json {
        let mut values: Vec<Value> = Vec::new();
        for (_, one) in &lines {
            match one.located()? {
                Some(located) => values.push(located.to_json(&names)),
                None => unreadable += 1,
            }
        }
        out.json(&values)?;
    } else {
        let both = !wanted.me && !wanted.us;
        for (item, one) in &lines {
            out.plain(&line(item, one, &names, both))?;
        }
        if lines.is_empty() {
            out.talk(nothing);
        }
    }
    let damaged = names::damaged(&home);
    let private = home.is_private_unlocked() || names::is_damaged(&home, SpaceKind::Private);
    home.close()?;
    if !private && !wanted.us {
        out.talk("Only me is locked and not listed; set AJAR_PRIVATE_PASSPHRASE to see it.");
    }
    if !wanted.me && !wanted.us {
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

/// The spaces asked for. A missing one is an error only if it was asked for by name.
pub(crate) fn spaces(home: &Home, wanted: &Wanted) -> Result<Vec<Space>, Failure> {
    Ok(if wanted.me {
        vec![home.space(SpaceKind::Private)?]
    } else if wanted.us {
        match home.space(SpaceKind::Shared) {
            Ok(space) => vec![space],
            Err(Error::NotPaired) => Vec::new(),
            Err(error) => return Err(error.into()),
        }
    } else {
        home.spaces()
    })
}

fn count_unreadable(space: &Space) -> Result<usize, Failure> {
    let rows = space.rows(RowQuery {
        from: UNREADABLE,
        ..RowQuery::default()
    })?;
    Ok(rows.len())
}

/// The records of a space that match; a few more than the limit where dates are the same.
pub(crate) fn select(space: &Space, wanted: &Wanted) -> Result<Vec<(Listed, Item)>, Failure> {
    let filter = &wanted.filter;
    let bound = |date: &Option<String>| date.as_deref().and_then(date::moments);
    // What matches a tag or a kind, and what is gone, is only known of rows that were read, so they
    // do not count.
    let exact = filter.tag.is_none() && filter.kind.is_none() && !filter.all_kinds;
    let limit = filter.limit.filter(|_| exact);
    let conditions = filter.clone();
    let wanted_author = wanted.author;
    // Looked up before: a filter must not ask the space it is called by.
    let own = space.own_party();
    let rows = space.rows(RowQuery {
        from: bound(&filter.since).map_or(i64::MIN, |(first, _)| first),
        to: bound(&filter.until).map_or(UNREADABLE - 1, |(_, last)| last),
        limit: limit.unwrap_or(usize::MAX),
        words: wanted.words.iter().map(|word| fold(word)).collect(),
        filter: Some(Box::new(move |row| {
            let by = Author::by(own, row.owner);
            wanted_author.is_none_or(|author| author == by) && may_match(&conditions, row)
        })),
    })?;
    let mut found = Vec::new();
    for row in rows {
        let Some(line) = Line::decode(&row.head) else {
            continue;
        };
        let listed = Listed {
            id: row.doc,
            space: space.clone(),
            author: Author::of(space, row.owner),
            by: line.origin.as_ref().and_then(by),
            versions: line.versions,
            owner: row.owner,
        };
        if between::may_go(line.kind()) && between::is_gone(space, listed.id, listed.author)? {
            continue;
        }
        let item = if line.cut {
            // The record has what was too long for its row.
            let located = listed.located()?;
            located.map(|located| located.record.item(row.doc))
        } else {
            Some(line.into_item(ids::text(row.doc)))
        };
        found.extend(item.map(|item| (listed, item)));
    }
    Ok(found)
}

/// Who wrote what came out of an archive, where that was somebody else.
fn by(origin: &Origin) -> Option<String> {
    (origin.author != imported::Author::Me).then(|| origin.who().to_owned())
}

/// Whether a record may be one of those asked for, as far as its row tells.
fn may_match(filter: &query::Filter, row: &TableRow) -> bool {
    match Line::decode(&row.head) {
        Some(line) => line.cut || filter.matches(&line.into_item(String::new())),
        None => false,
    }
}

impl Listed {
    /// The record itself; `None` when it cannot be read.
    pub(crate) fn located(&self) -> Result<Option<Located>, Failure> {
        let document = self.space.document(self.id);
        let record = match records::read(&document) {
            Ok(Content::Record(record)) => record,
            Ok(Content::Other | Content::Unreadable(_)) => return Ok(None),
            // A damaged place on the disk takes one record, not the others.
            Err(failure) if records::is_damage(&failure) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        Located::new(&document, &self.space, self.owner, record).map(Some)
    }
}

/// One line: id, day, where or who, heading.
fn line(item: &Item, listed: &Listed, names: &Names, both: bool) -> String {
    let who = match (listed.space.kind(), listed.author) {
        (SpaceKind::Private, _) if listed.by.is_some() => listed.by.clone(),
        (SpaceKind::Private, _) => both.then(|| space_name(SpaceKind::Private).to_owned()),
        (SpaceKind::Shared, Author::Me) if item.kind == Kind::Opening => {
            Some("you opened".to_owned())
        }
        (SpaceKind::Shared, Author::Me) => Some("you wrote".to_owned()),
        (SpaceKind::Shared, author) => Some(names.name(author).to_owned()),
    };
    let mut mark = String::new();
    if dates::is_to_come(&item.date) {
        mark.push_str("  (dated in the future)");
    }
    if listed.versions {
        mark.push_str("  (two versions)");
    }
    let who = who.map(|who| format!("  {who:<12}")).unwrap_or_default();
    format!(
        "{}  {}{who}  {}{mark}",
        ids::short(listed.id),
        date::day(&item.date),
        heading(item)
    )
}

/// What to call a record in a line. Of a letter without a title nothing else is told.
pub(crate) fn heading(item: &Item) -> String {
    match (item.heading(), &item.kind) {
        (heading, Kind::Letter) if heading.is_empty() => "(a letter)".to_owned(),
        (heading, _) => heading,
    }
}
