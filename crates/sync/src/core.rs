//! The thread that owns a replica. Everything that touches the replica runs here, one piece
//! at a time; handles and the driver send it pieces of work over a bounded queue.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use ajar_engine::{EngineError, Event, Outputs, Replica};
use ajar_protocol::DocId;
use ajar_protocol::client_msg::ClientMsg;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

use crate::blobs::Blobs;
use crate::error::Error;
use crate::event::{Connection, SpaceEvent};
use crate::store::SealedStore;

/// Pieces of work that may wait.
const QUEUE: usize = 256;
/// Events kept for a slow listener before it is told that it missed some.
const EVENTS: usize = 1024;
/// Bundles of messages on their way to the connection; the engine's window keeps it small.
pub(crate) const LINK: usize = 1024;

const PANICKED: Error =
    Error::Bug("a step failed badly and was undone; what was kept before is safe");
pub(crate) const REENTERED: Error =
    Error::Bug("a change asked its own space for something and would wait");

thread_local! {
    static REPLICA: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the thread of some replica. Work on it must not wait for whoever ends such
/// threads.
pub(crate) fn on_a_replica_thread() -> bool {
    REPLICA.get()
}

type Work = Box<dyn FnOnce(&mut Core) + Send>;

/// Told which documents others have changed, on the thread of the space.
pub(crate) type Heed = dyn Fn(&mut Replica<SealedStore>, &[DocId]) + Send + Sync;

enum Command {
    Run(Work),
    Stop,
}

/// What the thread holds.
pub(crate) struct Core {
    pub(crate) replica: Replica<SealedStore>,
    pub(crate) blobs: Arc<Blobs>,
    link: Option<mpsc::Sender<Vec<ClientMsg>>>,
    /// Connections so far: the end of an older one must not end a newer one.
    links: u64,
    events: broadcast::Sender<SpaceEvent>,
    connection: watch::Sender<Connection>,
    /// A piece of work panicked: memory may be ahead of the store or torn.
    torn: bool,
    /// All envelopes are delivered, and that is not told yet because blobs are not.
    owes_delivered: bool,
    pub(crate) heed: Option<Arc<Heed>>,
    /// Told when something was sent, received or written.
    chores: Arc<Notify>,
    /// The person wants a snapshot, or the room that one gives, now.
    pub(crate) snapshot_wanted: bool,
    pub(crate) trim_wanted: bool,
}

impl Core {
    /// Tells events, sends messages, and shows how far the connection is.
    pub(crate) fn dispatch(&mut self, outputs: Outputs) {
        self.chores.notify_one();
        self.tell_heed(&outputs.events);
        self.burn_blobs(&outputs.events);
        for event in outputs.events {
            if event == Event::Delivered && !self.blobs.all_sent() {
                // Told when the last blob is.
                self.owes_delivered = true;
                continue;
            }
            if let Some(event) = SpaceEvent::from_engine(event) {
                // Nobody listening is fine.
                let _ = self.events.send(event);
            }
        }
        if !outputs.send.is_empty()
            && let Some(link) = &self.link
            && link.try_send(outputs.send).is_err()
        {
            // The connection is gone or far behind; the next one starts from the frontier.
            self.unlink();
        }
        self.show_progress();
    }

    /// Removes the files of what was burned, and of packs that nobody begins from any more. A
    /// relay is asked by whoever burned it; of packs, it gives up what our own party put there.
    /// What the partner says of blobs is not acted upon: it could name those of our own photos.
    /// Files of what the partner burned stay behind without their keys.
    fn burn_blobs(&mut self, events: &[Event]) {
        for event in events {
            let (blobs, at_relay) = match event {
                // Whichever device put them there: one that was cut off before it heard of the
                // burn may have sent them after the one that burned had them deleted.
                Event::BlobsBurned { blobs, by, .. } if *by == self.replica.own_party() => {
                    (blobs, true)
                }
                Event::PacksObsolete(blobs) => (blobs, true),
                _ => continue,
            };
            let forgotten = crate::blobs::forget(self, blobs, at_relay);
            if let Err(error) = forgotten {
                tracing::warn!(
                    code = error.code(),
                    "files of what was burned are still there"
                );
            }
        }
    }

    fn tell_heed(&mut self, events: &[Event]) {
        let Some(heed) = self.heed.clone() else {
            return;
        };
        let by_others = |event: &Event| match event {
            Event::DocumentChanged {
                doc, here: false, ..
            } => Some(*doc),
            _ => None,
        };
        let docs: Vec<DocId> = events.iter().filter_map(by_others).collect();
        if !docs.is_empty() {
            heed(&mut self.replica, &docs);
        }
    }

    /// A connection begins; returns its number.
    pub(crate) fn link(&mut self, link: mpsc::Sender<Vec<ClientMsg>>) -> u64 {
        self.link = Some(link);
        self.links += 1;
        self.links
    }

    /// The connection of that number has ended.
    pub(crate) fn link_ended(&mut self, number: u64) {
        if self.links == number {
            self.unlink();
        }
    }

    /// Whether the connection of that number is the one in use.
    pub(crate) fn is_linked(&self, number: u64) -> bool {
        self.links == number && self.link.is_some()
    }

    fn unlink(&mut self) {
        self.link = None;
        self.replica.disconnected();
    }

    /// Whether the relay has confirmed every envelope, link and blob held here.
    fn is_delivered(&self) -> bool {
        self.replica.relay_has_everything() && self.blobs.all_sent()
    }

    /// A blob is new, or was confirmed.
    pub(crate) fn blobs_changed(&mut self) {
        if std::mem::take(&mut self.owes_delivered) {
            if self.is_delivered() {
                let _ = self.events.send(SpaceEvent::Delivered);
            } else {
                self.owes_delivered = true;
            }
        }
        self.show_progress();
    }

    fn show_progress(&self) {
        let caught_up = self.replica.caught_up();
        let delivered = self.is_delivered();
        self.connection.send_if_modified(|connection| {
            let Connection::Online { .. } = connection else {
                return false;
            };
            let online = Connection::Online {
                caught_up,
                delivered,
            };
            let changed = *connection != online;
            *connection = online;
            changed
        });
    }

    /// Runs a step of the engine; a failure ends the connection.
    pub(crate) fn step(&mut self, result: Result<Outputs, EngineError>) -> Result<(), Error> {
        match result {
            Ok(outputs) => {
                self.dispatch(outputs);
                Ok(())
            }
            Err(error) => {
                self.unlink();
                Err(error.into())
            }
        }
    }

    /// Runs a piece of work; a panic in it (a bug of ours, of Automerge's, of the caller's
    /// closure) becomes an error, and the replica is read anew before the next piece.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut *self)));
        done.map_err(|_| {
            self.torn = true;
            PANICKED
        })
    }

    /// Takes everything anew from the store, as after a death of the process. What was being
    /// applied is still marked there, so an envelope that does this twice is set aside.
    fn mend(&mut self) -> Result<(), Error> {
        self.link = None;
        let store = self.replica.store().again();
        let opened = catch_unwind(AssertUnwindSafe(|| Replica::open(store)));
        let mut replica = opened.map_err(|_| PANICKED)??;
        if let Some(summarize) = self.replica.summarizer() {
            replica.with_summarize(summarize);
        }
        self.replica = replica;
        self.torn = false;
        self.show_progress();
        Ok(())
    }
}

/// Handle of the thread.
pub(crate) struct Worker {
    queue: SyncSender<Command>,
    id: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopped: AtomicBool,
    /// Tells the thread to end after the piece of work at hand.
    leave: Arc<AtomicBool>,
    /// Set when the thread ended because the replica could not be mended.
    failed: Arc<AtomicBool>,
    /// Gone when the worker is stopped, so that listeners come to their end.
    events: Mutex<Option<broadcast::Sender<SpaceEvent>>>,
    connection: watch::Sender<Connection>,
}

impl Worker {
    pub(crate) fn start(
        replica: Replica<SealedStore>,
        blobs: Arc<Blobs>,
        chores: Arc<Notify>,
    ) -> Result<Self, Error> {
        let (queue, work) = sync_channel(QUEUE);
        let (events, _) = broadcast::channel(EVENTS);
        let (connection, _) = watch::channel(Connection::Off);
        let (leave, failed) = (Arc::default(), Arc::default());
        let core = Core {
            replica,
            blobs,
            link: None,
            links: 0,
            events: events.clone(),
            connection: connection.clone(),
            torn: false,
            owes_delivered: false,
            heed: None,
            chores: Arc::clone(&chores),
            snapshot_wanted: false,
            trim_wanted: false,
        };
        let (left, fail) = (Arc::clone(&leave), Arc::clone(&failed));
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || run(core, &work, &left, &fail))
            .map_err(|error| Error::Store(error.to_string()))?;
        Ok(Self {
            queue,
            id: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
            stopped: AtomicBool::new(false),
            leave,
            failed,
            events: Mutex::new(Some(events)),
            connection,
        })
    }

    fn is_this_thread(&self) -> bool {
        std::thread::current().id() == self.id
    }

    /// Whether nothing can be asked of the replica any more.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.failed.load(Ordering::Acquire)
    }

    fn gone(&self) -> Error {
        if self.failed.load(Ordering::Acquire) {
            Error::Store("the journal could not be read any more; open it again".to_owned())
        } else {
            Error::Closed
        }
    }

    /// Runs work on the thread and waits for its result. Work that asks for more work would
    /// wait for itself, and gets an error.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if self.is_this_thread() {
            return Err(REENTERED);
        }
        let (reply, result) = sync_channel(1);
        let work: Work = Box::new(move |core| {
            // Whoever asked may have gone.
            let _ = reply.send(core.guarded(work));
        });
        self.queue
            .send(Command::Run(work))
            .map_err(|_| self.gone())?;
        result.recv().map_err(|_| self.gone())?
    }

    /// As [`Self::call`], without blocking the async runtime.
    pub(crate) async fn call_async<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        let mut command = Command::Run(Box::new(move |core| {
            let _ = reply.send(core.guarded(work));
        }));
        loop {
            match self.queue.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => {
                    command = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(TrySendError::Disconnected(_)) => return Err(self.gone()),
            }
        }
        result.await.map_err(|_| self.gone())?
    }

    fn lock_events(&self) -> MutexGuard<'_, Option<broadcast::Sender<SpaceEvent>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events from now on; at their end at once when the worker is stopped.
    pub(crate) fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        match &*self.lock_events() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    pub(crate) fn set_connection(&self, connection: Connection) {
        let changed = self.connection.send_replace(connection.clone()) != connection;
        if changed && let Some(events) = &*self.lock_events() {
            let _ = events.send(SpaceEvent::Connection(connection));
        }
    }

    /// Ends the thread after what is queued, and closes the store. On the thread itself, which
    /// may drop the last handle of a home at the end of a change, it ends after that change.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if self.is_this_thread() {
            self.leave.store(true, Ordering::Release);
        } else if let Some(thread) = thread {
            let _ = self.queue.send(Command::Stop);
            let _ = thread.join();
        }
        self.lock_events().take();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut core: Core, work: &Receiver<Command>, leave: &AtomicBool, failed: &AtomicBool) {
    REPLICA.set(true);
    while let Ok(Command::Run(piece)) = work.recv() {
        piece(&mut core);
        if core.torn
            && let Err(error) = core.mend()
        {
            tracing::error!(code = error.code(), "a replica could not be read anew");
            failed.store(true, Ordering::Release);
            return;
        }
        if leave.load(Ordering::Acquire) {
            break;
        }
    }
    core.replica.store().tidy();
}
