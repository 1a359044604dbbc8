//! `ajar list`: what was kept and what stands open, newest first.

use ajar_journal::query::Filter;
use ajar_journal::schema::Kind;

use crate::cli::List;
use crate::context::Context;
use crate::dates;
use crate::lines::{self, Wanted};
use crate::names::Author;
use crate::report::Failure;
use crate::terminal;

pub(crate) fn run(context: &Context, args: &List) -> Result<(), Failure> {
    let filter = Filter {
        since: args.since.as_deref().map(dates::typed).transpose()?,
        until: args.until.as_deref().map(dates::typed).transpose()?,
        tag: terminal::given_or_asked_if(args.tag.as_deref(), "Tag:")?,
        kind: args.kind.as_deref().map(kind).transpose()?,
        limit: args.limit,
        all_kinds: false,
        has_photo: args.has_photo,
    };
    let wanted = Wanted {
        me: args.me,
        us: args.us,
        filter,
        author: args.author.map(Author::from),
        words: Vec::new(),
    };
    lines::print(context, &wanted, "Nothing to list.")
}

fn kind(word: &str) -> Result<Kind, Failure> {
    match Kind::from(word.to_owned()) {
        kind if kind.is_listed() => Ok(kind),
        _ => Err(Failure::fixable(
            "bad-kind",
            "The kinds are entry, opening, page and letter.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kinds_that_are_listed_can_be_asked_for() {
        assert_eq!(kind("entry").unwrap(), Kind::Entry);
        assert_eq!(kind("opening").unwrap(), Kind::Opening);
        for wrong in ["profile", "Entry", "response", ""] {
            assert_eq!(kind(wrong).unwrap_err().code(), "bad-kind");
        }
    }
}
