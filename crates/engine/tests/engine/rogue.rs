//! A member who turned hostile: it holds real keys and signs whatever it likes.

use ajar_crypto::epoch::{NewEpoch, create_epoch};
use ajar_crypto::seal::{Draft, Placement, seal_envelope};
use ajar_crypto::{DeviceSecrets, EpochKey, Secret};
use ajar_engine::store::Store;
use ajar_protocol::changes::{Changes, Compression, DocChanges, join};
use ajar_protocol::epoch::{EpochReason, Recipient, recipients};
use ajar_protocol::genesis::membership_head;
use ajar_protocol::{
    DocId, Envelope, EnvelopeId, EnvelopeType, EpochId, LinkHash, PartyChain, Position, SpaceId, id,
};
use rand_chacha::ChaCha20Rng;

use crate::world::{World, rng};

pub(crate) struct Rogue {
    pub(crate) secrets: DeviceSecrets,
    pub(crate) space: SpaceId,
    pub(crate) last: Option<Position>,
    pub(crate) mhead: [u8; 32],
    pub(crate) chains: Vec<PartyChain>,
    pub(crate) epoch: EpochId,
    pub(crate) key: EpochKey,
    pub(crate) rng: ChaCha20Rng,
}

impl Rogue {
    /// Takes over a device: its honest replica must not be used any more.
    pub(crate) fn of(world: &mut World, who: usize) -> Self {
        let secrets = world.secrets(who);
        let ring = world.devices[who].store.load_keys().unwrap().unwrap();
        let newest = world.relay.log.iter().rev().find_map(|bytes| {
            let header = *Envelope::parse(bytes).unwrap().header();
            (header.kind == EnvelopeType::Changes).then_some(header.epoch)
        });
        let mut keys = ring[99..].chunks_exact(64).map(|entry| {
            let id = EpochId(entry[..32].try_into().unwrap());
            (id, EpochKey::new(Secret::from_slice(&entry[32..]).unwrap()))
        });
        let (epoch, key) = match newest {
            Some(newest) => keys.find(|(id, _)| *id == newest).unwrap(),
            None => keys.next().unwrap(),
        };
        let chains = world.relay.chains.clone();
        let seqs: Vec<u64> = chains.iter().map(PartyChain::last_seq).collect();
        let refs: Vec<&PartyChain> = chains.iter().collect();
        Self {
            last: world.devices[who].home.frontier().of(&secrets.id()),
            space: world.devices[who].home.space_id(),
            mhead: membership_head(&refs, &seqs).unwrap(),
            chains,
            epoch,
            key,
            rng: rng(666),
            secrets,
        }
    }

    pub(crate) fn actor(&self, doc: &DocId) -> [u8; 16] {
        id::actor(&self.space, &self.secrets.id(), doc, 0)
    }

    fn placement(&self) -> Placement {
        Placement {
            space: self.space,
            counter: self.last.map_or(0, |last| last.counter) + 1,
            prev: self.last.map_or(EnvelopeId::ZERO, |last| last.id),
            mhead: self.mhead,
        }
    }

    /// Seals any plaintext as the device's next envelope.
    pub(crate) fn seal(&mut self, kind: EnvelopeType, plaintext: &[u8]) -> Vec<u8> {
        let draft = Draft {
            kind,
            epoch: self.epoch,
            key: &self.key,
            plaintext,
        };
        let place = self.placement();
        let envelope = seal_envelope(&place, &draft, &self.secrets, &mut self.rng).unwrap();
        self.sent(&envelope)
    }

    fn sent(&mut self, envelope: &Envelope) -> Vec<u8> {
        self.last = Some(Position {
            counter: envelope.header().counter,
            id: envelope.id(),
        });
        envelope.as_bytes().to_vec()
    }

    pub(crate) fn content(&mut self, content: &Changes) -> Vec<u8> {
        let encoded = content.encode().unwrap();
        self.seal(EnvelopeType::Changes, &join(Compression::None, &encoded))
    }

    /// An envelope with changes of one document.
    pub(crate) fn changes(&mut self, doc: DocId, changes: Vec<Vec<u8>>) -> Vec<u8> {
        self.content(&Changes {
            docs: vec![DocChanges {
                doc,
                incarnation: 0,
                changes,
            }],
            ..Changes::default()
        })
    }

    /// The recipients that an honest epoch would have now.
    pub(crate) fn recipients(&self) -> Vec<Recipient> {
        let refs: Vec<&PartyChain> = self.chains.iter().collect();
        let seqs: Vec<u64> = self.chains.iter().map(PartyChain::last_seq).collect();
        recipients(&refs, &seqs).unwrap()
    }

    /// An epoch after the current one, with any number, parents and recipients.
    pub(crate) fn epoch(&mut self, number: u64, parents: &[EpochId], to: &[Recipient]) -> Vec<u8> {
        let head = |place: usize| {
            self.chains
                .get(place)
                .map_or(LinkHash::ZERO, PartyChain::head)
        };
        let new = NewEpoch {
            number,
            reason: EpochReason::Periodic,
            parents,
            head_lower: head(0),
            head_higher: head(1),
            recipients: to,
            history: &[(self.epoch, self.key.clone())],
        };
        let place = self.placement();
        let (envelope, _) = create_epoch(&place, &new, &self.secrets, &mut self.rng).unwrap();
        self.sent(&envelope)
    }
}
