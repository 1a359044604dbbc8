//! What comes from a relay, looked at before the replica takes it: signatures are half the work
//! of catching up, and need nothing but the keys of the devices.

use std::collections::BTreeMap;

use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{DeviceId, Envelope};

use crate::replica::Replica;
use crate::store::Store;

/// A message of a relay on its way to [`Replica::receive`].
#[derive(Debug)]
pub struct Incoming(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Message(RelayMsg),
    Envelope(Box<Envelope>),
}

impl From<RelayMsg> for Incoming {
    fn from(message: RelayMsg) -> Self {
        Self(Kind::Message(message))
    }
}

/// Signature keys of the devices that a replica knew at one moment. The id of a device is a hash
/// over its keys, so they never change.
#[derive(Clone, Debug, Default)]
pub struct Signers(BTreeMap<DeviceId, [u8; 32]>);

impl Signers {
    /// Checks the signature of an envelope, on any thread. What is not known here, or does not
    /// hold, is for the replica to judge.
    #[must_use]
    pub fn look_at(&self, message: RelayMsg) -> Incoming {
        if let RelayMsg::Envelope(bytes) = &message
            && let Ok(mut envelope) = Envelope::parse(bytes)
            && let Some(key) = self.0.get(&envelope.header().device)
            && envelope.check_signature(key).is_ok()
        {
            return Incoming(Kind::Envelope(Box::new(envelope)));
        }
        message.into()
    }
}

impl<S: Store> Replica<S> {
    /// Keys of all devices that this replica knows now.
    #[must_use]
    pub fn signers(&self) -> Signers {
        let chains = self.space.chains.iter();
        let devices = chains.flat_map(|chain| chain.devices());
        Signers(
            devices
                .map(|(id, device)| (*id, device.keys.sign))
                .collect(),
        )
    }
}
