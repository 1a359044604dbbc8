//! A home that is opened as a library, to write what no command writes: records from the past, and
//! what a partner would write who does not keep to the rules.

use std::sync::Arc;

use ajar_journal::record::{self, Record};
use ajar_journal::summary;
use ajar_sync::automerge::Automerge;
use ajar_sync::{
    Builder, DocId, Home, Ownership, Passphrase, Space, SpaceKind, Summarize, Summary,
};

use crate::client::Person;
use crate::library::WAIT;

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

impl Person {
    /// What a command says to a person, without `--json`.
    #[must_use]
    pub fn in_words(&self, arguments: &[&str]) -> String {
        let with_json = self.command(arguments);
        let mut command = std::process::Command::new(with_json.get_program());
        // It is the first argument.
        command.args(with_json.get_args().skip(1));
        let set = with_json.get_envs();
        command.envs(set.filter_map(|(name, value)| Some((name, value?))));
        let said = command.output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    }

    /// Does something in the shared space as a program of one's own could, and delivers it.
    pub fn as_library<T>(&self, act: impl FnOnce(&Space) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let home: Home = Builder::new(self.home())
            .with_passphrase(Passphrase::new(&self.passphrase).unwrap())
            .with_summarize(Arc::new(Journal))
            .open()
            .unwrap();
        let us = home.space(SpaceKind::Shared).unwrap();
        let done = act(&us);
        runtime.block_on(async {
            us.connect().unwrap();
            us.sync(WAIT).await.unwrap();
            us.disconnect().await;
        });
        home.close().unwrap();
        done
    }
}

/// Writes a record, as the document of a name if it has one.
pub fn put<R: Record + Send + 'static>(us: &Space, name: Option<&str>, record: R) -> DocId {
    let document = match name {
        Some(name) => us.document(us.named_document(Ownership::Mine, name).unwrap()),
        None => us.create_document(Ownership::Mine).unwrap(),
    };
    document.change(move |tx| record::set(tx, &record)).unwrap();
    document.id()
}
