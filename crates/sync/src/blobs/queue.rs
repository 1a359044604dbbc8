//! What is to be sent and fetched. Handles put things in, the connection takes them out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ajar_protocol::BlobId;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::folder::Folder;
use crate::error::Error;
use crate::home::KeyFile;

/// Downloads that may be waited for at a time; more wait for a place.
const PLACES: usize = 64;
/// Pause after a transfer that did not succeed and may the next time.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// Blobs of one space.
pub(crate) struct Blobs {
    pub(super) folder: Folder,
    queue: Mutex<Queue>,
    /// Told when there is something to do.
    pub(super) work: Notify,
    pub(super) places: Semaphore,
}

#[derive(Default)]
struct Queue {
    /// By name, what the relay has not confirmed.
    up: BTreeMap<String, Upload>,
    wanted: BTreeMap<BlobId, Wanted>,
    /// The relay is to be asked what it lacks, and has not answered.
    asking: bool,
}

#[derive(Clone, Copy, Default)]
struct Upload {
    running: bool,
    not_before: Option<Instant>,
}

struct Wanted {
    /// Length of the ciphertext, if whoever asks knows it.
    sealed: Option<u64>,
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    running: bool,
    not_before: Option<Instant>,
}

/// A download that is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) id: BlobId,
    pub(super) sealed: Option<u64>,
}

/// What came of a transfer.
pub(super) enum Outcome {
    Done,
    /// It may work later.
    Later,
    /// It will not work, and this is why.
    Failed(fn() -> Error),
}

fn is_due(not_before: Option<Instant>) -> bool {
    not_before.is_none_or(|at| at <= Instant::now())
}

impl Blobs {
    /// Looks at the folder of a space.
    pub(crate) fn open(store: &Path, keys: &Arc<KeyFile>) -> Result<Self, Error> {
        let folder = Folder::new(store, keys);
        let up = folder.tidy()?;
        let queue = Queue {
            up: up
                .into_iter()
                .map(|name| (name, Upload::default()))
                .collect(),
            asking: folder.is_to_ask(),
            ..Queue::default()
        };
        Ok(Self {
            folder,
            queue: Mutex::new(queue),
            work: Notify::new(),
            places: Semaphore::new(PLACES),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many blobs the relay has not confirmed.
    pub(crate) fn pending(&self) -> usize {
        self.lock().up.len()
    }

    /// Whether the relay has everything, as far as this device knows.
    pub(crate) fn all_sent(&self) -> bool {
        let queue = self.lock();
        queue.up.is_empty() && !queue.asking
    }

    /// Whether the relay is to be asked what it lacks.
    pub(super) fn is_asking(&self) -> bool {
        self.lock().asking
    }

    /// From now on the relay is to be asked what it lacks, until it has answered; a death in
    /// between does not change that.
    pub(super) fn set_asking(&self, asking: bool) -> Result<(), Error> {
        self.folder.set_to_ask(asking)?;
        self.lock().asking = self.folder.is_to_ask();
        self.work.notify_one();
        Ok(())
    }

    /// Marks the blob of that name as one to be sent.
    pub(super) fn to_send(&self, name: String) {
        self.lock().up.entry(name).or_default();
        self.work.notify_one();
    }

    pub(super) fn not_to_send(&self, name: &str) {
        self.lock().up.remove(name);
    }

    /// A connection begins: nothing is under way on it yet.
    pub(super) fn begin(&self) {
        let mut queue = self.lock();
        for upload in queue.up.values_mut() {
            *upload = Upload::default();
        }
        for wanted in queue.wanted.values_mut() {
            (wanted.running, wanted.not_before) = (false, None);
        }
    }

    /// The next blob to send; it counts as under way.
    pub(super) fn next_upload(&self) -> Option<String> {
        let mut queue = self.lock();
        let mut all = queue.up.iter_mut();
        let (name, upload) =
            all.find(|(_, upload)| !upload.running && is_due(upload.not_before))?;
        upload.running = true;
        Some(name.clone())
    }

    pub(super) fn uploaded(&self, name: &str, outcome: &Outcome) {
        let mut queue = self.lock();
        match outcome {
            Outcome::Done => drop(queue.up.remove(name)),
            Outcome::Later | Outcome::Failed(_) => {
                if let Some(upload) = queue.up.get_mut(name) {
                    upload.running = false;
                    upload.not_before = Some(Instant::now() + PAUSE);
                }
            }
        }
    }

    /// Whether the relay has not confirmed all of these.
    pub(crate) fn are_pending(&self, ids: &[BlobId]) -> bool {
        let queue = self.lock();
        let mut names = ids.iter().filter_map(|id| self.folder.name(id).ok());
        names.any(|name| queue.up.contains_key(&name))
    }

    /// The ciphertext of a blob, from here or from the relay of the connection that there is.
    pub(crate) async fn fetch_sealed(self: &Arc<Self>, id: &BlobId) -> Result<Vec<u8>, Error> {
        if let Some(sealed) = self.read(id).await? {
            return Ok(sealed);
        }
        let place = self.places.acquire().await;
        let _place = place.map_err(|_| Error::Closed)?;
        let want = Want {
            id: *id,
            sealed: None,
        };
        self.want(want).await.unwrap_or(Err(Error::Closed))?;
        self.read(id).await?.ok_or(Error::BlobMissing)
    }

    async fn read(self: &Arc<Self>, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        let (blobs, id) = (Arc::clone(self), *id);
        let read = tokio::task::spawn_blocking(move || blobs.sealed(&id)).await;
        read.unwrap_or(Err(Error::Closed))
    }

    /// Waits in line for a download.
    pub(super) fn want(&self, want: Want) -> oneshot::Receiver<Result<(), Error>> {
        let (tell, told) = oneshot::channel();
        let mut queue = self.lock();
        let wanted = queue.wanted.entry(want.id).or_insert_with(|| Wanted {
            sealed: want.sealed,
            waiting: Vec::new(),
            running: false,
            not_before: None,
        });
        wanted.waiting.push(tell);
        self.work.notify_one();
        told
    }

    /// The next blob to fetch; it counts as under way. What nobody waits for any more is let go.
    pub(super) fn next_wanted(&self) -> Option<Want> {
        let mut queue = self.lock();
        queue.wanted.retain(|_, wanted| {
            wanted.waiting.retain(|waiting| !waiting.is_closed());
            wanted.running || !wanted.waiting.is_empty()
        });
        let mut all = queue.wanted.iter_mut();
        let (id, wanted) = all.find(|(_, wanted)| !wanted.running && is_due(wanted.not_before))?;
        wanted.running = true;
        Some(Want {
            id: *id,
            sealed: wanted.sealed,
        })
    }

    pub(super) fn fetched(&self, id: &BlobId, outcome: &Outcome) {
        let mut queue = self.lock();
        let result = || match outcome {
            Outcome::Done | Outcome::Later => Ok(()),
            Outcome::Failed(why) => Err(why()),
        };
        if matches!(outcome, Outcome::Later) {
            if let Some(wanted) = queue.wanted.get_mut(id) {
                wanted.running = false;
                wanted.not_before = Some(Instant::now() + PAUSE);
            }
            return;
        }
        for waiting in queue.wanted.remove(id).into_iter().flat_map(|w| w.waiting) {
            // Whoever waited may have gone.
            let _ = waiting.send(result());
        }
    }
}
