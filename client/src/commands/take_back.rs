//! `ajar take-back`: what was opened is removed again, wherever that can still be done.

use ajar_journal::entry;
use ajar_journal::schema::Kind;
use ajar_sync::{BlobId, DocId, Home, Space, SpaceKind, doc_id_text};
use serde_json::json;

use super::burn::not_delivered;
use super::{doors, exchange};
use crate::cli::TakeBack;
use crate::context::{Context, Need};
use crate::names::{Author, Names};
use crate::photo::ids_of;
use crate::records::{self, Content, Record};
use crate::report::Failure;
use crate::terminal;

pub(crate) fn run(context: &Context, args: &TakeBack) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let name = Names::of(&home).partner().to_owned();
    let us = doors::shared(&home)?;
    let located = records::find(&home, &args.id)?.located()?;
    let openings = match &located.record {
        Record::Entry(entry) => {
            let noted = entry.openings.iter().map(|it| it.opening_id.clone());
            present(&us, noted.collect())?
        }
        Record::Opening(_) if located.author == Author::Me => vec![located.id],
        _ => {
            return Err(Failure::fixable(
                "not-yours",
                "This is not something that you opened.",
            ));
        }
    };
    if openings.is_empty() {
        return Err(Failure::fixable(
            "not-open",
            "Nothing of this entry stands open.",
        ));
    }
    terminal::confirmable(args.yes, "Taking back is asked about")?;
    if !args.yes {
        out.insist(format!(
            "What {name}'s devices have not fetched is gone. What they have is removed when they next sync;\n\
             {name} may have read it. Your entry stays."
        ));
        if !terminal::agrees("Take it back?")? {
            return Err(Failure::fixable("not-confirmed", "It stays open."));
        }
    }
    us.burn(&openings, &photos(&us, &openings)?)?;
    forget(&home, &openings)?;
    let delivered = context.block_on(exchange(out, &us, args.wait.timeout));
    home.close()?;
    let ids: Vec<String> = openings.into_iter().map(doc_id_text).collect();
    out.data(
        &json!({"taken_back": ids, "delivered": delivered.is_ok()}),
        || format!("Taken back. {name} may have read it."),
    )?;
    delivered.map(drop).map_err(not_delivered)
}

/// Those that are still in the shared space.
fn present(us: &Space, noted: Vec<String>) -> Result<Vec<DocId>, Failure> {
    let found = us.documents_where(move |id| noted.contains(&doc_id_text(*id)))?;
    let own = found
        .iter()
        .filter(|it| Author::of(us, it.owner) == Author::Me);
    Ok(own.map(|info| info.id).collect())
}

/// Photos that go with them.
fn photos(us: &Space, openings: &[DocId]) -> Result<Vec<BlobId>, Failure> {
    let mut blobs = Vec::new();
    for id in openings {
        if let Content::Record(record) = records::read(&us.document(*id))? {
            blobs.extend(ids_of(record.photos()));
        }
    }
    Ok(blobs)
}

/// Takes the notes of them out of the entries, where Only me is open. A note that stays says no more
/// than that there was an opening.
fn forget(home: &Home, openings: &[DocId]) -> Result<(), Failure> {
    let Ok(me) = home.space(SpaceKind::Private) else {
        return Ok(());
    };
    let gone: Vec<String> = openings.iter().copied().map(doc_id_text).collect();
    let (entries, _) = records::all_of(&me, &Kind::Entry)?;
    for located in entries {
        let Record::Entry(entry) = &located.record else {
            continue;
        };
        for opened in entry
            .openings
            .iter()
            .filter(|it| gone.contains(&it.opening_id))
        {
            let id = opened.opening_id.clone();
            let document = me.document(located.id);
            document.change(move |tx| entry::forget_opening(tx, &id))?;
        }
    }
    Ok(())
}
