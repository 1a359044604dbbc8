//! `ajar search`: what some words occur in, newest first.

use ajar_journal::query::Filter;
use ajar_journal::schema::Kind;

use crate::cli::Search;
use crate::context::Context;
use crate::lines::{self, Wanted};
use crate::names::Author;
use crate::report::Failure;
use crate::{dates, terminal};

pub(crate) fn run(context: &Context, args: &Search) -> Result<(), Failure> {
    let text = match args.text.as_slice() {
        [one] => vec![terminal::given_or_asked(Some(one), "Look for:")?.to_string()],
        many => many.to_vec(),
    };
    let words = text.iter().flat_map(|text| text.split_whitespace());
    let words: Vec<String> = words.map(str::to_owned).collect();
    if words.is_empty() {
        return Err(
            Failure::fixable("no-words", "There is nothing to look for.")
                .hint("Give a word: ajar search rain"),
        );
    }
    let wanted = Wanted {
        me: args.me,
        us: args.us,
        filter: Filter {
            since: args.since.as_deref().map(dates::typed).transpose()?,
            until: args.until.as_deref().map(dates::typed).transpose()?,
            tag: terminal::given_or_asked_if(args.tag.as_deref(), "Tag:")?,
            kind: args.kind.as_deref().map(kind).transpose()?,
            limit: args.limit,
            all_kinds: true,
            has_photo: args.has_photo,
        },
        author: args.author.map(Author::from),
        words,
    };
    lines::print(context, &wanted, "Nothing found.")
}

fn kind(word: &str) -> Result<Kind, Failure> {
    match Kind::from(word.to_owned()) {
        Kind::Unknown(_) => Err(Failure::fixable(
            "bad-kind",
            "There is no such kind of record.",
        )
        .hint("Some of them: entry, opening, page, passage, letter, milestone, agreement, our-word, ritual.")),
        kind => Ok(kind),
    }
}
