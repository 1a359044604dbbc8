//! Entries and openings as the commands meet them, whatever space they are in.

use ajar_journal::entry::{self, Entry};
use ajar_journal::imported;
use ajar_journal::opening::{self, Opening};
use ajar_journal::query::Item;
use ajar_journal::records::{self as journal_records, Facts};
use ajar_journal::schema::{self, Kind};
use ajar_journal::{Paragraph, Photo, Unreadable, letters};
use ajar_sync::{DocId, DocInfo, Document, Home, PartyId, Space, SpaceKind, doc_id_text};
use serde_json::{Value, json};

use crate::between;
use crate::dates;
use crate::ids::Prefix;
use crate::names::{Author, Names, space_word};
use crate::report::Failure;

/// The field of a letter that its reader does not get before it opens.
const LETTER_TEXT: &str = "text";

/// What a document holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// Something a person wrote to be read.
    Record(Record),
    /// A profile, or a kind of a newer version: not shown.
    Other,
    /// It does not hold.
    Unreadable(Unreadable),
}

/// What a person wrote.
#[derive(Debug)]
pub(crate) enum Record {
    Entry(Box<Entry>),
    Opening(Box<Opening>),
    /// One of the smaller records.
    Small(Kind, Facts),
}

impl Record {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Entry(_) => Kind::Entry,
            Self::Opening(_) => Kind::Opening,
            Self::Small(kind, _) => kind.clone(),
        }
    }

    pub(crate) fn title(&self) -> Option<&str> {
        match self {
            Self::Entry(entry) => entry.title.as_deref(),
            Self::Opening(opening) => opening.title.as_deref(),
            Self::Small(Kind::Page | Kind::Letter, facts) => {
                facts.fields.get(schema::TITLE)?.as_str()
            }
            Self::Small(..) => None,
        }
    }

    pub(crate) fn title_others(&self) -> &[String] {
        match self {
            Self::Entry(entry) => &entry.title_others,
            Self::Opening(opening) => &opening.title_others,
            Self::Small(..) => &[],
        }
    }

    pub(crate) fn date(&self) -> &str {
        match self {
            Self::Entry(entry) => &entry.date,
            Self::Opening(opening) => &opening.date,
            Self::Small(_, facts) => &facts.day,
        }
    }

    pub(crate) fn paragraphs(&self) -> &[Paragraph] {
        match self {
            Self::Entry(entry) => &entry.paragraphs,
            Self::Opening(opening) => &opening.paragraphs,
            Self::Small(..) => &[],
        }
    }

    pub(crate) fn photos(&self) -> &[Photo] {
        match self {
            Self::Entry(entry) => &entry.photos,
            Self::Opening(opening) => &opening.photos,
            Self::Small(..) => &[],
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Entry(entry) => entry.text(),
            Self::Opening(opening) => opening.text(),
            Self::Small(Kind::Page, _) => String::new(),
            // Without its text as long as it is closed.
            Self::Small(Kind::Letter, facts) => {
                let text = facts.fields.get(LETTER_TEXT).and_then(Value::as_str);
                text.unwrap_or_default().to_owned()
            }
            Self::Small(_, facts) => facts.texts.join("\n"),
        }
    }

    /// Whether devices wrote different things at the same time and nobody has chosen yet.
    pub(crate) fn has_versions(&self) -> bool {
        !self.title_others().is_empty() || self.paragraphs().iter().any(|p| !p.others.is_empty())
    }

    pub(crate) fn item(&self, id: DocId) -> Item {
        match self {
            Self::Entry(entry) => Item::of_entry(doc_id_text(id), entry),
            Self::Opening(opening) => Item::of_opening(doc_id_text(id), opening),
            Self::Small(kind, facts) => Item::of_facts(doc_id_text(id), kind.clone(), facts),
        }
    }
}

/// A record and where it is.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) id: DocId,
    pub(crate) space: SpaceKind,
    pub(crate) author: Author,
    /// What its author is called, if an archive it came out of says so.
    pub(crate) author_name: Option<String>,
    pub(crate) record: Record,
}

impl Located {
    /// A record in a document, as this person may see it: of a letter that is closed to them, the
    /// envelope. What came out of an archive keeps who wrote it.
    pub(crate) fn new(
        document: &Document,
        space: &Space,
        owner: Option<PartyId>,
        record: Record,
    ) -> Result<Self, Failure> {
        // Only in the private space does anything keep an author that its document does not tell.
        let origin = match space.kind() {
            SpaceKind::Private => document.read(imported::origin_of)?,
            SpaceKind::Shared => None,
        };
        let author = origin.as_ref().map(Author::before);
        let author = author.unwrap_or_else(|| Author::of(space, owner));
        let mut record = record;
        if let Record::Small(kind, facts) = &mut record {
            letters::close(
                kind,
                &mut facts.fields,
                author == Author::Me,
                &dates::today(),
            );
        }
        Ok(Self {
            id: document.id(),
            space: space.kind(),
            author,
            author_name: origin.map(|origin| origin.who().to_owned()),
            record,
        })
    }

    /// What its author is called.
    pub(crate) fn author_name<'a>(&'a self, names: &'a Names) -> &'a str {
        let before = self.author_name.as_deref();
        before.unwrap_or_else(|| names.name(self.author))
    }

    /// Whether it is a letter that is closed to this person.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.record {
            Record::Small(Kind::Letter, facts) => !facts.fields.contains_key(LETTER_TEXT),
            _ => false,
        }
    }

    /// The shape `list` and `show` promise to scripts.
    pub(crate) fn to_json(&self, names: &Names) -> Value {
        let mut value = json!({
            "id": doc_id_text(self.id),
            "space": space_word(self.space),
            "author": self.author.word(),
            "author_name": self.author_name(names),
            "kind": self.record.kind().as_str(),
            "date": self.record.date(),
            "title": self.record.title(),
            "text": self.record.text(),
            "versions": self.record.has_versions(),
        });
        let more = match &self.record {
            Record::Entry(entry) => json!({
                "tags": entry.tags,
                "created_at": dates::utc(entry.created_at_ms),
                "saved_at": dates::utc(entry.saved_at_ms),
                "sort": entry.sort,
                "layers": entry.layers,
                "starred": entry.starred,
                "let_rest": entry.let_rest,
            }),
            Record::Opening(opening) => json!({
                "tags": [],
                "stage": opening.stage,
                "opened_on": opening.opened_on,
                "parts": opening.parts,
                "gist": opening.gist,
                "layers": opening.layers,
                "need": opening.need,
                "when": opening.when,
                "reply": opening.reply,
            }),
            Record::Small(_, facts) => json!({
                "tags": [],
                "about": facts.about,
                "fields": facts.fields,
            }),
        };
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }
}

/// Reads what a document holds.
pub(crate) fn read(document: &Document) -> Result<Content, Failure> {
    Ok(document.read(|doc| {
        let record = match schema::kind_of(doc) {
            Ok(Kind::Entry) => entry::read(doc).map(|entry| Record::Entry(Box::new(entry))),
            Ok(Kind::Opening) => {
                opening::read(doc).map(|opening| Record::Opening(Box::new(opening)))
            }
            Ok(kind) => match journal_records::facts(doc, &kind) {
                Ok(Some(facts)) => Ok(Record::Small(kind, facts)),
                Ok(None) => return Content::Other,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match record {
            Ok(record) => Content::Record(record),
            Err(error) => Content::Unreadable(error),
        }
    })?)
}

/// Whether it is a letter that opens on a day, and not with a mood.
pub(crate) fn opens_by_day(located: &Located) -> bool {
    match &located.record {
        Record::Small(Kind::Letter, facts) => {
            let open = facts.fields.get("open");
            open.is_some_and(|open| open.get("day").is_some())
        }
        _ => false,
    }
}

/// Whether one record is damaged, and not the journal or the machine.
pub(crate) fn is_damage(failure: &Failure) -> bool {
    matches!(failure.code(), "store" | "damaged")
}

/// All records of one kind in a space, and how many could not be read.
pub(crate) fn all_of(space: &Space, kind: &Kind) -> Result<(Vec<Located>, usize), Failure> {
    let (mut records, unreadable) = all(space)?;
    records.retain(|located| located.record.kind() == *kind);
    Ok((records, unreadable))
}

/// All records of a space, and how many could not be read.
pub(crate) fn all(space: &Space) -> Result<(Vec<Located>, usize), Failure> {
    let (mut records, mut unreadable) = (Vec::new(), 0);
    for info in space.documents()? {
        let document = space.document(info.id);
        match read(&document) {
            Ok(Content::Record(record)) => {
                let author = Author::of(space, info.owner);
                if between::may_go(&record.kind()) && between::is_gone(space, info.id, author)? {
                    continue;
                }
                records.push(Located::new(&document, space, info.owner, record)?);
            }
            Ok(Content::Other) => {}
            Ok(Content::Unreadable(_)) => unreadable += 1,
            // A damaged place on the disk takes one record, not the others.
            Err(failure) if is_damage(&failure) => unreadable += 1,
            Err(failure) => return Err(failure),
        }
    }
    Ok((records, unreadable))
}

/// A document a person named.
pub(crate) struct Found {
    pub(crate) space: Space,
    pub(crate) info: DocInfo,
}

impl Found {
    pub(crate) fn document(&self) -> Document {
        self.space.document(self.info.id)
    }

    pub(crate) fn author(&self) -> Author {
        Author::of(&self.space, self.info.owner)
    }

    /// The record in it.
    pub(crate) fn located(&self) -> Result<Located, Failure> {
        let document = self.document();
        match read(&document)? {
            Content::Record(record) => {
                Located::new(&document, &self.space, self.info.owner, record)
            }
            Content::Other => Err(Failure::fixable(
                "other-kind",
                "This is neither an entry nor an opening.",
            )
            .hint("A newer version of Ajar may be able to show it.")),
            Content::Unreadable(error) => Err(error.into()),
        }
    }
}

/// Finds what a prefix names in the spaces that are open.
pub(crate) fn find(home: &Home, typed: &str) -> Result<Found, Failure> {
    let prefix = Prefix::parse(typed)?;
    let mut places = Vec::new();
    for space in home.spaces() {
        for info in prefix.find(&space)? {
            match between::is_gone(&space, info.id, Author::of(&space, info.owner)) {
                Ok(true) => continue,
                Err(failure) if !is_damage(&failure) => return Err(failure),
                Ok(false) | Err(_) => places.push((space.clone(), info)),
            }
        }
    }
    match prefix.only(places.iter().map(|(_, info)| info.id))? {
        Some(id) => places
            .into_iter()
            .find(|(_, info)| info.id == id)
            .map(|(space, info)| Found { space, info })
            .ok_or_else(|| prefix.not_found(false)),
        None => Err(prefix.not_found(!home.is_private_unlocked())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_journal::layers::Layers;
    use ajar_journal::records::When;

    fn entry() -> Located {
        Located {
            id: DocId([7; 16]),
            space: SpaceKind::Private,
            author: Author::Me,
            author_name: None,
            record: Record::Entry(Box::new(Entry {
                title: Some("Rain".to_owned()),
                title_others: Vec::new(),
                date: "2026-07-01T21:30".to_owned(),
                paragraphs: vec![
                    Paragraph {
                        text: "It rained.".to_owned(),
                        others: Vec::new(),
                    },
                    Paragraph {
                        text: "All day.".to_owned(),
                        others: vec!["All night.".to_owned()],
                    },
                ],
                tags: vec!["sea".to_owned()],
                created_at_ms: 0,
                saved_at_ms: 1000,
                photos: Vec::new(),
                layers: Layers::default(),
                sort: entry::Sort::Note,
                starred: false,
                let_rest: false,
                openings: Vec::new(),
                imported: None,
            })),
        }
    }

    #[test]
    fn scripts_get_the_shape_they_were_promised() {
        let value = entry().to_json(&Names::new("Ana", Some("Ben")));
        let expected = json!({
            "id": "07".repeat(16),
            "space": "me",
            "author": "me",
            "author_name": "Ana",
            "kind": "entry",
            "date": "2026-07-01T21:30",
            "title": "Rain",
            "text": "It rained.\nAll day.",
            "versions": true,
            "tags": ["sea"],
            "created_at": "1970-01-01T00:00:00Z",
            "saved_at": "1970-01-01T00:00:01Z",
            "sort": "note",
            "layers": {},
            "starred": false,
            "let_rest": false,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn an_opening_tells_its_stage_and_its_author() {
        let opening = Located {
            id: DocId([8; 16]),
            space: SpaceKind::Shared,
            author: Author::Partner,
            author_name: None,
            record: Record::Opening(Box::new(Opening {
                stage: opening::Stage::Room,
                parts: vec![opening::Part::Text],
                gist: None,
                layers: Layers::default(),
                need: None,
                when: When::Whenever,
                reply: true,
                title: None,
                title_others: Vec::new(),
                date: "2026-07-01".to_owned(),
                paragraphs: vec![Paragraph {
                    text: "Sea.".to_owned(),
                    others: Vec::new(),
                }],
                photos: Vec::new(),
                opened_on: "2026-07-02".to_owned(),
            })),
        };
        let value = opening.to_json(&Names::new("Ana", Some("Ben")));
        assert_eq!(value["space"], "us");
        assert_eq!(value["author"], "partner");
        assert_eq!(value["author_name"], "Ben");
        assert_eq!(value["stage"], "room");
        assert!(value["title"].is_null());
    }
}
