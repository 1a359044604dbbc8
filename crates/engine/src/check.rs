//! Reading back everything a replica holds.

use ajar_protocol::{DeviceId, Envelope, EnvelopeId};

use crate::error::EngineError;
use crate::replica::Replica;
use crate::store::Store;

/// What was read and what was found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Envelopes read.
    pub envelopes: u64,
    /// Documents read.
    pub documents: usize,
    /// What is not as it should be, in words.
    pub findings: Vec<String>,
}

impl<S: Store> Replica<S> {
    /// Reads every envelope up to the frontier and every document, and checks the chains of
    /// envelopes. Changes nothing.
    pub fn check(&mut self) -> Checked {
        let mut checked = Checked::default();
        let rows: Vec<(DeviceId, u64)> = self
            .frontier()
            .rows()
            .map(|(device, position)| (*device, position.counter))
            .collect();
        for (device, last) in rows {
            let floor = self.floor(&device);
            let mut prev = floor.map_or(EnvelopeId::ZERO, |floor| floor.id);
            for counter in floor.map_or(0, |floor| floor.counter) + 1..=last {
                match self.stored_envelope(&device, counter) {
                    Ok(Some(envelope)) if envelope.header().prev == prev => {
                        checked.envelopes += 1;
                        prev = envelope.id();
                    }
                    Ok(Some(envelope)) => {
                        checked.findings.push(format!(
                            "envelope {counter} of {device:?} does not follow the one before"
                        ));
                        prev = envelope.id();
                    }
                    Ok(None) => {
                        checked
                            .findings
                            .push(format!("envelope {counter} of {device:?} is missing"));
                        break;
                    }
                    Err(error) => {
                        checked
                            .findings
                            .push(format!("envelope {counter} of {device:?}: {error}"));
                        break;
                    }
                }
            }
        }
        let docs = self.ids_from(0).unwrap_or_else(|error| {
            checked.findings.push(format!("the documents: {error}"));
            Vec::new()
        });
        for doc in docs {
            match self.document(&doc) {
                Ok(_) => checked.documents += 1,
                // It has no changes now.
                Err(EngineError::Misuse(_)) => {}
                Err(error) => checked.findings.push(format!("document {doc:?}: {error}")),
            }
        }
        checked
    }

    /// One envelope as it is kept; `None` beyond the frontier.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::Damaged`].
    pub fn envelope(
        &mut self,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Option<Envelope>, EngineError> {
        self.stored_envelope(device, counter)
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }
}
