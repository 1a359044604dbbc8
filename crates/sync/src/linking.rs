//! Adding a device of one's own (protocol §2.9, *Own device*). The old device shows a code, the
//! new one enters it; then the new one shows four words, and the person finds them among three
//! lines on the old one before any key is sent.
//!
//! Messages, each the plaintext of one message of the channel:
//!
//! ```text
//! old  offer    u8 17 | u8 n { offer of a place 105 } | name u16+… | partner u16+…
//!               | relay u16+… | relay of the private space u16+… | u8 m { slot u8, keys 96 }
//! new  request  u8 18 | name of the device u16+… | u8 n { keys and proof 160 }
//! old  refusal  u8 21
//! old  pieces   u8 19 | u8 last? | bytes; joined: u8 n { u8 kind | pack u32+… }
//! new  done     u8 20
//! ```

use std::time::Duration;

use ajar_crypto::SlotPublic;
use ajar_crypto::pairing::CHANNEL_PLAINTEXT;
use ajar_crypto::words::{decoy_words, sas_words};
use ajar_engine::membership::{LinkOffer, LinkRequest};
use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::RootPublic;
use rand_core::TryRng;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::Error;
use crate::talk::{MESSAGE, Talk, failed};

const OFFER: u8 = 17;
const REQUEST: u8 = 18;
const PIECE: u8 = 19;
const DONE: u8 = 20;
const REFUSED: u8 = 21;
/// Time for a person to find four words on two screens.
const CHOOSE: Duration = Duration::from_secs(600);
/// Time for the old device to bring the links to the relay, after the choice.
const BRING: Duration = Duration::from_secs(120);
/// Longest text in a message, in bytes.
const TEXT: usize = 4096;
/// Pieces that all packs together may take; the mailbox takes eight messages of each side.
const PIECES: usize = 5;
/// Bytes by which two packs may grow while a device is being added: its own links, an epoch key.
const PACK_GROWS: usize = 2048;
/// Lines among which the person finds the right one.
pub(crate) const LINES: usize = 3;

/// Four words that the new device shows.
pub type LinkWords = [&'static str; 4];

/// A device that asks to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is called. It comes from the other device: neutralise it before showing it.
    pub name: String,
    /// Three lines of four words; one of them is on the new device's screen.
    pub lines: [LinkWords; LINES],
    right: usize,
}

impl Candidate {
    /// The place of the right line, without anybody having looked at the new device. Only for
    /// setups in which both devices are in the same hands, such as scripts: somebody in between
    /// would not be noticed.
    #[must_use]
    pub fn right(&self) -> usize {
        self.right
    }
}

/// What the old device tells about the spaces, the person and the relay.
pub(crate) struct Hello {
    pub(crate) offers: Vec<LinkOffer>,
    pub(crate) name: String,
    pub(crate) partner: String,
    pub(crate) relay: String,
    pub(crate) private_relay: String,
    pub(crate) slots: Vec<SlotPublic>,
}

impl Hello {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(OFFER).u8(count(self.offers.len()));
        for offer in &self.offers {
            out.raw(&offer.encode());
        }
        let texts = [&self.name, &self.partner, &self.relay, &self.private_relay];
        for text in texts {
            out.bytes16(text.as_bytes());
        }
        out.u8(count(self.slots.len()));
        for slot in &self.slots {
            out.u8(slot.slot).raw(&slot.root.root).raw(&slot.root.login);
            out.raw(&slot.root.recovery_kem);
        }
        out.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "offer to a new device";
        let mut reader = Reader::new(bytes, WHAT);
        tag(&mut reader, OFFER)?;
        let mut offers: Vec<LinkOffer> = Vec::new();
        for _ in 0..reader.u8()? {
            let offer = LinkOffer::decode(&mut reader)?;
            if offers.iter().any(|other| other.kind == offer.kind) {
                return Err(Malformed::Order(WHAT));
            }
            offers.push(offer);
        }
        let mut hello = Self {
            offers,
            name: text(&mut reader)?,
            partner: text(&mut reader)?,
            relay: text(&mut reader)?,
            private_relay: text(&mut reader)?,
            slots: Vec::new(),
        };
        for _ in 0..reader.u8()? {
            let slot = reader.u8()?;
            let root = RootPublic {
                root: reader.array()?,
                login: reader.array()?,
                recovery_kem: reader.array()?,
            };
            hello.slots.push(SlotPublic { slot, root });
        }
        reader.finish()?;
        Ok(hello)
    }
}

fn count(n: usize) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

fn tag(reader: &mut Reader<'_>, wanted: u8) -> Result<(), Malformed> {
    if reader.u8()? == wanted {
        Ok(())
    } else {
        Err(Malformed::Kind("message of a linking"))
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let bytes = reader.bytes16(TEXT)?.to_vec();
    String::from_utf8(bytes).map_err(|_| Malformed::Value("text of a linking"))
}

fn not_understood(_: Malformed) -> Error {
    failed(
        "the other device sent something that Ajar does not understand; use the newest Ajar on both",
    )
}

/// Fails when spaces of this many bytes in all would not go through a code: said before a code
/// is shown, since afterwards the device is in the list already.
pub(crate) fn check_size(packs: usize) -> Result<(), Error> {
    if packs + PACK_GROWS > PIECES * (CHANNEL_PLAINTEXT - 2) {
        return Err(failed(
            "the list of your devices has become too long to be handed over through a code; your twelve words bring the journal to a new device: `ajar recover --keep-devices`",
        ));
    }
    Ok(())
}

/// The old device, after the new one has asked for its places and the person has found the
/// right words.
pub(crate) struct Accepted {
    talk: Talk,
    /// What the new device is called.
    pub(crate) name: String,
    /// One for each offer, in its order.
    pub(crate) requests: Vec<LinkRequest>,
}

/// The old device: offers places, hears the request, and lets the person choose.
pub(crate) async fn offer(
    mut talk: Talk,
    hello: &Hello,
    choose: impl FnOnce(&Candidate) -> Option<usize> + Send + 'static,
) -> Result<Accepted, Error> {
    let offer = hello.encode();
    talk.say(&offer).await?;
    let request = talk.hear(MESSAGE).await?;
    let (name, requests) = read_request(&request).map_err(not_understood)?;
    if requests.len() != hello.offers.len() {
        return Err(not_understood(Malformed::Value("requests of a linking")));
    }
    let right = sas(&talk, &offer, &request);
    let (lines, place) = lines(&right)?;
    let candidate = Candidate {
        name: name.clone(),
        lines,
        right: place,
    };
    let chosen = tokio::task::spawn_blocking(move || choose(&candidate))
        .await
        .map_err(|_| failed("the question was not answered"))?;
    if chosen != Some(place) {
        // So that the other side says why, and not that the line went dead.
        let _ = talk.say(&[REFUSED]).await;
        talk.close(true).await;
        return Err(failed(match chosen {
            None => "nothing was added; no key has left this device",
            Some(_) => {
                "these are not the words on the new device, so nothing was added and no key has left this device"
            }
        }));
    }
    Ok(Accepted {
        talk,
        name,
        requests,
    })
}

/// The right line among decoys, and its place.
fn lines(right: &LinkWords) -> Result<([LinkWords; LINES], usize), Error> {
    let mut entropy = clock::entropy();
    let mut lines = [*right; LINES];
    let random = entropy
        .try_next_u32()
        .map_err(|_| ajar_crypto::EntropyFailed)?;
    let place = usize::try_from(random).unwrap_or(0) % LINES;
    for (number, line) in lines.iter_mut().enumerate() {
        if number != place {
            *line = decoy_words(right, &mut entropy)?;
        }
    }
    Ok((lines, place))
}

fn read_request(bytes: &[u8]) -> Result<(String, Vec<LinkRequest>), Malformed> {
    let mut reader = Reader::new(bytes, "request of a new device");
    tag(&mut reader, REQUEST)?;
    let name = text(&mut reader)?;
    let requests = (0..reader.u8()?)
        .map(|_| LinkRequest::decode(&mut reader))
        .collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok((name, requests))
}

fn sas(talk: &Talk, offer: &[u8], request: &[u8]) -> LinkWords {
    sas_words(&talk.transcript(), &[offer, request].concat())
}

impl Accepted {
    /// Hands the spaces over, with their keys.
    pub(crate) async fn hand_over(
        mut self,
        packs: &[(SpaceKind, Zeroizing<Vec<u8>>)],
    ) -> Result<(), Error> {
        let size: usize = packs.iter().map(|(_, pack)| pack.len() + 5).sum();
        let mut all = Zeroizing::new(Vec::with_capacity(size + 1));
        all.push(count(packs.len()));
        for (kind, pack) in packs {
            all.push(*kind as u8);
            let length = u32::try_from(pack.len()).unwrap_or(u32::MAX);
            all.extend_from_slice(&length.to_be_bytes());
            all.extend_from_slice(pack);
        }
        let pieces: Vec<&[u8]> = all.chunks(CHANNEL_PLAINTEXT - 2).collect();
        if pieces.len() > PIECES {
            return Err(failed("there is too much to hand over through a code"));
        }
        for (number, piece) in pieces.iter().enumerate() {
            let mut message = Zeroizing::new(Vec::with_capacity(piece.len() + 2));
            let last = number + 1 == pieces.len();
            message.extend_from_slice(&[PIECE, u8::from(last)]);
            message.extend_from_slice(piece);
            self.talk.say(&message).await?;
        }
        let answer = self.talk.hear(MESSAGE).await?;
        if answer.as_slice() != [DONE] {
            return Err(failed("the new device did not finish"));
        }
        self.talk.close(false).await;
        Ok(())
    }

    /// Ends without having handed anything over.
    pub(crate) async fn give_up(mut self) {
        let _ = self.talk.say(&[REFUSED]).await;
        self.talk.close(true).await;
    }
}

/// The new device, until it has been given everything.
pub(crate) struct Asking {
    talk: Talk,
    pub(crate) hello: Hello,
    offer: Zeroizing<Vec<u8>>,
}

/// The new device: hears what is offered.
pub(crate) async fn hear_offer(mut talk: Talk) -> Result<Asking, Error> {
    let offer = talk.hear(MESSAGE).await?;
    let hello = Hello::decode(&offer).map_err(not_understood)?;
    if hello.offers.is_empty() {
        return Err(not_understood(Malformed::Value("offer to a new device")));
    }
    Ok(Asking { talk, hello, offer })
}

/// Packs by kind of space.
pub(crate) type Packs = Vec<(SpaceKind, Zeroizing<Vec<u8>>)>;

impl Asking {
    /// Asks for the places, shows the words, and waits for the spaces.
    pub(crate) async fn ask(
        mut self,
        name: &str,
        requests: &[LinkRequest],
        on_words: impl FnOnce(LinkWords) + Send,
    ) -> Result<(Packs, Given), Error> {
        let mut out = Writer::default();
        out.u8(REQUEST).bytes16(name.as_bytes());
        out.u8(count(requests.len()));
        for request in requests {
            out.raw(&request.encode());
        }
        let request = out.finish();
        self.talk.say(&request).await?;
        on_words(sas(&self.talk, &self.offer, &request));
        let mut all = Zeroizing::new(Vec::with_capacity(PIECES * CHANNEL_PLAINTEXT));
        let mut wait = CHOOSE + BRING;
        for _ in 0..PIECES {
            let piece = self.talk.hear(wait).await?;
            wait = MESSAGE;
            match piece.as_slice() {
                [PIECE, last @ (0 | 1), bytes @ ..] => {
                    all.extend_from_slice(bytes);
                    if *last == 1 {
                        let packs = read_packs(&all).map_err(not_understood)?;
                        return Ok((packs, Given { talk: self.talk }));
                    }
                }
                [REFUSED] => {
                    self.talk.close(false).await;
                    return Err(failed(
                        "the other device did not add this one; nothing was created here",
                    ));
                }
                _ => return Err(not_understood(Malformed::Kind("message of a linking"))),
            }
        }
        Err(not_understood(Malformed::TooLarge(
            "spaces for a new device",
        )))
    }
}

fn read_packs(bytes: &[u8]) -> Result<Packs, Malformed> {
    let mut reader = Reader::new(bytes, "spaces for a new device");
    let mut packs = Vec::new();
    for _ in 0..reader.u8()? {
        let kind = match reader.u8()? {
            1 => SpaceKind::Private,
            2 => SpaceKind::Shared,
            _ => return Err(Malformed::Kind("kind of a space")),
        };
        packs.push((kind, Zeroizing::new(reader.bytes32(bytes.len())?.to_vec())));
    }
    reader.finish()?;
    Ok(packs)
}

/// The new device, when it has everything.
pub(crate) struct Given {
    talk: Talk,
}

impl Given {
    /// Says that everything is on disk, and waits to be hung up on.
    pub(crate) async fn done(mut self) {
        // The old device is only told; what is here stays, whether it hears of it or not.
        if self.talk.say(&[DONE]).await.is_ok() {
            self.talk.close(true).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let root = RootPublic {
            root: [1; 32],
            login: [2; 32],
            recovery_kem: [3; 32],
        };
        Hello {
            offers: Vec::new(),
            name: "Ana".to_owned(),
            partner: "Ben".to_owned(),
            relay: "ajar-relay:h:1#k".to_owned(),
            private_relay: String::new(),
            slots: vec![SlotPublic { slot: 4, root }],
        }
    }

    #[test]
    fn an_offer_cut_anywhere_is_no_offer() {
        let bytes = hello().encode();
        let again = Hello::decode(&bytes).unwrap();
        assert_eq!(again.encode(), bytes);
        for length in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Hello::decode(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn the_right_line_is_there_once_and_not_always_in_the_same_place() {
        let right = sas_words(&[7; 32], b"keys");
        let mut places = [0; LINES];
        for _ in 0..60 {
            let (lines, place) = lines(&right).unwrap();
            assert_eq!(lines.iter().filter(|line| **line == right).count(), 1);
            assert_eq!(lines[place], right);
            places[place] += 1;
        }
        assert!(places.iter().all(|times| *times > 0), "{places:?}");
    }

    #[test]
    fn packs_that_promise_more_than_there_is_are_refused() {
        let mut bytes = vec![1, 1];
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(read_packs(&bytes).is_err());
        assert!(read_packs(&[1, 3, 0, 0, 0, 0]).is_err());
        assert_eq!(read_packs(&[1, 2, 0, 0, 0, 1, 9]).unwrap().len(), 1);
    }
}
