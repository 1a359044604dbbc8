//! Resting, leaving quietly, and ending the shared space (protocol §2.19). Reading what is
//! here stays possible in every case.

use std::time::Duration;

use ajar_engine::{EngineError, Misuse};
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::LeaveMode;
use tokio::time::timeout;

use super::{Home, mode};
use crate::clock;
use crate::error::{ConnectError, Error};
use crate::space::Space;

/// Pause before looking again for the relay's answer to the end.
const AGAIN: Duration = Duration::from_millis(100);

/// How things stand with the shared space on this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// As usual.
    Open,
    /// It rests on this device: nothing travels, writing is possible.
    Paused,
    /// The person left it quietly: nothing travels, nothing can be written, nobody was told.
    Left,
    /// One of the two has ended it, and both know: nothing can be written any more.
    Ended,
}

impl Home {
    /// How things stand with the shared space on this device.
    ///
    /// # Errors
    /// [`Error::NotPaired`], [`Error::Closed`].
    pub fn sharing(&self) -> Result<Sharing, Error> {
        let space = self.space(SpaceKind::Shared)?.unnoticed();
        if space.worker().call(|core| core.replica.has_ended())? {
            return Ok(Sharing::Ended);
        }
        Ok(match self.inner.shared.read(|keys| keys.mode) {
            mode::USUAL => Sharing::Open,
            left if mode::is_left(left) => Sharing::Left,
            _ => Sharing::Paused,
        })
    }

    /// Lets the shared space rest on this device: nothing of it is sent or fetched until
    /// [`Self::resume`]. Other devices go on. The connection has ended when this returns.
    ///
    /// # Errors
    /// [`Error::NotPaired`], [`Error::Left`], [`Error::DiskFull`], [`Error::Unreadable`].
    pub async fn pause(&self) -> Result<(), Error> {
        self.set_mode(mode::PAUSED)?;
        self.hang_up(SpaceKind::Shared).await;
        Ok(())
    }

    /// Ends the rest of [`Self::pause`]: connecting is possible again.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&self) -> Result<(), Error> {
        self.set_mode(mode::USUAL)
    }

    fn set_mode(&self, wanted: u8) -> Result<(), Error> {
        self.space(SpaceKind::Shared)?;
        self.inner.shared.update(|keys| {
            if mode::is_left(keys.mode) {
                return Err(Error::Left);
            }
            keys.mode = wanted;
            Ok(())
        })?
    }

    /// Leaves the shared space without a word: from now on nothing of it is sent or asked
    /// for, by this device or, as soon as they hear of it inside *Only me*, by the person's
    /// others. The partner sees silence, as from somebody without a network. What is here can
    /// be read and exported. The connection has ended when this returns. While *Only me* is
    /// locked, the other devices hear of it after it was unlocked here.
    ///
    /// # Errors
    /// [`Error::NotPaired`], [`Error::DiskFull`], [`Error::Unreadable`]: even then, this
    /// device is silent until the home is closed.
    pub async fn leave_quietly(&self) -> Result<(), Error> {
        self.space(SpaceKind::Shared)?;
        let keys = self.inner.shared.get().ok_or(Error::Closed)?;
        let kept = keys.insist(|keys| {
            if !mode::is_left(keys.mode) {
                keys.mode = mode::LEFT_UNTOLD;
            }
        });
        drop(keys);
        self.hang_up(SpaceKind::Shared).await;
        kept?;
        self.tell_that_we_left()
    }

    /// Tells the person's other devices, once *Only me* is open.
    pub(super) fn tell_that_we_left(&self) -> Result<(), Error> {
        let untold = self.inner.shared.read(|keys| keys.mode) == mode::LEFT_UNTOLD;
        if !untold || self.space(SpaceKind::Private).is_err() {
            return Ok(());
        }
        let mut record = self.home_record();
        record.shared = self.shared_id().or(record.shared);
        record.left_quietly = true;
        self.note_home(&record)?;
        self.inner.shared.update(|keys| keys.mode = mode::LEFT)
    }

    /// Comes back after [`Self::leave_quietly`], on this device. What was written before and
    /// not sent goes with the next exchange. The person's other devices stay silent until
    /// they are told the same, each on its own: nothing goes on by itself.
    ///
    /// # Errors
    /// [`Error::PrivateLocked`]: what was decided is kept in *Only me* for the other devices,
    /// so it has to be open. [`Error::NotPaired`], [`Error::DiskFull`],
    /// [`Error::Unreadable`].
    pub fn return_after_leaving(&self) -> Result<(), Error> {
        self.space(SpaceKind::Shared)?;
        let mode = self.inner.shared.read(|keys| keys.mode);
        if mode == mode::LEFT {
            // Otherwise the record would be followed again.
            self.space(SpaceKind::Private)?;
            let mut record = self.home_record();
            record.left_quietly = false;
            self.note_home(&record)?;
        }
        self.inner.shared.update(|keys| {
            if mode::is_left(keys.mode) {
                keys.mode = mode::USUAL;
            }
        })
    }

    /// Ends the shared space for both: signed, told to the partner, and for ever. Both keep
    /// what they have and can read and export it. Needs the relay, because only what it has
    /// stored has happened; when it does not answer in time, nothing has, or it shows
    /// with the next exchange. Ending what has ended does nothing.
    ///
    /// # Errors
    /// [`Error::NotPaired`], [`Error::Undelivered`], [`Error::Misuse`];
    /// [`ConnectError::Paused`] and [`ConnectError::Left`] while it rests or was left.
    pub async fn end(&self, within: Duration) -> Result<(), Error> {
        let _busy = self.inner.activity.busy();
        let space = self.space(SpaceKind::Shared)?;
        if self.sharing()? == Sharing::Ended {
            return Ok(());
        }
        let visit = space.visit()?;
        let ended = timeout(within, ended(&space)).await;
        visit.done().await;
        ended.unwrap_or(Err(Error::Undelivered(ConnectError::TimedOut)))
    }
}

/// Proposes the end whenever the relay is there, until it is in the chain.
async fn ended(space: &Space) -> Result<(), Error> {
    loop {
        space.relay_has_everything().await?;
        let step = space.worker().call_async(|core| {
            if core.replica.has_ended() {
                return Ok(true);
            }
            match core.replica.propose_leave(clock::now(), LeaveMode::Ended) {
                Ok(outputs) => core.dispatch(outputs),
                // The answer is on its way, or the line was just lost.
                Err(EngineError::Misuse(Misuse::ChangeUnderWay | Misuse::NeedsRelay)) => {}
                Err(error) => return Err(Error::from(error)),
            }
            Ok(false)
        });
        if step.await?? {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}
