//! Whoever gets everything: every byte of every disk and every key that is left on any of them,
//! also the words on paper. It opens what can be opened, whatever it was kept as, and looks in
//! there for what must be gone.
//!
//! It knows the formats of `docs/storage-format.md` and `docs/protocol.md`, and trusts neither
//! an index nor a length of a file: records that are dead are read like those that live, and
//! envelopes are looked for at every byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use ajar_crypto::blob::{BlobKey, BlobOpener};
use ajar_crypto::epoch::open_epoch;
use ajar_crypto::seal::open_envelope;
use ajar_crypto::vault::{LocalKeys, Passphrase, SegmentKey, VaultHeader, WhichSpace};
use ajar_crypto::{DeviceSecrets, EpochKey, RecoveryPhrase, Secret, SlotKeys};
use ajar_protocol::Envelope;
use ajar_protocol::envelope::{EnvelopeType, HEADER, SIGNATURE, TAG};
use ajar_protocol::epoch::EpochRecord;
use sha2::{Digest, Sha256};

use crate::canary;
use crate::client::Person;

/// Where the records of a segment begin, and the length of a record before its key.
const RECORDS: usize = 4096;
const FRONT: usize = 24;
/// Most bytes of one frame of compressed data.
const EXPANDED: u64 = 64 << 20;
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Every key that somebody has.
#[derive(Default)]
pub struct Keys {
    /// Public signing keys by device; they open nothing.
    signers: BTreeMap<[u8; 32], [u8; 32]>,
    devices: Vec<DeviceSecrets>,
    slots: Vec<SlotKeys>,
    epochs: BTreeMap<[u8; 32], EpochKey>,
    segments: BTreeMap<[u8; 32], SegmentKey>,
}

/// What was opened, and what was found in it or beside it.
#[derive(Debug, Default)]
pub struct Opened {
    /// Envelopes by type, each counted once.
    pub envelopes: BTreeMap<u8, usize>,
    /// Envelopes that no key opens.
    pub closed: usize,
    /// Records of sealed logs.
    pub records: usize,
    /// Blobs.
    pub blobs: usize,
    /// Blobs that no key opens.
    pub closed_blobs: usize,
    /// Texts that were found, and where.
    pub found: Vec<(String, PathBuf)>,
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        let number = self.take(bytes).iter();
        number.fold(0, |number, byte| (number << 8) | usize::from(*byte))
    }

    fn key(&mut self) -> [u8; 32] {
        self.take(32).try_into().unwrap()
    }
}

impl Keys {
    /// The keys in the key files of a home, as whoever knows its passphrase reads them.
    pub fn add(&mut self, person: &Person) {
        let header = std::fs::read(person.home().join("vault.hdr")).unwrap();
        let header = VaultHeader::parse(&header).unwrap();
        let passphrase = Passphrase::new(&person.passphrase).unwrap();
        for (which, name) in [
            (WhichSpace::Private, "keys-private.sealed"),
            (WhichSpace::Shared, "keys-shared.sealed"),
        ] {
            let Ok(lmk) = header.slot(which).unlock(&passphrase) else {
                continue;
            };
            let sealed = std::fs::read(person.home().join(name)).unwrap();
            let content = LocalKeys::derive(&lmk)
                .open_keyfile(which, &sealed)
                .unwrap();
            self.add_content(&content);
        }
    }

    fn add_content(&mut self, content: &[u8]) {
        let mut cursor = Cursor(content);
        assert!(cursor.number(1) >= 1);
        for _ in 0..3 {
            let length = cursor.number(2);
            let _ = cursor.take(length);
        }
        let slots = cursor.number(4);
        let _ = cursor.take(slots * 97);
        let length = cursor.number(4);
        self.add_ring(cursor.take(length));
        for _ in 0..cursor.number(4) {
            let _ = cursor.take(8);
            let key = cursor.key();
            self.segments.insert(key, SegmentKey::new(Secret::new(key)));
        }
    }

    fn add_ring(&mut self, ring: &[u8]) {
        if ring.is_empty() {
            return;
        }
        let mut cursor = Cursor(ring);
        assert_eq!(cursor.number(1), 1, "version of the key ring");
        let secrets: [u8; 96] = cursor.take(96).try_into().unwrap();
        let secrets = DeviceSecrets::from_bytes(&Secret::new(secrets));
        self.signers.insert(secrets.id().0, secrets.public().sign);
        self.devices.push(secrets);
        for _ in 0..cursor.number(2) {
            let _ = cursor.take(32);
            let key = cursor.key();
            self.epochs.insert(key, EpochKey::new(Secret::new(key)));
        }
        assert!(cursor.0.is_empty(), "the key ring is read to its end");
    }

    /// The twelve words.
    pub fn add_words(&mut self, words: &str) {
        let phrase = RecoveryPhrase::parse(words).unwrap();
        self.slots
            .extend((0..).map_while(|slot| phrase.slot_keys(slot).ok()));
    }

    /// Whose signatures are known: not a key that opens anything.
    pub fn know_signers_of(&mut self, other: &Self) {
        self.signers.extend(&other.signers);
    }

    /// Every secret in bytes: keys of devices, of epochs and of segments of the log.
    #[must_use]
    pub fn secrets(&self) -> Vec<[u8; 32]> {
        let devices = self.devices.iter().map(DeviceSecrets::to_bytes);
        let of_devices = devices.flat_map(|secrets| secrets.expose().as_chunks().0.to_vec());
        let others = self.epochs.keys().chain(self.segments.keys()).copied();
        of_devices.chain(others).collect()
    }

    /// Every public key of every device: for signatures, for keys, for logins.
    #[must_use]
    pub fn publics(&self) -> Vec<[u8; 32]> {
        let keys = self.devices.iter().map(DeviceSecrets::public);
        keys.flat_map(|keys| [keys.sign, keys.kem, keys.auth])
            .collect()
    }

    /// How many keys of epochs there are.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.epochs.len()
    }
}

/// Looks for `texts` in everything below `folders` and in everything in there that the keys open.
/// `lengths` are those that contents of blobs may have.
#[must_use]
pub fn search(mut keys: Keys, folders: &[&Path], texts: &[&str], lengths: &[u64]) -> Opened {
    let mut seeker = Seeker::new(texts, lengths);
    for folder in folders {
        for file in canary::files(folder) {
            let mut bytes = std::fs::read(&file).unwrap_or_default();
            let name = file.to_string_lossy().into_owned();
            seeker.look(&file, name.as_bytes());
            let end = bytes.iter().rposition(|byte| *byte != 0);
            bytes.truncate(end.map_or(0, |end| end + 64).min(bytes.len()));
            seeker.open_records(&file, &bytes, &keys);
            seeker.files.push((file.clone(), bytes.clone()));
            seeker.take(&file, bytes);
        }
    }
    // A key may open what holds another one.
    loop {
        let known = keys.epochs.len();
        seeker.open_envelopes(&mut keys);
        if keys.epochs.len() == known {
            break;
        }
    }
    seeker.open_blobs();
    seeker.count()
}

/// Every envelope of a known device that lies in the files of a folder, readable or not, once.
#[must_use]
pub fn envelopes(keys: &Keys, folder: &Path) -> Vec<Envelope> {
    let files = canary::files(folder).into_iter();
    let all = files.flat_map(|file| envelopes_in(&std::fs::read(file).unwrap_or_default(), keys));
    let once: BTreeSet<Vec<u8>> = all.collect();
    once.iter()
        .map(|bytes| Envelope::parse(bytes).unwrap())
        .collect()
}

struct Seeker {
    forms: Vec<(String, Vec<Vec<u8>>)>,
    lengths: Vec<u64>,
    opened: Opened,
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Everything that lies open, with where it came from.
    open: Vec<(PathBuf, Vec<u8>)>,
    /// Envelopes by their bytes, and whether one was opened.
    envelopes: BTreeMap<Vec<u8>, (PathBuf, bool)>,
    /// How many of `open` were looked through for envelopes.
    seen: usize,
}

impl Seeker {
    fn new(texts: &[&str], lengths: &[u64]) -> Self {
        let forms = texts.iter().map(|text| {
            let forms = canary::disguises(text).into_iter();
            (
                (*text).to_owned(),
                forms.filter(|form| form.len() >= 6).collect(),
            )
        });
        Self {
            forms: forms.collect(),
            lengths: lengths.to_vec(),
            opened: Opened::default(),
            files: Vec::new(),
            open: Vec::new(),
            envelopes: BTreeMap::new(),
            seen: 0,
        }
    }

    fn look(&mut self, place: &Path, bytes: &[u8]) {
        for (text, forms) in &self.forms {
            if forms.iter().any(|form| canary::contains(bytes, form)) {
                self.opened.found.push((text.clone(), place.to_owned()));
            }
        }
    }

    /// Something that lies open, with everything that is compressed in it.
    fn take(&mut self, place: &Path, bytes: Vec<u8>) {
        self.look(place, &bytes);
        for at in positions(&bytes, &ZSTD) {
            let mut expanded = Vec::new();
            if let Ok(decoder) = zstd::stream::read::Decoder::new(&bytes[at..]) {
                // What was read before an error counts.
                let _ = decoder
                    .single_frame()
                    .take(EXPANDED)
                    .read_to_end(&mut expanded);
            }
            if !expanded.is_empty() {
                self.take(&place.join("compressed"), expanded);
            }
        }
        self.open.push((place.to_owned(), bytes));
    }

    /// Opens the records of a segment, the dead ones too.
    fn open_records(&mut self, file: &Path, bytes: &[u8], keys: &Keys) {
        let number = file.file_stem().and_then(|stem| stem.to_str());
        let number = number.and_then(|stem| u64::from_str_radix(stem, 16).ok());
        let Some(number) = number.filter(|_| file.extension().is_some_and(|e| e == "seg")) else {
            return;
        };
        for at in (RECORDS..bytes.len()).step_by(8) {
            let Some(front) = bytes.get(at..at + FRONT) else {
                break;
            };
            let value_len = u32::from_le_bytes(front[12..16].try_into().unwrap()) as usize;
            let fits = front[8] == 1 && front[10..12] == [32, 0] && front[20..24] == [0; 4];
            let key = at + FRONT;
            let value = bytes.get(key + 32..(key + 32).saturating_add(value_len));
            let (true, Some(value)) = (fits, value) else {
                continue;
            };
            let aad = [&[1], number.to_be_bytes().as_slice(), &bytes[key..key + 32]].concat();
            let open = |segment: &SegmentKey| segment.open_record(&aad, value).ok();
            if let Some(plain) = keys.segments.values().find_map(open) {
                self.opened.records += 1;
                self.take(&file.join(format!("record at {at}")), plain.to_vec());
            }
        }
    }

    /// Looks for envelopes in everything that lies open, and tries every key on each.
    fn open_envelopes(&mut self, keys: &mut Keys) {
        while let Some((place, bytes)) = self.open.get(self.seen) {
            for envelope in envelopes_in(bytes, keys) {
                let place = (place.clone(), false);
                self.envelopes.entry(envelope).or_insert(place);
            }
            self.seen += 1;
        }
        let closed: Vec<(Vec<u8>, PathBuf)> = self
            .envelopes
            .iter()
            .filter(|(_, (_, open))| !open)
            .map(|(bytes, (place, _))| (bytes.clone(), place.clone()))
            .collect();
        for (bytes, place) in closed {
            if let Some(plain) = open_one(&bytes, keys) {
                self.envelopes.insert(bytes.clone(), (place.clone(), true));
                self.take(&place.join("envelope"), plain);
            }
        }
    }

    /// Tries on every file the keys that stand beside its hash anywhere.
    fn open_blobs(&mut self) {
        let mut done = BTreeSet::new();
        let files = std::mem::take(&mut self.files);
        for (file, _) in files {
            if !file.components().any(|part| part.as_os_str() == "blobs") {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap_or_default();
            let id: [u8; 32] = Sha256::digest(&bytes).into();
            if bytes.is_empty() || !done.insert(id) {
                continue;
            }
            match self.open_blob(id, &bytes) {
                Some(plain) => {
                    self.opened.blobs += 1;
                    self.take(&file.join("blob"), plain);
                }
                None => self.opened.closed_blobs += 1,
            }
        }
    }

    fn open_blob(&self, id: [u8; 32], bytes: &[u8]) -> Option<Vec<u8>> {
        for (_, open) in &self.open {
            for at in positions(open, &id) {
                let Some(beside) = open.get(at + 32..(at + 32 + 32 + 16 + 16).min(open.len()))
                else {
                    continue;
                };
                let Some((key, rest)) = beside.split_first_chunk::<32>() else {
                    continue;
                };
                let mut lengths = self.lengths.clone();
                if let Some(length) = rest.get(16..24) {
                    lengths.push(u64::from_be_bytes(length.try_into().unwrap()));
                }
                for salt in rest.windows(16) {
                    let key = BlobKey::new(Secret::new(*key), salt.try_into().unwrap());
                    for length in &lengths {
                        if let Some(plain) = opened(&key, id, *length, bytes) {
                            return Some(plain);
                        }
                    }
                }
            }
        }
        None
    }

    fn count(mut self) -> Opened {
        for (bytes, (_, open)) in &self.envelopes {
            match open {
                true => *self.opened.envelopes.entry(bytes[1]).or_default() += 1,
                false => self.opened.closed += 1,
            }
        }
        self.opened.found.sort();
        self.opened.found.dedup();
        self.opened
    }
}

fn opened(key: &BlobKey, id: [u8; 32], length: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    if length > 1 << 26 {
        return None;
    }
    let mut opener = BlobOpener::new(key, id, length).ok()?;
    let mut plain = Vec::new();
    opener.push(bytes, &mut plain).ok()?;
    opener.finish().ok().map(|()| plain)
}

fn positions(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let first = wanted[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts
        .map(|(at, _)| at)
        .filter(|at| bytes[*at..].starts_with(wanted))
        .collect()
}

/// Every envelope that begins at any byte, of a device that is known.
fn envelopes_in(bytes: &[u8], keys: &Keys) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != 1 {
            continue;
        }
        let Some(header) = bytes.get(at..at + HEADER) else {
            break;
        };
        let device: [u8; 32] = header[68..100].try_into().unwrap();
        if header[3] != 0 || !keys.signers.contains_key(&device) {
            continue;
        }
        let length = u32::from_be_bytes(header[228..232].try_into().unwrap()) as usize;
        let tag = if header[1] == EnvelopeType::Epoch as u8 {
            0
        } else {
            TAG
        };
        let whole = HEADER + length + tag + SIGNATURE;
        if let Some(envelope) = bytes.get(at..at.saturating_add(whole))
            && Envelope::parse(envelope).is_ok()
        {
            found.push(envelope.to_vec());
        }
    }
    found
}

/// Opens an envelope with any key; of an epoch, the keys in it are added.
fn open_one(bytes: &[u8], keys: &mut Keys) -> Option<Vec<u8>> {
    let envelope = Envelope::parse(bytes).ok()?;
    let signer = keys.signers.get(&envelope.header().device.0)?;
    let verified = envelope.verify(signer).ok()?;
    if verified.header().kind != EnvelopeType::Epoch {
        let open = |key: &EpochKey| open_envelope(&verified, key).ok();
        return keys
            .epochs
            .values()
            .find_map(open)
            .map(|plain| plain.to_vec());
    }
    let record = EpochRecord::parse(verified.body()).ok()?;
    let devices = keys.devices.iter().map(DeviceSecrets::kem_secret);
    let slots = keys.slots.iter().map(|slot| &slot.recovery_kem);
    let kems: Vec<_> = devices.chain(slots).cloned().collect();
    for seal in &record.seals {
        for kem in &kems {
            let Ok(epoch) = open_epoch(&verified, &seal.recipient, kem) else {
                continue;
            };
            let history = epoch.history.into_iter().map(|(_, key)| key);
            for key in history.chain([epoch.key]) {
                keys.epochs.insert(*key.expose(), key);
            }
            return Some(Vec::new());
        }
    }
    None
}
