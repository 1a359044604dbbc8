//! What every command has: where to write, which journal, and a runtime for the network.

use std::future::Future;
use std::path::PathBuf;
use std::time::Instant;

use ajar_sync::{Error, Home, SpaceKind};
use tokio::runtime::{EnterGuard, Runtime};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::output::Output;
use crate::report::{Exit, Failure};
use crate::unlock::{self, Sources, Which};
use crate::{dirs, summaries, terminal};

/// What a command needs to be unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The journal; Only me too if its passphrase is at hand.
    Home,
    /// Only me as well.
    Private,
}

/// The surroundings of one run.
pub(crate) struct Context {
    pub(crate) out: Output,
    given_home: Option<PathBuf>,
    sources: Sources,
    runtime: Runtime,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        if global.verbose {
            let filter = EnvFilter::new("ajar_client=info,ajar_sync=info,ajar_engine=info");
            // A second subscriber in one process happens only in tests.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .without_time()
                .try_init();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::fixable("system", format!("The system gives no threads: {error}."))
            })?;
        Ok(Self {
            out: Output {
                json: global.json,
                quiet: global.quiet,
            },
            given_home: global.home.clone(),
            sources: Sources {
                file: global.passphrase_file.clone(),
                private_file: global.private_passphrase_file.clone(),
            },
            runtime,
        })
    }

    /// The folder of the journal.
    pub(crate) fn dir(&self) -> Result<PathBuf, Failure> {
        dirs::home(self.given_home.as_deref())
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Runs something that uses the network, to its end.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Starts a task; whoever starts it ends it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(task)
    }

    /// Lets handles find the runtime outside of [`Self::block_on`].
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Opens the journal with what is given, or asks.
    pub(crate) fn open_home(&self, need: Need) -> Result<Home, Failure> {
        let dir = self.dir()?;
        if !dir.join("vault.hdr").exists() {
            // Before a passphrase is asked for nothing.
            return Err(Error::NoHome(dir).into());
        }
        let given = self.sources.given(Which::Home)?;
        let tries = if given.is_some() { 1 } else { unlock::TRIES };
        let mut given = given;
        for left in (0..tries).rev() {
            let passphrase = match given.take() {
                Some(passphrase) => passphrase,
                None => unlock::prompt("Passphrase: ")?,
            };
            let mut builder = summaries::builder(&dir).with_passphrase(passphrase);
            if let Some(private) = self.sources.given(Which::Private)? {
                builder = builder.with_private_passphrase(private);
            }
            let began = Instant::now();
            match builder.open() {
                Ok(home) => {
                    tracing::info!(took_ms = began.elapsed().as_millis(), "the journal is open");
                    return self.unlock_private(home, need);
                }
                Err(Error::WrongPassphrase) if left > 0 => {
                    self.out.insist("That is not the passphrase.");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::WrongPassphrase.into())
    }

    /// Asks for the second passphrase if the command cannot do without it.
    fn unlock_private(&self, home: Home, need: Need) -> Result<Home, Failure> {
        if need == Need::Home || home.is_private_unlocked() {
            return Ok(home);
        }
        if let Err(error @ Error::Damaged(_)) = home.space(SpaceKind::Private) {
            // No passphrase helps there.
            return Err(error.into());
        }
        if self.sources.given(Which::Private)?.is_some() || !terminal::can_ask() {
            return Err(Error::PrivateLocked.into());
        }
        home.close()?;
        // Both slots are opened together, so both are asked for.
        let dir = self.dir()?;
        let passphrase = match self.sources.given(Which::Home)? {
            Some(passphrase) => passphrase,
            None => unlock::prompt(
                "Only me has its own passphrase. First the one of the journal again: ",
            )?,
        };
        let private = unlock::prompt("And the passphrase of Only me: ")?;
        let home = summaries::builder(dir)
            .with_passphrase(passphrase)
            .with_private_passphrase(private)
            .open()?;
        if home.is_private_unlocked() {
            Ok(home)
        } else {
            Err(Failure::new(
                Exit::Locked,
                "wrong-passphrase",
                "That is not the passphrase of Only me.",
            ))
        }
    }
}
