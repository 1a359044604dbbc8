//! Changing who a person's devices are (protocol §2.3): online, one change at a time, and
//! followed by a new epoch.

use std::time::Duration;

use ajar_engine::{EngineError, Now, Outputs, Replica};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::driver::Driver;
use crate::error::{ConnectError, Error};
use crate::event::{Connection, SpaceEvent};
use crate::space::{Leave, Space};
use crate::store::SealedStore;

impl Space {
    /// Brings everything up to date with the relay, proposes a link, waits until the relay has
    /// stored it, and makes a new epoch for those who are members then. A connection that was
    /// there before stays.
    ///
    /// # Errors
    /// [`Error::Undelivered`] when the relay was not there in time: whether the link counts is
    /// known after the next exchange. [`Error::MemberRefused`], [`Error::Misuse`]: nothing
    /// changed.
    pub(crate) async fn change_membership(
        &self,
        wait: Duration,
        propose: impl FnOnce(&mut Replica<SealedStore>, Now) -> Result<Outputs, EngineError>
        + Send
        + 'static,
    ) -> Result<(), Error> {
        let until = Instant::now() + wait;
        let mut events = self.worker().events();
        let was_off = self.lock_driver().as_ref().is_none_or(Driver::is_over);
        self.connect()?;
        let mut leave = Leave(was_off.then_some(self));
        self.hurry();
        self.settled_until(until).await?;
        let seq = self
            .worker()
            .call_async(move |core| {
                let seq = own_links(&core.replica);
                let proposed = propose(&mut core.replica, clock::now())?;
                core.dispatch(proposed);
                Ok::<_, EngineError>(seq)
            })
            .await??;
        loop {
            let event = timeout_at(until, events.recv())
                .await
                .map_err(|_| Error::Undelivered(ConnectError::TimedOut))?;
            match event {
                Ok(SpaceEvent::MemberRefused(reason)) => return Err(Error::MemberRefused(reason)),
                Ok(SpaceEvent::Connection(Connection::Waiting { why, .. })) => {
                    return Err(Error::Undelivered(why));
                }
                Ok(SpaceEvent::Member { .. }) | Err(RecvError::Lagged(_)) => {
                    let taken = self
                        .worker()
                        .call_async(move |core| own_links(&core.replica) > seq);
                    if taken.await? {
                        break;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Closed) => return Err(Error::Closed),
            }
        }
        self.rotate().await?;
        // The link counts already. If the new epoch does not get through now, it does with the
        // next exchange, and nothing is written under the old one here.
        let _later = self.settled_until(until).await;
        if leave.0.take().is_some() {
            self.disconnect().await;
        }
        Ok(())
    }

    /// Makes a new epoch if those who should read now are not those of the current one.
    pub(crate) async fn rotate(&self) -> Result<(), Error> {
        self.worker()
            .call_async(|core| {
                let rotated = core.replica.rotate(&mut clock::entropy())?;
                core.dispatch(rotated);
                Ok::<_, EngineError>(())
            })
            .await??;
        Ok(())
    }

    async fn settled_until(&self, until: Instant) -> Result<(), Error> {
        match timeout_at(until, self.settled()).await {
            Ok(settled) => settled.map_err(Error::Undelivered),
            Err(_) => Err(Error::Undelivered(self.why_not())),
        }
    }
}

fn own_links(replica: &Replica<SealedStore>) -> u64 {
    replica.own_chain().next_seq()
}
