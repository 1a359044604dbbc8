//! The thread that owns a replica. Everything that touches the replica runs here, one piece
//! at a time; handles and the driver send it pieces of work over a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ajar_engine::{EngineError, Outputs, Replica};
use ajar_protocol::client_msg::ClientMsg;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::error::Error;
use crate::event::{Connection, SpaceEvent};
use crate::store::SealedStore;

/// Pieces of work that may wait.
const QUEUE: usize = 256;
/// Events kept for a slow listener before it is told that it missed some.
const EVENTS: usize = 1024;
/// Bundles of messages on their way to the connection; the engine's window keeps it small.
pub(crate) const LINK: usize = 1024;

type Work = Box<dyn FnOnce(&mut Core) + Send>;

enum Command {
    Run(Work),
    Stop,
}

/// What the thread holds.
pub(crate) struct Core {
    pub(crate) replica: Replica<SealedStore>,
    link: Option<mpsc::Sender<Vec<ClientMsg>>>,
    events: broadcast::Sender<SpaceEvent>,
    connection: watch::Sender<Connection>,
}

impl Core {
    /// Tells events, sends messages, and shows how far the connection is.
    pub(crate) fn dispatch(&mut self, outputs: Outputs) {
        for event in outputs.events {
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

    pub(crate) fn link(&mut self, link: mpsc::Sender<Vec<ClientMsg>>) {
        self.link = Some(link);
    }

    pub(crate) fn unlink(&mut self) {
        self.link = None;
        self.replica.disconnected();
    }

    fn show_progress(&self) {
        let caught_up = self.replica.caught_up();
        let delivered = self.replica.relay_has_everything();
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
}

/// Handle of the thread.
pub(crate) struct Worker {
    queue: SyncSender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    events: broadcast::Sender<SpaceEvent>,
    connection: watch::Sender<Connection>,
}

impl Worker {
    pub(crate) fn start(replica: Replica<SealedStore>) -> Result<Self, Error> {
        let (queue, work) = sync_channel(QUEUE);
        let (events, _) = broadcast::channel(EVENTS);
        let (connection, _) = watch::channel(Connection::Off);
        let core = Core {
            replica,
            link: None,
            events: events.clone(),
            connection: connection.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || run(core, &work))
            .map_err(|error| Error::Store(error.to_string()))?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
            events,
            connection,
        })
    }

    /// Runs work on the thread and waits for its result.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = sync_channel(1);
        let work: Work = Box::new(move |core| {
            // Whoever asked may have gone.
            let _ = reply.send(work(core));
        });
        self.queue
            .send(Command::Run(work))
            .map_err(|_| Error::Closed)?;
        result.recv().map_err(|_| Error::Closed)
    }

    /// As [`Self::call`], without blocking the async runtime.
    pub(crate) async fn call_async<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        let mut command = Command::Run(Box::new(move |core| {
            let _ = reply.send(work(core));
        }));
        loop {
            match self.queue.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => {
                    command = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(TrySendError::Disconnected(_)) => return Err(Error::Closed),
            }
        }
        result.await.map_err(|_| Error::Closed)
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        self.events.subscribe()
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    pub(crate) fn set_connection(&self, connection: Connection) {
        let changed = self.connection.send_replace(connection.clone()) != connection;
        if changed {
            let _ = self.events.send(SpaceEvent::Connection(connection));
        }
    }

    /// Ends the thread after what is queued, and closes the store.
    pub(crate) fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = self.queue.send(Command::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut core: Core, work: &Receiver<Command>) {
    while let Ok(Command::Run(work)) = work.recv() {
        work(&mut core);
    }
}
