//! What needs both: what each has said to it, as the commands read and keep it.

use std::collections::HashMap;

use ajar_journal::book::{self, Side, Standing, Waits};
use ajar_journal::records::Consent;
use ajar_journal::schema::Kind;
use ajar_journal::summary::Line;
use ajar_sync::{RowQuery, Space, doc_id_text};

use crate::names::Author;
use crate::records::{Content, Found, Located};
use crate::report::Failure;
use crate::{dates, records, shelf};

/// All that both have said, by the record it is about.
pub(crate) struct Consents(HashMap<String, Vec<(Side, Consent)>>);

/// Something that needs both, and what both say.
pub(crate) struct Proposal {
    pub(crate) located: Located,
    pub(crate) standing: Standing,
}

impl Proposal {
    pub(crate) fn waits(&self) -> Option<Waits> {
        self.standing.waits()
    }

    /// Who it waits for, as scripts get it.
    pub(crate) fn waits_word(&self) -> Option<&'static str> {
        self.waits().map(|waits| match waits {
            Waits::ForMe => "me",
            Waits::ForBoth => "both",
        })
    }

    /// The same in words.
    pub(crate) fn waits_words(&self) -> &'static str {
        match self.waits() {
            Some(Waits::ForMe) => "waits for you",
            Some(Waits::ForBoth) => "waits for both of you",
            None => "",
        }
    }
}

/// Which of the two; what belongs to both is nobody's word.
pub(crate) fn side(author: Author) -> Option<Side> {
    match author {
        Author::Me => Some(Side::Mine),
        Author::Partner => Some(Side::Theirs),
        Author::Both => None,
    }
}

impl Consents {
    pub(crate) fn of(us: &Space) -> Result<Self, Failure> {
        let mut all: HashMap<String, Vec<(Side, Consent)>> = HashMap::new();
        for kept in shelf::all::<Consent>(us)? {
            if let Some(side) = side(kept.author) {
                let said = all.entry(kept.record.about.clone()).or_default();
                said.push((side, kept.record));
            }
        }
        Ok(Self(all))
    }

    /// What both say to a record.
    pub(crate) fn standing(&self, us: &Space, located: &Located) -> Result<Standing, Failure> {
        let digest = digest(us, located)?;
        let said = self.0.get(&doc_id_text(located.id));
        let said = said.into_iter().flatten();
        Ok(book::standing(
            side(located.author),
            book::is_proposal(&located.record.kind()),
            &digest,
            said.map(|(side, consent)| (*side, consent)),
        ))
    }
}

/// What somebody consents to who says yes to it now.
fn digest(us: &Space, located: &Located) -> Result<String, Failure> {
    Ok(us.document(located.id).read(book::digest_of)??)
}

/// All records of some kinds that somebody has said something to, or that are a proposal by
/// themselves; by day, and by id within one.
pub(crate) fn proposals(
    us: &Space,
    wanted: impl Fn(&Kind) -> bool + Send + 'static,
) -> Result<Vec<Proposal>, Failure> {
    let consents = Consents::of(us)?;
    let named: Vec<String> = consents.0.keys().cloned().collect();
    let rows = us.rows(RowQuery {
        filter: Some(Box::new(move |row| {
            Line::decode(&row.head).is_some_and(|line| {
                let kind = line.kind();
                wanted(kind) && (book::is_proposal(kind) || named.contains(&doc_id_text(row.doc)))
            })
        })),
        ..RowQuery::default()
    })?;
    let mut found = Vec::new();
    for row in rows {
        let document = us.document(row.doc);
        let located = match records::read(&document) {
            Ok(Content::Record(record)) => Located::new(&document, us, row.owner, record)?,
            Ok(Content::Other | Content::Unreadable(_)) => continue,
            // A damaged place on the disk takes one record, not the others.
            Err(failure) if records::is_damage(&failure) => continue,
            Err(failure) => return Err(failure),
        };
        let standing = consents.standing(us, &located)?;
        found.push(Proposal { located, standing });
    }
    found.sort_by(|one, other| {
        let key = |proposal: &Proposal| {
            let located = &proposal.located;
            (located.record.date().to_owned(), located.id)
        };
        key(one).cmp(&key(other))
    });
    Ok(found)
}

/// Says yes to a record as it stands, or not any more. Returns what both say afterwards, and
/// whether anything was written: who has said nothing has nothing to take back.
pub(crate) fn say(
    found: &Found,
    located: &Located,
    given: bool,
) -> Result<(Standing, bool), Failure> {
    let us = &found.space;
    let before = Consents::of(us)?.standing(us, located)?;
    let mine = before.of(Side::Mine);
    if !given && matches!(mine, book::Saying::Nothing | book::Saying::No) {
        return Ok((before, false));
    }
    let about = doc_id_text(located.id);
    let name = format!("consent/{about}");
    let consent = Consent {
        digest: digest(us, located)?,
        about,
        given,
        on: dates::today(),
    };
    shelf::set(us, &name, consent)?;
    Ok((Consents::of(us)?.standing(us, located)?, true))
}
