//! What a space offers about burning and about giving up what is folded into a snapshot.

use std::time::Duration;

use ajar_engine::BurnStatus;
use ajar_engine::snapshot::StartProgress;
use ajar_protocol::{BlobId, DocId};
use tokio::time::{Instant, sleep};

use crate::clock;
use crate::error::Error;
use crate::space::Space;

/// How often it is looked whether something is done.
const LOOK: Duration = Duration::from_millis(20);

/// What came of tidying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tidied {
    /// A snapshot was made, or the last one is still right.
    pub snapshot: bool,
    /// The relay has given up what it folds in, or what an earlier one does. Otherwise a device
    /// of the partner has to look at it first.
    pub trimmed: bool,
}

impl Space {
    /// Burns documents for good (protocol §2.14): one's own at once; for those of the other
    /// person, and common ones that the other has not burned too, it is a request. `blobs` are
    /// those that only these documents use. Durable here when it returns.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a document is not there, [`Error::DiskFull`], [`Error::Closed`];
    /// nothing is burned then.
    pub fn burn(&self, docs: &[DocId], blobs: &[BlobId]) -> Result<(), Error> {
        self.check_writable()?;
        let (docs, blobs) = (docs.to_vec(), blobs.to_vec());
        self.worker().call(move |core| {
            let outputs = core
                .replica
                .burn(clock::now(), &mut clock::entropy(), &docs, &blobs)?;
            core.dispatch(outputs);
            Ok(())
        })?
    }

    /// How far each burn is, oldest first.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn burns(&self) -> Result<Vec<BurnStatus>, Error> {
        self.worker().call(|core| core.replica.burns())
    }

    /// Documents of this person, and common ones, that the partner asks to burn.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn burn_requests(&self) -> Result<Vec<DocId>, Error> {
        self.worker().call(|core| core.replica.burn_requests())
    }

    /// The person does not burn what the partner asked for.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn dismiss_burn_requests(&self) -> Result<(), Error> {
        self.worker()
            .call(|core| Ok(core.replica.dismiss_burn_requests()?))?
    }

    /// How far the beginning from a snapshot is; `None` when none is under way.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn start_progress(&self) -> Result<Option<StartProgress>, Error> {
        self.worker().call(|core| core.replica.start_progress())
    }

    /// The person lets a copy of the past count that only the partner's devices vouch for. It
    /// is used with the next connection.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn trust_partners_copy(&self) -> Result<(), Error> {
        self.worker()
            .call(|core| Ok(core.replica.trust_partners_copy()?))?
    }

    /// Makes a snapshot now and asks the relay to give up what it folds in, without the seven
    /// days in which devices that were away could still go on from the log: they jump then.
    /// Connects if need be.
    ///
    /// # Errors
    /// [`Error::Undelivered`] when the relay was not reached within `timeout`.
    pub async fn tidy(&self, timeout: Duration) -> Result<Tidied, Error> {
        let until = Instant::now() + timeout;
        let visit = self.visit()?;
        let tidied = self.tidy_connected(until).await;
        visit.done().await;
        tidied
    }

    async fn tidy_connected(&self, until: Instant) -> Result<Tidied, Error> {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, self.settled()).await {
            Ok(settled) => settled.map_err(Error::Undelivered)?,
            Err(_) => return Err(Error::Undelivered(self.why_not())),
        }
        let before = self.worker().call(|core| {
            core.snapshot_wanted = true;
            core.trim_wanted = true;
            (
                core.replica.base_snapshot(),
                core.replica.folded_envelopes(),
            )
        })?;
        self.inner().chores.notify_one();
        let mut now = before;
        let mut asked = false;
        while Instant::now() < until {
            let (state, wanted, idle) = self.worker().call(|core| {
                let state = (
                    core.replica.base_snapshot(),
                    core.replica.folded_envelopes(),
                );
                let wanted = core.snapshot_wanted || core.trim_wanted;
                // A snapshot that the relay has not confirmed yet is no ground to trim to.
                let idle = core.replica.relay_has_everything()
                    && !core.replica.has_errands(clock::now())?;
                Ok::<_, Error>((state, wanted, idle))
            })??;
            now = state;
            if idle && !wanted && now.0 != before.0 {
                if std::mem::replace(&mut asked, true) {
                    break;
                }
                // Once more, for the snapshot that is there now.
                self.worker().call(|core| core.trim_wanted = true)?;
                self.inner().chores.notify_one();
            }
            sleep(LOOK).await;
        }
        Ok(Tidied {
            snapshot: now.0 != before.0,
            trimmed: now.1 != before.1,
        })
    }

    /// Waits until nothing is left that a device does of itself, at most so long after the last
    /// blob went up: a snapshot that a slow line cuts short would begin anew each time.
    pub(crate) async fn errands_done(&self, at_most: Duration) -> Result<(), Error> {
        let mut until = Instant::now() + at_most;
        let mut pending = self.blobs_pending();
        loop {
            let work = |core: &mut crate::core::Core| core.replica.has_errands(clock::now());
            let left = self.inner().worker.call_async(work).await??;
            let now_pending = self.blobs_pending();
            if now_pending < pending {
                until = Instant::now() + at_most;
            }
            pending = now_pending;
            if !left || Instant::now() >= until {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}
