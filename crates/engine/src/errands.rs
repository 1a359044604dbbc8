//! What a device does of itself while it is connected: confirm a burn, endorse a snapshot where
//! that tells nobody anything, ask the relay to give up what is folded in.

use ajar_crypto::Entropy;

use crate::clock::Now;
use crate::error::EngineError;
use crate::output::Outputs;
use crate::replica::Replica;
use crate::snapshot::Standing;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Whether something is left to do for which it must stay connected.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn has_errands(&mut self, now: Now) -> Result<bool, EngineError> {
        let under_way = self.starting.is_some()
            || self.comparing.is_some()
            || self.making.is_some()
            || self.sweeps()
            || self.owes_scrub();
        if under_way {
            return Ok(true);
        }
        if !self.caught_up() || self.may_write().is_err() {
            return Ok(false);
        }
        if self.is_trimming(now)? || self.snapshot_due()? || self.owes_answer(now) {
            return Ok(true);
        }
        self.owes_word()
    }

    /// Whether a snapshot is to be compared, or an endorsement to be written now.
    fn owes_word(&mut self) -> Result<bool, EngineError> {
        for seen in self.folded.seen.clone() {
            let owed = match seen.standing {
                Standing::New if !self.can_compare(&seen) => false,
                Standing::New => {
                    let snapshot = self.snapshot_of(&seen.name)?;
                    snapshot.is_none_or(|snapshot| !self.lacks_votes(&snapshot))
                }
                Standing::Same if self.space.partner().is_none() => true,
                Standing::Same => self.waits_for_all(&seen)?,
                Standing::Endorsed | Standing::Differs => false,
            };
            if owed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what is due. To be called after messages were received and when time has passed.
    ///
    /// # Errors
    /// [`EngineError`]; it is tried again with the next call.
    pub fn errands(&mut self, now: Now, entropy: &mut dyn Entropy) -> Result<Outputs, EngineError> {
        let mut outputs = Outputs::default();
        if !self.caught_up() || self.starting.is_some() {
            return Ok(outputs);
        }
        self.settle_burns()?;
        if !self.is_clean() {
            outputs.events.extend(self.commit()?);
        }
        if self.may_write().is_ok() && self.owes_endorsement() {
            let written = self.endorse_due(now, entropy, false);
            if written.is_err() && !self.is_clean() {
                self.reread()?;
            }
            written?;
            outputs.events.extend(self.commit()?);
            outputs.send.extend(self.pump()?);
        }
        if self.may_write().is_ok() && self.owes_answer(now) {
            let written = self.answer_burn(now, entropy);
            if written.is_err() && !self.is_clean() {
                self.reread()?;
            }
            written?;
            outputs.events.extend(self.commit()?);
            outputs.send.extend(self.pump()?);
        }
        outputs.send.extend(self.trim_when_ripe(now, false)?);
        Ok(outputs)
    }
}
