//! `ajar search`: what some words occur in, newest first.

use ajar_journal::query::Filter;

use crate::cli::Search;
use crate::context::Context;
use crate::lines::{self, Wanted};
use crate::report::Failure;
use crate::terminal;

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
            limit: args.limit,
            all_kinds: true,
            ..Filter::default()
        },
        words,
    };
    lines::print(context, &wanted, "Nothing found.")
}
