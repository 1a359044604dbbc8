//! What a device does of itself while it is connected: confirm a burn, endorse a snapshot where
//! that tells nobody anything, ask the relay to give up what is folded in.

use ajar_crypto::Entropy;

use crate::clock::Now;
use crate::error::EngineError;
use crate::output::Outputs;
use crate::replica::Replica;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Does what is due. To be called after messages were received and when time has passed.
    ///
    /// # Errors
    /// [`EngineError`]; it is tried again with the next call.
    pub fn errands(&mut self, now: Now, entropy: &mut dyn Entropy) -> Result<Outputs, EngineError> {
        let mut outputs = Outputs::default();
        if !self.caught_up() || self.starting.is_some() {
            return Ok(outputs);
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
        outputs.send.extend(self.trim_when_ripe(now, false)?);
        Ok(outputs)
    }
}
