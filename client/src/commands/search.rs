//! `ajar search`: what some words occur in, newest first.

use ajar_journal::query::Filter;

use crate::cli::Search;
use crate::context::Context;
use crate::lines::{self, Wanted};
use crate::report::Failure;

pub(crate) fn run(context: &Context, args: &Search) -> Result<(), Failure> {
    let words = args.text.iter().flat_map(|text| text.split_whitespace());
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
            limit: args.limit,
            ..Filter::default()
        },
        words,
    };
    lines::print(context, &wanted, "Nothing found.")
}
