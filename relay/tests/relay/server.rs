//! A relay inside the test, on a free port, with storage that the test can slow down or break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ajar_relay::claims::Claims;
use ajar_relay::data::DataDir;
use ajar_relay::storage::{MemoryStore, Store};
use ajar_relay::{Config, Identity, Limits, Ready, ServeError, serve_on};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct TestRelay {
    pub(crate) ready: Ready,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) data: DataDir,
    dir: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

/// Limits under which many tests from one address do not meet.
pub(crate) fn generous() -> Limits {
    Limits {
        refusal_milliseconds: 20,
        mailbox_opens_per_hour: 1000,
        mailbox_joins_per_hour: 1000,
        ..Limits::default()
    }
}

/// Waits until the store holds a commit back.
pub(crate) async fn until_waiting(relay: &TestRelay) {
    for _ in 0..1000 {
        if relay.store.waiting() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing is being written");
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        Self::with(generous()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        data.init(None, None).unwrap();
        let store = Arc::new(MemoryStore::new());
        Self::run(dir, data, store, limits).await
    }

    async fn run(dir: TempDir, data: DataDir, store: Arc<MemoryStore>, limits: Limits) -> Self {
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(dir.path(), listen);
        config.limits = limits;
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let shared: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let served = tokio::spawn(serve_on(config, shared, tell, async {
            let _ = stopped.await;
        }));
        Self {
            ready: told.await.unwrap(),
            store,
            data,
            dir,
            stop,
            served,
        }
    }

    pub(crate) fn key(&self) -> [u8; 32] {
        self.ready.address.key
    }

    pub(crate) fn identity(&self) -> Identity {
        self.data.identity().unwrap()
    }

    pub(crate) fn claim(&self, spaces: u32) -> [u8; 16] {
        Claims::of(&self.data).create(spaces).unwrap()
    }

    /// Stops it, waits for its end, and starts it again with what it has stored and its key.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// As [`Self::restart`], with something done in between.
    pub(crate) async fn restart_after(self, between: impl FnOnce()) -> Self {
        let Self {
            store,
            data,
            dir,
            stop,
            served,
            ..
        } = self;
        drop(stop);
        served.await.unwrap().unwrap();
        between();
        Self::run(dir, data, store, generous()).await
    }

    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        drop(self.stop);
        self.served.await.unwrap()
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        let result = self.served.await.unwrap();
        drop(self.stop);
        result
    }
}
