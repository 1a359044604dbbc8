//! What the journal keeps of every record for lists and searches, and homes that keep it.

use std::path::PathBuf;
use std::sync::Arc;

use ajar_journal::summary;
use ajar_sync::automerge::Automerge;
use ajar_sync::{Builder, Summarize, Summary};

/// Says what lists and searches need of a record.
struct Journal;

impl Summarize for Journal {
    fn version(&self) -> u32 {
        summary::VERSION
    }

    fn summarize(&self, doc: &Automerge) -> Option<Summary> {
        summary::of(doc).map(kept)
    }

    fn damaged(&self) -> Option<Summary> {
        Some(kept(summary::unreadable()))
    }
}

fn kept(summary: summary::Summary) -> Summary {
    Summary {
        shelf: summary.shelf,
        sort: summary.sort,
        head: summary.head,
        text: summary.text,
    }
}

/// A home of the journal in `dir`, to make or to open: every one of them keeps its table.
pub(crate) fn builder(dir: impl Into<PathBuf>) -> Builder {
    Builder::new(dir).with_summarize(Arc::new(Journal))
}
