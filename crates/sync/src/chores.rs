//! What a device does of itself along a connection: begin from a snapshot, make and compare
//! snapshots, confirm burns, give up what is folded in. None of it holds up the person: the
//! replica's thread is asked for one small piece at a time, and compressing, sealing and loading
//! go on elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ajar_engine::snapshot::pack::{OpenedPack, PackError, open_pack, seal_pack};
use ajar_protocol::BlobId;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::snapshot::PackRef;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::blobs::{forget, ids_of};
use crate::clock;
use crate::core::Core;
use crate::error::{ConnectError, Error};
use crate::space::Inner;

/// Packs that are fetched and opened ahead of the one that is taken in.
const AHEAD: usize = 3;
/// What is not urgent is looked at this often at most.
const SELDOM: Duration = Duration::from_millis(100);
/// How long nothing may happen before it is looked at again.
const LONG: Duration = Duration::from_secs(5);
/// Pause after something that could not be fetched.
const AGAIN: Duration = Duration::from_secs(30);
/// Time for the packs of a new snapshot to reach the relay.
const UPLOAD: Duration = Duration::from_secs(3600);

/// Local data: ids of the packs that were sealed for a snapshot in the making.
const PACKS: &str = "sync/packs-in-the-making";

/// Why a chore was not done.
enum Trouble {
    /// The connection is to end.
    End(ConnectError),
    /// A pack could not be had.
    Missing,
    /// A pack is not what its snapshot says.
    Wrong,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::End(ConnectError::Store(error.to_string()))
    }
}

/// Runs until the connection ends.
pub(crate) async fn run<W>(
    space: &Arc<Inner>,
    mut welcomed: watch::Receiver<bool>,
) -> Result<W, ConnectError> {
    if welcomed.wait_for(|welcomed| *welcomed).await.is_err() {
        return Err(ConnectError::Lost);
    }
    let cleared = clear_packs(space).await;
    cleared.map_err(|error| ConnectError::Store(error.to_string()))?;
    let mut rest_until = Instant::now();
    let mut last = rest_until - SELDOM;
    loop {
        match start(space).await {
            Ok(()) => {}
            Err(Trouble::End(error)) => return Err(error),
            // Nothing can be done before it is there: another connection may find it.
            Err(Trouble::Missing) => {
                sleep(AGAIN).await;
                return Err(ConnectError::Busy);
            }
            Err(Trouble::Wrong) => rest_until = Instant::now() + AGAIN,
        }
        if last.elapsed() >= SELDOM {
            last = Instant::now();
            errands(space).await?;
            if Instant::now() >= rest_until {
                for done in [compare(space).await, make(space).await] {
                    match done {
                        Ok(()) => {}
                        Err(Trouble::End(error)) => return Err(error),
                        Err(Trouble::Missing | Trouble::Wrong) => {
                            rest_until = Instant::now() + AGAIN;
                        }
                    }
                }
            }
            sweep(space).await?;
        }
        let wait = match last.elapsed() >= SELDOM {
            true => LONG,
            false => SELDOM - last.elapsed(),
        };
        let woken = timeout(wait, space.chores.notified()).await.is_ok();
        if !woken && wait == LONG {
            last = Instant::now() - SELDOM;
        }
    }
}

async fn on_replica<T: Send + 'static>(
    space: &Inner,
    work: impl FnOnce(&mut Core) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    space.worker.call_async(work).await?
}

/// Fetches a pack and opens it, off the threads that others wait for.
fn fetch(space: &Arc<Inner>, pack: PackRef) -> JoinHandle<Result<OpenedPack, Trouble>> {
    let space = Arc::clone(space);
    tokio::spawn(async move {
        let sealed = match space.blobs.fetch_sealed(&pack.blob).await {
            Ok(sealed) => sealed,
            Err(Error::BlobMissing | Error::BlobDamaged) => return Err(Trouble::Missing),
            Err(error) => return Err(error.into()),
        };
        let opened = tokio::task::spawn_blocking(move || open_pack(&pack, &sealed)).await;
        match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(PackError::Damaged | PackError::Content)) => Err(Trouble::Wrong),
            Ok(Err(_)) | Err(_) => Err(Trouble::Missing),
        }
    })
}

/// Packs in their order, some of them ahead.
struct Packs<'a> {
    space: &'a Arc<Inner>,
    left: VecDeque<PackRef>,
    coming: VecDeque<JoinHandle<Result<OpenedPack, Trouble>>>,
}

impl<'a> Packs<'a> {
    fn new(space: &'a Arc<Inner>, packs: Vec<PackRef>) -> Self {
        Self {
            space,
            left: packs.into(),
            coming: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Option<Result<OpenedPack, Trouble>> {
        while self.coming.len() < AHEAD
            && let Some(pack) = self.left.pop_front()
        {
            self.coming.push_back(fetch(self.space, pack));
        }
        let next = self.coming.pop_front()?;
        Some(next.await.unwrap_or(Err(Trouble::Missing)))
    }
}

impl Drop for Packs<'_> {
    fn drop(&mut self) {
        for task in &self.coming {
            task.abort();
        }
    }
}

/// Begins from a snapshot, if the relay has brought one to begin from.
async fn start(space: &Arc<Inner>) -> Result<(), Trouble> {
    let wanted = on_replica(space, |core| {
        let started = core.replica.start_progress().is_some();
        Ok(started.then(|| core.replica.packs_to_start()))
    });
    let Some(packs) = wanted.await? else {
        return Ok(());
    };
    let mut packs = Packs::new(space, packs);
    while let Some(pack) = packs.next().await {
        match pack {
            Ok(pack) => {
                let taken = on_replica(space, move |core| {
                    let taken = core.replica.take_pack(clock::now(), pack);
                    core.step(taken)?;
                    Ok(core.replica.start_progress().is_some())
                });
                if !taken.await? {
                    break;
                }
            }
            Err(trouble) => {
                let wrong = matches!(trouble, Trouble::Wrong);
                on_replica(space, move |core| {
                    Ok(core.replica.give_up_start(clock::now(), wrong)?)
                })
                .await?;
                return Err(trouble);
            }
        }
    }
    Ok(())
}

/// Compares a snapshot of another device with what is here.
async fn compare(space: &Arc<Inner>) -> Result<(), Trouble> {
    let wanted = on_replica(space, |core| Ok(core.replica.snapshot_to_compare()?));
    let Some(packs) = wanted.await? else {
        return Ok(());
    };
    let mut packs = Packs::new(space, packs);
    while let Some(pack) = packs.next().await {
        match pack {
            Ok(pack) => {
                on_replica(space, move |core| {
                    core.replica.compare_pack(clock::now(), pack)?;
                    Ok(())
                })
                .await?;
            }
            Err(Trouble::Wrong) => {
                on_replica(space, |core| Ok(core.replica.pack_is_wrong(clock::now())?)).await?;
                return Ok(());
            }
            Err(trouble) => {
                on_replica(space, |core| {
                    core.replica.give_up_comparing();
                    Ok(())
                })
                .await?;
                return Err(trouble);
            }
        }
    }
    on_replica(space, |core| Ok(core.replica.end_comparing(clock::now())?)).await?;
    errands(space).await.map_err(Trouble::End)
}

/// Makes a snapshot, if one is due here.
async fn make(space: &Arc<Inner>) -> Result<(), Trouble> {
    let due = on_replica(space, |core| {
        let wanted = std::mem::take(&mut core.snapshot_wanted);
        Ok(wanted && core.replica.caught_up() || core.replica.snapshot_due()?)
    });
    if !due.await? {
        return Ok(());
    }
    let made = make_now(space).await;
    if made.is_err() {
        on_replica(space, |core| {
            core.replica.give_up_snapshot();
            Ok(())
        })
        .await?;
    }
    clear_packs(space).await?;
    made
}

/// Deletes packs that were sealed for a snapshot that is not made, or that it does without: a
/// connection that ended, documents that changed meanwhile.
async fn clear_packs(space: &Arc<Inner>) -> Result<(), Error> {
    on_replica(space, |core| {
        let Some(made) = core
            .replica
            .local(PACKS)?
            .filter(|_| !core.replica.is_making())
        else {
            return Ok(());
        };
        let used = core.replica.packs_in_use();
        let mut left = ids_of(&made);
        left.retain(|pack| !used.contains(pack));
        if !left.is_empty() {
            forget(core, &left, true)?;
        }
        Ok(core.replica.set_local(PACKS, None)?)
    })
    .await
}

async fn make_now(space: &Arc<Inner>) -> Result<(), Trouble> {
    on_replica(space, |core| Ok(core.replica.begin_snapshot()?)).await?;
    loop {
        let mut sent: Vec<BlobId> = Vec::new();
        while let Some(plain) = on_replica(space, |core| Ok(core.replica.next_pack()?)).await? {
            let sealing =
                tokio::task::spawn_blocking(move || seal_pack(&plain, &mut clock::entropy()));
            let sealed = sealing.await.map_err(|_| Trouble::Missing)?;
            let sealed = sealed.map_err(|error| Error::Store(error.to_string()))?;
            let (blobs, reference) = (Arc::clone(&space.blobs), sealed.reference.clone());
            let pack = reference.blob;
            // Before it lies there: whatever happens, it is known that it may have to go.
            on_replica(space, move |core| {
                let mut made = core.replica.local(PACKS)?.unwrap_or_default();
                made.extend(pack.0);
                Ok(core.replica.set_local(PACKS, Some(made))?)
            })
            .await?;
            let keeping = tokio::task::spawn_blocking(move || {
                blobs.put_sealed(&pack, &sealed.ciphertext, true)
            });
            keeping.await.map_err(|_| Trouble::Missing)??;
            sent.push(pack);
            on_replica(space, move |core| {
                core.replica.pack_sealed(reference);
                Ok(())
            })
            .await?;
        }
        // Whoever hears of the snapshot must find its packs.
        let until = Instant::now() + UPLOAD;
        while space.blobs.are_pending(&sent) {
            if Instant::now() >= until {
                return Err(Trouble::Missing);
            }
            sleep(Duration::from_millis(20)).await;
        }
        let finished = on_replica(space, |core| {
            if !core.replica.is_making() {
                // An error of the store has ended it.
                return Ok(None);
            }
            let finished = core
                .replica
                .finish_snapshot(clock::now(), &mut clock::entropy())?;
            let Some(outputs) = finished else {
                return Ok(Some(false));
            };
            core.step(Ok(outputs)).map(|()| Some(true))
        });
        match finished.await? {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => return Err(Trouble::Missing),
        }
    }
}

/// Small things: endorsements, the word to the relay that it may give something up.
async fn errands(space: &Arc<Inner>) -> Result<(), ConnectError> {
    let done = on_replica(space, |core| {
        let mut result = core.replica.errands(clock::now(), &mut clock::entropy());
        if let Ok(outputs) = &mut result
            && std::mem::take(&mut core.trim_wanted)
        {
            match core.replica.trim_now(clock::now()) {
                Ok(send) => outputs.send.extend::<Vec<ClientMsg>>(send),
                Err(error) => result = Err(error),
            }
        }
        core.step(result)
    });
    done.await
        .map_err(|error| ConnectError::Store(error.to_string()))
}

/// Deletes what was given up, a little at a time, and scrubs the disk when that must be.
async fn sweep(space: &Arc<Inner>) -> Result<(), ConnectError> {
    let failed = |error: Error| ConnectError::Store(error.to_string());
    loop {
        let more = on_replica(space, |core| {
            if core.replica.sweeps() {
                core.replica.sweep()?;
            }
            Ok(core.replica.sweeps())
        });
        if !more.await.map_err(failed)? {
            break;
        }
    }
    let store = on_replica(space, |core| {
        let owed = core.replica.owes_scrub();
        Ok(owed.then(|| core.replica.store().again()))
    });
    if let Some(store) = store.await.map_err(failed)? {
        let scrubbed = tokio::task::spawn_blocking(move || store.scrub()).await;
        match scrubbed {
            Ok(Ok(())) => on_replica(space, |core| Ok(core.replica.scrubbed()?))
                .await
                .map_err(failed)?,
            _ => tracing::warn!("what was burned could not be erased from the disk yet"),
        }
    }
    Ok(())
}
