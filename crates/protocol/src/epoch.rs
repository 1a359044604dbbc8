//! Payload of EPOCH envelopes: a new key for the space, sealed to every recipient
//! (protocol §2.7). This is the layout in clear; sealing and opening are in `ajar-crypto`.
//!
//! ```text
//! u8 pver=1 | u64 epoch_no | u8 reason | u8 n_parents { epoch id 32 }
//! head(lower) 32 | head(higher) 32 | ek_commit 32
//! u8 n { recipient id 32, enc 32, ct 48 }          ascending, no duplicates
//! u32 hist_len | nonce 24 | sealed history
//! ```

use crate::chain::PartyChain;
use crate::codec::{Reader, Writer};
use crate::error::Malformed;
use crate::id::{EpochId, LinkHash};
use crate::limits;

const WHAT: &str = "epoch record";

/// Why an epoch was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EpochReason {
    /// The first of the space.
    First = 1,
    /// A device was added.
    Add = 2,
    /// A device was revoked.
    Revoke = 3,
    /// On schedule.
    Periodic = 4,
    /// A document was burned.
    Burn = 5,
    /// Two concurrent epochs are joined.
    Merge = 6,
    /// A device recovered with the twelve words.
    Recover = 7,
}

impl EpochReason {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::First,
            2 => Self::Add,
            3 => Self::Revoke,
            4 => Self::Periodic,
            5 => Self::Burn,
            6 => Self::Merge,
            7 => Self::Recover,
            _ => return Err(Malformed::Value("reason of an epoch")),
        })
    }
}

/// The epoch key sealed to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSeal {
    /// Device id, or recovery id of a party.
    pub recipient: [u8; 32],
    /// HPKE encapsulated key.
    pub encapsulated: [u8; 32],
    /// HPKE ciphertext of the 32-byte epoch key.
    pub ciphertext: [u8; 48],
}

/// An epoch record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// Number: one more than the highest parent's.
    pub number: u64,
    /// Why it was created.
    pub reason: EpochReason,
    /// Epochs it follows.
    pub parents: Vec<EpochId>,
    /// Head of the lower party's chain that the recipients were computed from.
    pub head_lower: LinkHash,
    /// Head of the higher party's chain, zero in a private space.
    pub head_higher: LinkHash,
    /// Commitment to the epoch key.
    pub commitment: [u8; 32],
    /// The key, sealed to each recipient, ascending by recipient.
    pub seals: Vec<EpochSeal>,
    /// Nonce of the sealed history.
    pub history_nonce: [u8; 24],
    /// Old epoch keys, sealed under the new one, with tag.
    pub history: Vec<u8>,
}

impl EpochRecord {
    /// Parses a payload.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, WHAT);
        if reader.u8()? != 1 {
            return Err(Malformed::Version(WHAT));
        }
        let number = reader.u64()?;
        let reason = EpochReason::from_byte(reader.u8()?)?;
        let n = usize::from(reader.u8()?);
        if n > limits::EPOCH_PARENTS {
            return Err(Malformed::TooLarge("parents of an epoch"));
        }
        let mut parents = Vec::with_capacity(n);
        for _ in 0..n {
            let parent = EpochId(reader.array()?);
            if parents.last().is_some_and(|last| *last >= parent) {
                return Err(Malformed::Order("parents of an epoch"));
            }
            parents.push(parent);
        }
        let head_lower = LinkHash(reader.array()?);
        let head_higher = LinkHash(reader.array()?);
        let commitment = reader.array()?;
        let n = usize::from(reader.u8()?);
        if n > limits::EPOCH_RECIPIENTS {
            return Err(Malformed::TooLarge("recipients of an epoch"));
        }
        let mut seals: Vec<EpochSeal> = Vec::with_capacity(n);
        for _ in 0..n {
            let seal = EpochSeal {
                recipient: reader.array()?,
                encapsulated: reader.array()?,
                ciphertext: reader.array()?,
            };
            if seals
                .last()
                .is_some_and(|last| last.recipient >= seal.recipient)
            {
                return Err(Malformed::Order("recipients of an epoch"));
            }
            seals.push(seal);
        }
        let history_length = reader.u32()? as usize;
        if history_length > limits::EPOCH_HISTORY {
            return Err(Malformed::TooLarge("history of an epoch"));
        }
        let history_nonce = reader.array()?;
        let history = reader.take(history_length)?.to_vec();
        reader.finish()?;
        Ok(Self {
            number,
            reason,
            parents,
            head_lower,
            head_higher,
            commitment,
            seals,
            history_nonce,
            history,
        })
    }

    /// Everything before the sealed history, which is the AAD of the history: up to and
    /// with the last seal.
    #[must_use]
    pub fn encode_front(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256 + self.seals.len() * 112);
        out.u8(1).u64(self.number).u8(self.reason as u8);
        out.u8(u8::try_from(self.parents.len()).expect("an epoch has at most four parents"));
        for parent in &self.parents {
            out.raw(&parent.0);
        }
        out.raw(&self.head_lower.0)
            .raw(&self.head_higher.0)
            .raw(&self.commitment);
        out.u8(u8::try_from(self.seals.len()).expect("an epoch has at most 18 recipients"));
        for seal in &self.seals {
            out.raw(&seal.recipient)
                .raw(&seal.encapsulated)
                .raw(&seal.ciphertext);
        }
        out.finish()
    }

    /// The whole payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(&self.encode_front());
        out.u32(u32::try_from(self.history.len()).expect("the history is below 64 KiB"));
        out.raw(&self.history_nonce).raw(&self.history);
        out.finish()
    }
}

/// A recipient of an epoch: its id and its X25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient {
    /// Device id, or recovery id of a party.
    pub id: [u8; 32],
    /// X25519 public key.
    pub kem: [u8; 32],
}

/// The recipients that an epoch must have when the chains end at `seqs`: the active devices of
/// every party that has not left, and the recovery key of every party; ascending by id.
/// `None` when a chain is shorter than asked.
#[must_use]
pub fn recipients(chains: &[&PartyChain], seqs: &[u64]) -> Option<Vec<Recipient>> {
    let mut all = Vec::new();
    for (chain, seq) in chains.iter().zip(seqs) {
        chain.head_at(*seq)?;
        let root = chain.root_at(*seq)?;
        all.push(Recipient {
            id: root.recovery_id(),
            kem: root.recovery_kem,
        });
        if chain.left_at(*seq).is_some() {
            continue;
        }
        let active = chain.devices().filter(|(_, device)| device.active_at(*seq));
        all.extend(active.map(|(id, device)| Recipient {
            id: id.0,
            kem: device.keys.kem,
        }));
    }
    all.sort_unstable();
    Some(all)
}
