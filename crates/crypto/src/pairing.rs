//! Pairing by a spoken code: SPAKE2, key confirmation, then a short sealed channel
//! (protocol §2.9).
//!
//! ```text
//! shower                                   enterer
//!   Shower::start ──── msgA (33) ────────▶   Enterer::start
//!   Shower::confirm ◀── msgB (33), confirmB (32) ── Enterer::receive
//!        └──────────── confirmA (32) ────▶   EntererWaiting::confirm
//!   Channel ◀═══════ ≤ 16 messages each way ═══════▶ Channel
//! ```
//!
//! Every step consumes the state it starts from: after any failure there is nothing left to
//! try a second guess with, and the code is burned. `spake2` does not wipe its state and is
//! not constant-time; that is acceptable only because a code is random, short-lived and used
//! once. Never use this module with a password that a person chose.

use std::fmt;

pub use ajar_protocol::mailbox::Purpose;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    aead::{TAG, open_counted, seal_counted},
    error::EntropyFailed,
    kdf::{Expander, mac, same},
    label::{self, prefixed},
    secret::{Entropy, Secret, seeded_rng},
    words::PairingWords,
};

/// Length of the first message of each side, in bytes.
pub const FIRST_MESSAGE: usize = 33;
/// Length of a confirmation, in bytes.
pub const CONFIRMATION: usize = 32;
/// Messages that one side may send through a [`Channel`].
pub const CHANNEL_MESSAGES: u8 = 16;
/// Largest sealed message of a [`Channel`], in bytes (16 KiB, what a mailbox takes).
pub const CHANNEL_SEALED: usize = 16 << 10;
/// Largest plaintext of one message of a [`Channel`], in bytes.
pub const CHANNEL_PLAINTEXT: usize = CHANNEL_SEALED - TAG;

const VERSION: u8 = 1;
const NAMEPLATE_DIGITS: std::ops::RangeInclusive<usize> = 1..=8;

/// Why a pairing ended. Whatever it was, the code is used up: make a new one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairingError {
    /// The mailbox number is not one to eight digits. Nothing was sent.
    #[error("the code must start with its digits; type the whole code as it is shown")]
    Nameplate,
    /// No randomness. Nothing was sent.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// The other side's first message is no such message, or this side's own sent back.
    #[error("the other side answered with something that is not a pairing; ask for a new code")]
    BadMessage,
    /// The confirmation is wrong: other words, another purpose, another relay, or someone in
    /// between who guessed.
    #[error(
        "the codes did not match; ask for a new code and check that both chose the same kind of pairing"
    )]
    Mismatch,
}

/// Why a message did not go through the channel. The channel is closed by it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelError {
    /// The message is larger than [`CHANNEL_PLAINTEXT`].
    #[error("a message of the pairing is too large; start again with a new code")]
    TooLarge,
    /// One side has sent [`CHANNEL_MESSAGES`] messages.
    #[error("the pairing took too many messages; start again with a new code")]
    TooMany,
    /// A message was changed, repeated, reordered or is not from the other side.
    #[error("a message of the pairing was damaged on its way; start again with a new code")]
    NotOpened,
    /// The channel failed before.
    #[error("this pairing has ended; start again with a new code")]
    Closed,
}

fn label_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::DeviceLink => label::PAIR_DEVICE_LINK,
        Purpose::PartnerLink => label::PAIR_PARTNER_LINK,
    }
}

/// The two identities of an exchange, bound to purpose, mailbox and relay.
struct Identities {
    shower: Vec<u8>,
    enterer: Vec<u8>,
}

impl Identities {
    fn new(purpose: Purpose, nameplate: &str, relay_pk: &[u8; 32]) -> Result<Self, PairingError> {
        let digits = nameplate.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !NAMEPLATE_DIGITS.contains(&nameplate.len()) {
            return Err(PairingError::Nameplate);
        }
        let side = |name: &[u8]| {
            [
                &prefixed(label_of(purpose)),
                name,
                nameplate.as_bytes(),
                relay_pk,
            ]
            .concat()
        };
        Ok(Self {
            shower: side(b"show"),
            enterer: side(b"enter"),
        })
    }

    fn transcript(&self, msg_a: &[u8; FIRST_MESSAGE], msg_b: &[u8; FIRST_MESSAGE]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for part in [
            &[VERSION],
            self.shower.as_slice(),
            &self.enterer,
            msg_a,
            msg_b,
        ] {
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

/// What both sides know once the exchange has run.
struct Agreed {
    transcript: [u8; 32],
    expander: Expander,
}

impl Agreed {
    fn new(transcript: [u8; 32], key: &[u8]) -> Self {
        Self {
            transcript,
            expander: Expander::extract(&transcript, key),
        }
    }

    fn confirmation(&self, label: &str) -> [u8; CONFIRMATION] {
        mac(
            self.expander.expand::<32>(label, &[]).expose(),
            &[&self.transcript],
        )
    }

    fn channel(&self, send: &str, receive: &str) -> Channel {
        Channel {
            transcript: self.transcript,
            send: Direction::new(self.expander.expand(send, &[])),
            receive: Direction::new(self.expander.expand(receive, &[])),
            open: true,
        }
    }
}

/// Checks the shape of a first message and refuses points of small order: with one of those
/// the outcome would not depend on this side's secret.
fn first_message(bytes: &[u8]) -> Result<&[u8; FIRST_MESSAGE], PairingError> {
    let message: &[u8; FIRST_MESSAGE] = bytes.try_into().map_err(|_| PairingError::BadMessage)?;
    let (_, point) = message.split_first().ok_or(PairingError::BadMessage)?;
    let point = point.try_into().map_err(|_| PairingError::BadMessage)?;
    match VerifyingKey::from_bytes(point) {
        Ok(point)
            if !point.is_weak()
                && point.as_bytes() == &point.to_edwards().compress().to_bytes() =>
        {
            Ok(message)
        }
        _ => Err(PairingError::BadMessage),
    }
}

fn own_message(message: Vec<u8>) -> [u8; FIRST_MESSAGE] {
    message
        .try_into()
        .expect("a message of SPAKE2 over Ed25519 has 33 bytes")
}

fn password(words: &PairingWords) -> Password {
    Password::new(words.text().as_bytes())
}

/// The side that made the code and shows it.
pub struct Shower {
    exchange: Spake2<Ed25519Group>,
    identities: Identities,
    message: [u8; FIRST_MESSAGE],
}

impl Shower {
    /// Begins: the message goes into the mailbox for the enterer. `nameplate` is the number of
    /// the mailbox, `relay_pk` the relay's pinned key.
    ///
    /// # Errors
    /// [`PairingError::Nameplate`] or [`PairingError::Entropy`].
    pub fn start(
        purpose: Purpose,
        nameplate: &str,
        relay_pk: &[u8; 32],
        words: &PairingWords,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, [u8; FIRST_MESSAGE]), PairingError> {
        let identities = Identities::new(purpose, nameplate, relay_pk)?;
        let (exchange, message) = Spake2::start_a_with_rng(
            &password(words),
            &Identity::new(&identities.shower),
            &Identity::new(&identities.enterer),
            seeded_rng(entropy)?,
        );
        let message = own_message(message);
        Ok((
            Self {
                exchange,
                identities,
                message,
            },
            message,
        ))
    }

    /// Takes the enterer's first message and confirmation. The returned confirmation goes to
    /// the enterer; the channel is ready on this side.
    ///
    /// # Errors
    /// [`PairingError::BadMessage`] or [`PairingError::Mismatch`]; the code is used up.
    pub fn confirm(
        self,
        enterers_message: &[u8],
        enterers_confirmation: &[u8],
    ) -> Result<(Channel, [u8; CONFIRMATION]), PairingError> {
        let theirs = first_message(enterers_message)?;
        let transcript = self.identities.transcript(&self.message, theirs);
        let key = Zeroizing::new(
            self.exchange
                .finish(theirs)
                .map_err(|_| PairingError::BadMessage)?,
        );
        let agreed = Agreed::new(transcript, &key);
        if !same(
            &agreed.confirmation(label::PAIR_CONFIRM_B),
            enterers_confirmation,
        ) {
            return Err(PairingError::Mismatch);
        }
        let channel = agreed.channel(label::PAIR_KEY_AB, label::PAIR_KEY_BA);
        Ok((channel, agreed.confirmation(label::PAIR_CONFIRM_A)))
    }
}

impl fmt::Debug for Shower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shower(..)")
    }
}

/// The side on which the code is typed.
pub struct Enterer {
    exchange: Spake2<Ed25519Group>,
    identities: Identities,
    message: [u8; FIRST_MESSAGE],
}

impl Enterer {
    /// Begins: the message goes into the mailbox for the shower.
    ///
    /// # Errors
    /// [`PairingError::Nameplate`] or [`PairingError::Entropy`].
    pub fn start(
        purpose: Purpose,
        nameplate: &str,
        relay_pk: &[u8; 32],
        words: &PairingWords,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, [u8; FIRST_MESSAGE]), PairingError> {
        let identities = Identities::new(purpose, nameplate, relay_pk)?;
        let (exchange, message) = Spake2::start_b_with_rng(
            &password(words),
            &Identity::new(&identities.shower),
            &Identity::new(&identities.enterer),
            seeded_rng(entropy)?,
        );
        let message = own_message(message);
        Ok((
            Self {
                exchange,
                identities,
                message,
            },
            message,
        ))
    }

    /// Takes the shower's first message; the returned confirmation goes to the shower.
    ///
    /// # Errors
    /// [`PairingError::BadMessage`]; the code is used up.
    pub fn receive(
        self,
        showers_message: &[u8],
    ) -> Result<(EntererWaiting, [u8; CONFIRMATION]), PairingError> {
        let theirs = first_message(showers_message)?;
        let transcript = self.identities.transcript(theirs, &self.message);
        let key = Zeroizing::new(
            self.exchange
                .finish(theirs)
                .map_err(|_| PairingError::BadMessage)?,
        );
        let agreed = Agreed::new(transcript, &key);
        let confirmation = agreed.confirmation(label::PAIR_CONFIRM_B);
        Ok((EntererWaiting(agreed), confirmation))
    }
}

impl fmt::Debug for Enterer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enterer(..)")
    }
}

/// The enterer, until the shower has confirmed.
pub struct EntererWaiting(Agreed);

impl EntererWaiting {
    /// Checks the shower's confirmation; the channel is ready on this side.
    ///
    /// # Errors
    /// [`PairingError::Mismatch`]; the code is used up.
    pub fn confirm(self, showers_confirmation: &[u8]) -> Result<Channel, PairingError> {
        if !same(
            &self.0.confirmation(label::PAIR_CONFIRM_A),
            showers_confirmation,
        ) {
            return Err(PairingError::Mismatch);
        }
        Ok(self.0.channel(label::PAIR_KEY_BA, label::PAIR_KEY_AB))
    }
}

impl fmt::Debug for EntererWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntererWaiting(..)")
    }
}

struct Direction {
    key: Secret<32>,
    used: u8,
}

impl Direction {
    fn new(key: Secret<32>) -> Self {
        Self { key, used: 0 }
    }

    /// Nonce of the next message: its number, from 0, as 96 bits.
    fn next(&mut self) -> Result<[u8; 12], ChannelError> {
        if self.used >= CHANNEL_MESSAGES {
            return Err(ChannelError::TooMany);
        }
        let mut nonce = [0; 12];
        if let Some(last) = nonce.last_mut() {
            *last = self.used;
        }
        self.used += 1;
        Ok(nonce)
    }
}

/// A sealed channel between two devices that know the same code: ChaCha20-Poly1305, a key per
/// direction, the message number as nonce, the transcript as associated data.
pub struct Channel {
    transcript: [u8; 32],
    send: Direction,
    receive: Direction,
    open: bool,
}

impl Channel {
    /// Hash over everything both sides have said; input of the words that people compare
    /// ([`crate::words::sas_words`]).
    #[must_use]
    pub fn transcript(&self) -> [u8; 32] {
        self.transcript
    }

    /// Seals the next message to the other side; 16 bytes longer than `plaintext`.
    ///
    /// # Errors
    /// [`ChannelError::TooLarge`], [`ChannelError::TooMany`]; the channel is then closed.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, ChannelError> {
        self.step(|channel| {
            if plaintext.len() > CHANNEL_PLAINTEXT {
                return Err(ChannelError::TooLarge);
            }
            let nonce = channel.send.next()?;
            Ok(seal_counted(
                channel.send.key.expose(),
                &nonce,
                &channel.transcript,
                plaintext,
            ))
        })
    }

    /// Opens the next message of the other side.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel is then closed.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
        self.step(|channel| {
            if sealed.len() > CHANNEL_SEALED {
                return Err(ChannelError::TooLarge);
            }
            let nonce = channel.receive.next()?;
            open_counted(
                channel.receive.key.expose(),
                &nonce,
                &channel.transcript,
                sealed,
            )
            .map_err(|_| ChannelError::NotOpened)
        })
    }

    /// Any failure ends the channel: a second try would be a second guess.
    fn step<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ChannelError>,
    ) -> Result<T, ChannelError> {
        if !self.open {
            return Err(ChannelError::Closed);
        }
        let outcome = work(self);
        self.open = outcome.is_ok();
        outcome
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
