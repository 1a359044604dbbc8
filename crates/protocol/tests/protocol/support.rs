//! Ana, Ben and their devices, with keys that follow from their names.

use ajar_protocol::chain::{AppendOutcome, ChainError, genesis_place};
use ajar_protocol::id::hash;
use ajar_protocol::link::{
    Cutoff, LinkPlace, NewDevice, RevokeReason, RootPublic, cosign_hash, proof_hash, signed_message,
};
use ajar_protocol::{
    DeviceId, DevicePublic, EnvelopeId, Link, LinkBody, LinkHash, PartyChain, label,
};
use ed25519_dalek::{Signer, SigningKey};

/// What every link in these tests claims: 1 May 2026.
pub(crate) const TIME: u64 = 1_777_593_600_000;

fn signing_key(owner: &str, purpose: &str) -> SigningKey {
    SigningKey::from_bytes(&hash(purpose, &[owner.as_bytes()]))
}

/// Any canonical X coordinate: nothing in this crate computes with it.
fn kem_key(owner: &str, purpose: &str) -> [u8; 32] {
    let mut key = hash(purpose, &[owner.as_bytes()]);
    key[31] &= 0x3f;
    key
}

/// Whoever may sign a link.
pub(crate) trait Signs {
    fn signer(&self) -> [u8; 32];
    fn key(&self) -> &SigningKey;
}

pub(crate) struct Device {
    pub(crate) sign: SigningKey,
    pub(crate) auth: SigningKey,
    pub(crate) public: DevicePublic,
}

impl Device {
    pub(crate) fn new(name: &str) -> Self {
        let (sign, auth) = (signing_key(name, "sign"), signing_key(name, "auth"));
        let public = DevicePublic {
            sign: sign.verifying_key().to_bytes(),
            kem: kem_key(name, "kem"),
            auth: auth.verifying_key().to_bytes(),
        };
        Self { sign, auth, public }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.public.id()
    }
}

impl Signs for Device {
    fn signer(&self) -> [u8; 32] {
        self.id().0
    }

    fn key(&self) -> &SigningKey {
        &self.sign
    }
}

/// The keys of twelve words.
pub(crate) struct Words {
    pub(crate) root: SigningKey,
    pub(crate) public: RootPublic,
}

impl Words {
    pub(crate) fn new(name: &str) -> Self {
        let (root, login) = (signing_key(name, "root"), signing_key(name, "login"));
        let public = RootPublic {
            root: root.verifying_key().to_bytes(),
            login: login.verifying_key().to_bytes(),
            recovery_kem: kem_key(name, "recovery"),
        };
        Self { root, public }
    }
}

impl Signs for Words {
    fn signer(&self) -> [u8; 32] {
        self.public.root_id()
    }

    fn key(&self) -> &SigningKey {
        &self.root
    }
}

pub(crate) fn genesis_body(words: &Words, device: &Device, slot: u8) -> LinkBody {
    LinkBody::Genesis {
        slot,
        root: words.public,
        device: device.public,
        random: [0x6a; 16],
    }
}

pub(crate) fn genesis(words: &Words, device: &Device, slot: u8) -> Link {
    let body = genesis_body(words, device, slot);
    Link::sign(genesis_place(TIME), body, device.signer(), device.key())
}

/// A chain with GENESIS only.
pub(crate) fn start(words: &Words, device: &Device) -> PartyChain {
    PartyChain::start(genesis(words, device, 1)).unwrap()
}

/// The next link of `chain`, whether or not the chain would take it.
pub(crate) fn next(chain: &PartyChain, body: LinkBody, by: &impl Signs) -> Link {
    Link::sign(chain.next_place(TIME), body, by.signer(), by.key())
}

/// Parses the link as a receiver does, then appends it.
pub(crate) fn receive(chain: &mut PartyChain, link: &Link) -> Result<AppendOutcome, ChainError> {
    chain.append(Link::parse(link.as_bytes())?)
}

/// Signs the next link and has the chain take it.
pub(crate) fn grow(chain: &mut PartyChain, body: LinkBody, by: &impl Signs) {
    let link = next(chain, body, by);
    assert_eq!(receive(chain, &link), Ok(AppendOutcome::Appended));
}

/// Why the chain refuses this as its next link. A refused link leaves no trace.
pub(crate) fn refusal(chain: &mut PartyChain, body: LinkBody, by: &impl Signs) -> ChainError {
    let link = next(chain, body, by);
    refused(chain, &link)
}

pub(crate) fn refused(chain: &mut PartyChain, link: &Link) -> ChainError {
    let before = format!("{chain:?}");
    let error = receive(chain, link).unwrap_err();
    assert_eq!(before, format!("{chain:?}"), "a refused link left a trace");
    error
}

/// A device that proves its keys for the given place.
pub(crate) fn proven(device: &Device, place: LinkPlace) -> NewDevice {
    let message = proof_hash(&place.party, place.seq, &place.prev, &device.public);
    NewDevice {
        keys: device.public,
        sealed_label: b"sealed name".to_vec(),
        proof: device
            .sign
            .sign(&signed_message(label::LINK_POP, &message))
            .to_bytes(),
    }
}

pub(crate) fn add(chain: &PartyChain, device: &Device) -> LinkBody {
    LinkBody::DeviceAdd(proven(device, chain.next_place(TIME)))
}

pub(crate) fn cutoff(device: &Device, counter: u64) -> Cutoff {
    let id = if counter == 0 { 0 } else { 0xc0 };
    Cutoff {
        device: device.id(),
        counter,
        id: EnvelopeId([id; 32]),
        reason: RevokeReason::Lost,
    }
}

pub(crate) fn revoke(device: &Device, counter: u64) -> LinkBody {
    LinkBody::DeviceRevoke(cutoff(device, counter))
}

pub(crate) fn amend(device: &Device, counter: u64) -> LinkBody {
    LinkBody::RevokeAmend(cutoff(device, counter))
}

pub(crate) fn recover(chain: &PartyChain, device: &Device, revoked: &[Cutoff]) -> LinkBody {
    LinkBody::Recover {
        device: proven(device, chain.next_place(TIME)),
        revoked: revoked.to_vec(),
    }
}

/// New words, co-signed by `device` for the next place of `chain`.
pub(crate) fn replace_root(chain: &PartyChain, words: &Words, device: &Device) -> LinkBody {
    let place = chain.next_place(TIME);
    replace_root_at(&place, words, device)
}

pub(crate) fn replace_root_at(place: &LinkPlace, words: &Words, device: &Device) -> LinkBody {
    let message = cosign_hash(&place.party, place.seq, &place.prev, &words.public);
    LinkBody::RootReplace {
        root: words.public,
        cosigner: device.id().0,
        cosignature: device
            .sign
            .sign(&signed_message(label::LINK_COSIGN, &message))
            .to_bytes(),
    }
}

/// Ana's chain with her laptop and her phone.
pub(crate) struct Ana {
    pub(crate) words: Words,
    pub(crate) laptop: Device,
    pub(crate) phone: Device,
    pub(crate) chain: PartyChain,
}

pub(crate) fn ana() -> Ana {
    let words = Words::new("Ana's words");
    let (laptop, phone) = (Device::new("Ana's laptop"), Device::new("Ana's phone"));
    let mut chain = start(&words, &laptop);
    let body = add(&chain, &phone);
    grow(&mut chain, body, &laptop);
    Ana {
        words,
        laptop,
        phone,
        chain,
    }
}

/// Ben's chain with his laptop.
pub(crate) struct Ben {
    pub(crate) words: Words,
    pub(crate) laptop: Device,
    pub(crate) chain: PartyChain,
}

pub(crate) fn ben() -> Ben {
    let words = Words::new("Ben's words");
    let laptop = Device::new("Ben's laptop");
    let chain = start(&words, &laptop);
    Ben {
        words,
        laptop,
        chain,
    }
}

/// The same place with another `prev`.
pub(crate) fn elsewhere(place: LinkPlace) -> LinkPlace {
    LinkPlace {
        prev: LinkHash([0x77; 32]),
        ..place
    }
}
