//! Ana and Ben: their devices, words and spaces, made from fixed seeds.

use ajar_protocol::auth::{Login, login_hash};
use ajar_protocol::chain::genesis_place;
use ajar_protocol::client_msg::{ChainPosition, ClientMsg};
use ajar_protocol::envelope::assemble;
use ajar_protocol::genesis::{Founder, GenesisBody, membership_head};
use ajar_protocol::id::hash;
use ajar_protocol::label;
use ajar_protocol::link::{
    Cutoff, DevicePublic, LeaveMode, LinkBody, NewDevice, RevokeReason, RootPublic, cosign_hash,
    proof_hash, signed_message,
};
use ajar_protocol::relay_msg::EnvelopeName;
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeHeader, EnvelopeId, EnvelopeType, EpochId, Frontier, Link,
    PartyChain, PartyId, Position, SpaceGenesis, SpaceId,
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

/// The end of a device after its envelope `last`.
fn cutoff(device: &Device, last: Option<EnvelopeName>) -> Cutoff {
    Cutoff {
        device: device.id(),
        counter: last.map_or(0, |last| last.counter),
        id: last.map_or(EnvelopeId::ZERO, |last| last.id),
        reason: RevokeReason::Lost,
    }
}

/// Under which a root key signs.
fn key_id(root: &SigningKey) -> [u8; 32] {
    hash(label::ROOT_ID, &[&root.verifying_key().to_bytes()])
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
        Self::with_login(name, key(name, "login"))
    }

    /// A party that names any login key as its own.
    pub(crate) fn with_login(name: &str, login: SigningKey) -> Self {
        let device = Device::new(name);
        let root = key(name, "root");
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

    /// The next link, signed by the first device and not appended here.
    fn by_device(&self, body: LinkBody) -> Link {
        let signer = self.device.id().0;
        Link::sign(self.chain.next_place(2), body, signer, &self.device.sign)
    }

    /// The next link, signed by the words and not appended here.
    fn by_words(&self, body: LinkBody) -> Link {
        let signer = key_id(&self.root);
        Link::sign(self.chain.next_place(4), body, signer, &self.root)
    }

    /// A link that adds `device`.
    pub(crate) fn add(&self, device: &Device) -> Link {
        self.by_device(LinkBody::DeviceAdd(self.proven(device)))
    }

    /// A link by which the first device revokes `device` after its envelope `last`.
    pub(crate) fn revoke(&self, device: &Device, last: Option<EnvelopeName>) -> Link {
        self.by_device(LinkBody::DeviceRevoke(cutoff(device, last)))
    }

    /// A link by which the first device leaves the space.
    pub(crate) fn leave(&self) -> Link {
        self.by_device(LinkBody::Leave(LeaveMode::Ended))
    }

    /// A link by which the words add `device` and revoke nobody.
    pub(crate) fn recover(&self, device: &Device) -> Link {
        self.recover_without(device, &[])
    }

    /// A link by which the words add `device` and revoke others, nothing of which counts.
    pub(crate) fn recover_without(&self, device: &Device, others: &[&Device]) -> Link {
        let revoked = others.iter().map(|other| cutoff(other, None)).collect();
        let device = self.proven(device);
        self.by_words(LinkBody::Recover { device, revoked })
    }

    /// Replaces the words by new ones: the link, and the party with the new keys.
    pub(crate) fn replace_words(&self, name: &str) -> (Link, Self) {
        let (root, login) = (key(name, "root"), key(name, "login"));
        let public = RootPublic {
            root: root.verifying_key().to_bytes(),
            login: login.verifying_key().to_bytes(),
            recovery_kem: kem(name, "recovery kem"),
        };
        let place = self.chain.next_place(4);
        let message = cosign_hash(&place.party, place.seq, &place.prev, &public);
        let message = signed_message(label::LINK_COSIGN, &message);
        let link = self.by_words(LinkBody::RootReplace {
            root: public,
            cosigner: self.device.id().0,
            cosignature: self.device.sign.sign(&message).to_bytes(),
        });
        let mut after = Self {
            root,
            login,
            ..self.clone()
        };
        after.append(&link);
        (link, after)
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
        Self::private_of(Party::new(name))
    }

    pub(crate) fn private_of(party: Party) -> Self {
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
            mhead: [0; 32],
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
    pub(crate) mhead: [u8; 32],
}

impl Author {
    /// From now on it writes in the knowledge of these chains.
    pub(crate) fn has_seen(&mut self, home: &Home) {
        let chains: Vec<&PartyChain> = home.parties.iter().map(|p| &p.chain).collect();
        let seqs: Vec<u64> = chains.iter().map(|chain| chain.last_seq()).collect();
        self.mhead = membership_head(&chains, &seqs).unwrap();
    }

    /// The next envelope, with `text` where ciphertext would be.
    pub(crate) fn write(&mut self, text: &[u8]) -> Envelope {
        self.write_as(EnvelopeType::Changes, text)
    }

    /// The next envelope, of any type.
    pub(crate) fn write_as(&mut self, kind: EnvelopeType, text: &[u8]) -> Envelope {
        let epoch = kind == EnvelopeType::Epoch;
        let header = EnvelopeHeader {
            kind,
            space: self.space,
            epoch: EpochId(if epoch { [0; 32] } else { [3; 32] }),
            device: self.device.id(),
            counter: self.counter + 1,
            prev: self.prev,
            mhead: self.mhead,
            nonce: if epoch { [0; 24] } else { [4; 24] },
            commitment: if epoch { [0; 32] } else { [5; 32] },
            length: u32::try_from(text.len()).unwrap(),
        };
        let mut body = text.to_vec();
        if !epoch {
            body.extend_from_slice(&[6; 16]);
        }
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

/// The party of a link that is not GENESIS.
pub(crate) fn party_of(link: &Link) -> PartyId {
    assert_ne!(link.seq, 0, "GENESIS names no party");
    link.party
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
