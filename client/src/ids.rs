//! Ids as people type them: the first four or more of 32 hexadecimal characters.

use ajar_sync::{DocId, DocInfo, Space, doc_id_text};

use crate::report::Failure;

/// Fewest characters that name a record.
pub(crate) const PREFIX_MIN: usize = 4;
/// Characters shown to people.
const SHORT: usize = 8;
const WHOLE: usize = 32;

/// A prefix a person typed, checked for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn parse(typed: &str) -> Result<Self, Failure> {
        let text = typed.trim().to_ascii_lowercase();
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex && (PREFIX_MIN..=WHOLE).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(Failure::fixable(
            "bad-id",
            format!("An id is {PREFIX_MIN} to {WHOLE} of the characters 0-9 and a-f."),
        )
        .hint("`ajar list` shows them in front of each line."))
    }

    /// The documents of a space whose ids begin so. Loads none.
    pub(crate) fn find(&self, space: &Space) -> Result<Vec<DocInfo>, Failure> {
        let prefix = self.0.clone();
        Ok(space.documents_where(move |id| doc_id_text(*id).starts_with(&prefix))?)
    }

    /// The one id among `ids` that begins so; `None` if there is none.
    pub(crate) fn only(
        &self,
        ids: impl IntoIterator<Item = DocId>,
    ) -> Result<Option<DocId>, Failure> {
        let mut found = None;
        for id in ids {
            if doc_id_text(id).starts_with(&self.0) && found.replace(id).is_some() {
                return Err(Failure::fixable(
                    "ambiguous-id",
                    format!("More than one id begins with {}.", self.0),
                )
                .hint("Type more of its characters; `ajar list --json` shows them all."));
            }
        }
        Ok(found)
    }

    /// The failure when nothing has this id.
    pub(crate) fn not_found(&self, locked: bool) -> Failure {
        let failure = Failure::fixable(
            "not-found",
            format!("Nothing here has an id that begins with {}.", self.0),
        );
        failure.hint(if locked {
            "Only me is locked; if it is in there, set AJAR_PRIVATE_PASSPHRASE and try again."
        } else {
            "`ajar list` shows what is here; `ajar sync` brings what is not here yet."
        })
    }
}

/// A whole id, as scripts get it.
pub(crate) fn text(id: DocId) -> String {
    doc_id_text(id)
}

/// The beginning of an id, as shown to people.
pub(crate) fn short(id: DocId) -> String {
    beginning(doc_id_text(id))
}

/// The beginning of a whole id of a device or a document, as shown to people.
pub(crate) fn beginning(mut id: String) -> String {
    id.truncate(SHORT);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8, last: u8) -> DocId {
        let mut bytes = [0xab; 16];
        bytes[0] = first;
        bytes[15] = last;
        DocId(bytes)
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
        let ids = [id(1, 1), id(2, 2), id(2, 3)];
        assert_eq!(
            Prefix::parse("01AB").unwrap().only(ids).unwrap(),
            Some(ids[0])
        );
        assert_eq!(Prefix::parse("03ab").unwrap().only(ids).unwrap(), None);
        let two = Prefix::parse("02ab").unwrap().only(ids).unwrap_err();
        assert_eq!(two.code(), "ambiguous-id");
        let whole = Prefix::parse(&doc_id_text(ids[2])).unwrap();
        assert_eq!(whole.only(ids).unwrap(), Some(ids[2]));
    }

    #[test]
    fn what_cannot_be_an_id_is_not_looked_for() {
        for wrong in [
            "",
            "abc",
            "xyz1",
            "0123456789abcdef0123456789abcdef0",
            "ab-cd",
            "é123",
        ] {
            assert_eq!(
                Prefix::parse(wrong).unwrap_err().code(),
                "bad-id",
                "{wrong}"
            );
        }
    }

    #[test]
    fn people_see_eight_characters() {
        assert_eq!(short(id(1, 1)), "01ababab");
    }
}
