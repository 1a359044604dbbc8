//! The transfers of one connection: two uploads and two downloads at a time, deletions, and the
//! question what a relay lacks that lost something.

use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{BlobId, limits};
use quinn::Connection;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::access::{FORGET, ids_of, ids_to_bytes};
use super::folder::hash_file;
use super::queue::{Blobs, Outcome, Want};
use super::streams::{download, upload};
use crate::core::Core;
use crate::error::{ConnectError, Error};
use crate::space::Inner;

/// Transfers in each direction at a time.
const AT_A_TIME: usize = 2;
/// How often pauses are looked at.
const TICK: Duration = Duration::from_secs(5);

/// Answers about blobs on the connection's first stream.
pub(crate) type Answers = mpsc::Sender<RelayMsg>;
/// Questions about blobs for the connection's first stream.
pub(crate) type Asks = mpsc::Receiver<Vec<ClientMsg>>;

/// What the transfers of a connection need of it.
pub(crate) struct Line {
    answers: mpsc::Receiver<RelayMsg>,
    asks: mpsc::Sender<Vec<ClientMsg>>,
    /// True once the relay has let this device in.
    pub(crate) welcomed: watch::Receiver<bool>,
}

/// The ends of a connection's line for blobs.
pub(crate) fn channels() -> (Answers, Asks, watch::Sender<bool>, Line) {
    let (answer, answers) = mpsc::channel(4);
    let (asks, asked) = mpsc::channel(4);
    let (welcome, welcomed) = watch::channel(false);
    let line = Line {
        answers,
        asks,
        welcomed,
    };
    (answer, asked, welcome, line)
}

enum Ended {
    Upload(String, Outcome),
    Download(BlobId, Outcome),
}

/// What was asked on the first stream and is not answered yet.
#[derive(Default)]
struct Open {
    deletion: Option<Vec<BlobId>>,
    /// Whether there may be something to delete.
    may_delete: bool,
    /// Names and ids of blobs that the relay is to be asked about, and those in the question.
    to_ask: Vec<BlobId>,
    asked: Vec<BlobId>,
    looking: bool,
}

/// Runs until the connection ends.
pub(crate) async fn run<W>(
    space: &Arc<Inner>,
    connection: Connection,
    mut line: Line,
) -> Result<W, ConnectError> {
    if line.welcomed.wait_for(|welcomed| *welcomed).await.is_err() {
        return Err(ConnectError::Lost);
    }
    let blobs = &space.blobs;
    blobs.begin();
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    let (mut up, mut down) = (0, 0);
    let mut open = Open {
        may_delete: true,
        ..Open::default()
    };
    let mut tick = tokio::time::interval(TICK);
    loop {
        while up < AT_A_TIME
            && let Some(name) = blobs.next_upload()
        {
            up += 1;
            let (blobs, connection) = (Arc::clone(blobs), connection.clone());
            tasks.spawn(async move {
                let outcome = upload(&blobs, &connection, &name).await;
                Ended::Upload(name, outcome)
            });
        }
        while down < AT_A_TIME
            && let Some(want) = blobs.next_wanted()
        {
            down += 1;
            let (blobs, connection) = (Arc::clone(blobs), connection.clone());
            let Want { id, .. } = want;
            tasks.spawn(async move {
                let outcome = download(&blobs, &connection, want).await;
                Ended::Download(id, outcome)
            });
        }
        ask(space, &line, &mut open).await;
        tokio::select! {
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ended::Upload(name, outcome)) => {
                    up -= 1;
                    blobs.uploaded(&name, &outcome);
                    let told = space.worker.call_async(Core::blobs_changed).await;
                    told.map_err(|error| ConnectError::Store(error.to_string()))?;
                }
                Ok(Ended::Download(id, outcome)) => {
                    down -= 1;
                    blobs.fetched(&id, &outcome);
                }
                // A panic of ours: the next connection begins anew.
                Err(_) => return Err(ConnectError::Lost),
            },
            Some(answer) = line.answers.recv() => answered(space, answer, &mut open).await,
            () = blobs.work.notified() => open.may_delete = true,
            _ = tick.tick() => {}
        }
    }
}

/// Sends what is to be asked on the first stream, one question of each kind at a time.
async fn ask(space: &Arc<Inner>, line: &Line, open: &mut Open) {
    if open.may_delete && open.deletion.is_none() {
        open.may_delete = false;
        let command = space.worker.call_async(|core| {
            let kept = core.replica.local(FORGET).ok().flatten()?;
            let mut ids = ids_of(&kept);
            ids.truncate(limits::BLOBS_PER_MESSAGE);
            (!ids.is_empty()).then(|| (core.replica.delete_blobs(ids.clone()), ids))
        });
        if let Ok(Some((command, ids))) = command.await {
            // What a death left of them here.
            for id in &ids {
                let _ = space.blobs.forget(id);
            }
            let sent = line.asks.try_send(vec![ClientMsg::DeleteBlobs(command)]);
            open.deletion = sent.is_ok().then_some(ids);
        }
    }
    if !open.looking && space.blobs.is_asking() {
        open.looking = true;
        let blobs = Arc::clone(&space.blobs);
        let found = tokio::task::spawn_blocking(move || confirmed(&blobs)).await;
        open.to_ask = found.unwrap_or_default();
    }
    if open.looking && open.asked.is_empty() {
        let from = open.to_ask.len().saturating_sub(limits::BLOBS_PER_MESSAGE);
        let mut ids = open.to_ask.split_off(from);
        if ids.is_empty() {
            open.looking = false;
            if let Err(error) = space.blobs.set_asking(false) {
                tracing::warn!(code = error.code(), "a marker could not be removed");
            }
            let _ = space.worker.call_async(Core::blobs_changed).await;
            return;
        }
        ids.sort_unstable();
        ids.dedup();
        if line
            .asks
            .try_send(vec![ClientMsg::AskBlobs(ids.clone())])
            .is_ok()
        {
            open.asked = ids;
        } else {
            open.to_ask.extend(ids);
        }
    }
}

/// Ids of everything here that is not marked to be sent anyway. Names say nothing, so the files
/// are hashed; this is needed only after a relay has lost something, or was changed.
fn confirmed(blobs: &Blobs) -> Vec<BlobId> {
    let mut ids = Vec::new();
    for name in blobs.folder.names().unwrap_or_default() {
        if let Ok(Some((mut file, _))) = blobs.folder.open(&name)
            && let Ok((id, _)) = hash_file(&mut file)
        {
            ids.push(id);
        }
    }
    ids
}

async fn answered(space: &Arc<Inner>, answer: RelayMsg, open: &mut Open) {
    match answer {
        RelayMsg::BlobsMissing(ids) => {
            let asked = std::mem::take(&mut open.asked);
            // What was not asked about is none of its business.
            for id in ids.iter().filter(|id| asked.contains(id)) {
                if let Err(error) = space.blobs.send_again(id) {
                    tracing::warn!(code = error.code(), "a blob is not sent again");
                }
            }
            let _ = space.worker.call_async(Core::blobs_changed).await;
        }
        RelayMsg::BlobsDeleted(_) => {
            // Those that it did not name are not ours to delete there.
            let Some(asked) = open.deletion.take() else {
                return;
            };
            // There may be more than fits into one command.
            open.may_delete = true;
            let forgotten = space.worker.call_async(move |core| -> Result<(), Error> {
                let kept = core.replica.local(FORGET)?.unwrap_or_default();
                let mut ids = ids_of(&kept);
                ids.retain(|id| !asked.contains(id));
                let left = (!ids.is_empty()).then(|| ids_to_bytes(&ids));
                Ok(core.replica.set_local(FORGET, left)?)
            });
            if let Ok(Err(error)) | Err(error) = forgotten.await {
                tracing::warn!(code = error.code(), "a deletion goes again");
            }
        }
        _ => {}
    }
}
