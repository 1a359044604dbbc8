//! Ana and Ben: their devices, words and spaces, made from fixed seeds.

use ajar_protocol::auth::{Login, login_hash};
use ajar_protocol::chain::genesis_place;
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::envelope::assemble;
use ajar_protocol::genesis::{Founder, GenesisBody};
use ajar_protocol::id::hash;
use ajar_protocol::label;
use ajar_protocol::link::{
    Cutoff, DevicePublic, LinkBody, NewDevice, RevokeReason, RootPublic, proof_hash, signed_message,
};
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, Frontier, Link,
    PartyChain, Position, SpaceGenesis, SpaceId,
};
use ed25519_dalek::{Signer, SigningKey};

fn seed(name: &str, use_: &str) -> [u8; 32] {
    hash("test", &[name.as_bytes(), b"/", use_.as_bytes()])
}

/// An X25519 public key needs its top bit clear; nobody here holds the secret.
fn kem(name: &str, use_: &str) -> [u8; 32] {
    let mut key = seed(name, use_);
    key[31] &= 0x7f;
    key
}

fn key(name: &str, use_: &str) -> SigningKey {
    SigningKey::from_bytes(&seed(name, use_))
}

/// A device with its keys.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) sign: SigningKey,
    pub(crate) auth: SigningKey,
    pub(crate) public: DevicePublic,
}

impl Device {
    pub(crate) fn new(name: &str) -> Self {
        let (sign, auth) = (key(name, "sign"), key(name, "auth"));
        let public = DevicePublic {
            sign: sign.verifying_key().to_bytes(),
            kem: kem(name, "kem"),
            auth: auth.verifying_key().to_bytes(),
        };
        Self { sign, auth, public }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.public.id()
    }
}

/// A party with its first device and root keys.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) chain: PartyChain,
    pub(crate) device: Device,
    pub(crate) root: SigningKey,
    pub(crate) login: SigningKey,
}

impl Party {
    pub(crate) fn new(name: &str) -> Self {
        let device = Device::new(name);
        let (root, login) = (key(name, "root"), key(name, "login"));
        let body = LinkBody::Genesis {
            slot: 0,
            root: RootPublic {
                root: root.verifying_key().to_bytes(),
                login: login.verifying_key().to_bytes(),
                recovery_kem: kem(name, "recovery kem"),
            },
            device: device.public,
            random: [7; 16],
        };
        let link = Link::sign(genesis_place(1), body, device.id().0, &device.sign);
        Self {
            chain: PartyChain::start(link).unwrap(),
            device,
            root,
            login,
        }
    }

    fn proven(&self, device: &Device) -> NewDevice {
        let place = self.chain.next_place(2);
        let message = proof_hash(&place.party, place.seq, &place.prev, &device.public);
        let proof = device.sign.sign(&signed_message(label::LINK_POP, &message));
        NewDevice {
            keys: device.public,
            sealed_label: vec![1, 2, 3],
            proof: proof.to_bytes(),
        }
    }

    /// A link that adds `device`, not appended here.
    pub(crate) fn add(&self, device: &Device) -> Link {
        let body = LinkBody::DeviceAdd(self.proven(device));
        let signer = self.device.id().0;
        Link::sign(self.chain.next_place(2), body, signer, &self.device.sign)
    }

    /// A link by which the first device revokes `device` after its envelope `last`.
    pub(crate) fn revoke(&self, device: &Device, last: Option<EnvelopeName>) -> Link {
        let body = LinkBody::DeviceRevoke(Cutoff {
            device: device.id(),
            counter: last.map_or(0, |last| last.counter),
            id: last.map_or(EnvelopeId::ZERO, |last| last.id),
            reason: RevokeReason::Lost,
        });
        let signer = self.device.id().0;
        Link::sign(self.chain.next_place(3), body, signer, &self.device.sign)
    }

    /// A link by which the words add `device` and revoke nobody.
    pub(crate) fn recover(&self, device: &Device) -> Link {
        let body = LinkBody::Recover {
            device: self.proven(device),
            revoked: Vec::new(),
        };
        let signer = self.chain.root().root_id();
        Link::sign(self.chain.next_place(4), body, signer, &self.root)
    }

    pub(crate) fn append(&mut self, link: &Link) {
        self.chain.append(link.clone()).unwrap();
    }
}

/// A space and who is in it.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) genesis: SpaceGenesis,
    pub(crate) parties: Vec<Party>,
}

impl Home {
    pub(crate) fn private(name: &str) -> Self {
        let party = Party::new(name);
        let body = GenesisBody::private(Founder {
            party: party.chain.id(),
            random: [1; 16],
        });
        let signature = body.sign(&party.device.sign);
        Self {
            genesis: SpaceGenesis::new(body, vec![signature]).unwrap(),
            parties: vec![party],
        }
    }

    pub(crate) fn shared(one: &str, other: &str) -> Self {
        let mut parties = vec![Party::new(one), Party::new(other)];
        parties.sort_by_key(|party| party.chain.id());
        let founder = |party: &Party| Founder {
            party: party.chain.id(),
            random: [2; 16],
        };
        let body = GenesisBody::shared(founder(&parties[0]), founder(&parties[1])).unwrap();
        let signatures = parties.iter().map(|p| body.sign(&p.device.sign)).collect();
        Self {
            genesis: SpaceGenesis::new(body, signatures).unwrap(),
            parties,
        }
    }

    pub(crate) fn id(&self) -> SpaceId {
        self.genesis.id()
    }

    /// All links, lower party first.
    pub(crate) fn links(&self) -> Vec<Link> {
        let chains = self.parties.iter().map(|party| &party.chain);
        chains.flat_map(|chain| chain.links().to_vec()).collect()
    }

    /// The chains as held by a client that has all of this.
    pub(crate) fn positions(&self) -> Vec<ChainPosition> {
        let chains = self.parties.iter().map(|party| &party.chain);
        chains
            .map(|chain| ChainPosition {
                party: chain.id(),
                next: chain.next_seq(),
            })
            .collect()
    }

    pub(crate) fn author(&self, device: &Device) -> Author {
        Author {
            space: self.id(),
            device: device.clone(),
            counter: 0,
            prev: EnvelopeId::ZERO,
        }
    }
}

/// A device's line of envelopes.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) space: SpaceId,
    pub(crate) device: Device,
    pub(crate) counter: u64,
    pub(crate) prev: EnvelopeId,
}

impl Author {
    /// The next envelope, with `text` where ciphertext would be.
    pub(crate) fn write(&mut self, text: &[u8]) -> Envelope {
        let header = EnvelopeHeader {
            kind: EnvelopeType::Changes,
            space: self.space,
            epoch: EpochId([3; 32]),
            device: self.device.id(),
            counter: self.counter + 1,
            prev: self.prev,
            mhead: [0; 32],
            nonce: [4; 24],
            commitment: [5; 32],
            length: u32::try_from(text.len()).unwrap(),
        };
        let mut body = text.to_vec();
        body.extend_from_slice(&[6; 16]);
        let envelope = assemble(&header, &body, |id| {
            let signature = self
                .device
                .sign
                .sign(&signed_message(label::ENV_SIG, &id.0));
            signature.to_bytes()
        })
        .unwrap();
        self.counter += 1;
        self.prev = envelope.id();
        envelope
    }

    /// Position after what has been written.
    pub(crate) fn frontier(&self) -> Frontier {
        let position = Position {
            counter: self.counter,
            id: self.prev,
        };
        let rows = (self.counter > 0).then(|| (self.device.id(), position));
        rows.into_iter().collect()
    }
}

pub(crate) fn name(envelope: &Envelope) -> EnvelopeName {
    EnvelopeName {
        device: envelope.header().device,
        counter: envelope.header().counter,
        id: envelope.id(),
    }
}

pub(crate) fn append(envelope: &Envelope) -> ClientMsg {
    ClientMsg::Append(envelope.as_bytes().to_vec())
}

pub(crate) fn append_link(link: &Link) -> ClientMsg {
    ClientMsg::AppendLink(link.as_bytes().to_vec())
}

/// A login as `device` with the key `auth`.
pub(crate) fn login(
    exporter: &[u8; 32],
    relay: &[u8; 32],
    space: SpaceId,
    device: DeviceId,
    auth: &SigningKey,
) -> Login {
    let public = auth.verifying_key().to_bytes();
    let message = login_hash(exporter, relay, &space, &device, &public);
    let signature = auth.sign(&signed_message(label::RELAY_AUTH, &message));
    Login {
        relay: *relay,
        space,
        device,
        auth: public,
        signature: signature.to_bytes(),
    }
}
