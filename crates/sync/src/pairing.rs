//! Pairing with the partner through a mailbox at the relay (protocol §2.9): the code, the
//! exchange that a relay cannot use, the words that both people compare, and the new space.

use std::time::Duration;

use ajar_crypto::PairingWords;
use ajar_crypto::pairing::{Channel, Enterer, FIRST_MESSAGE, Shower};
use ajar_engine::Replica;
use ajar_engine::pairing::{
    Agreed, FoundError, Met, OwnHalf, first_epoch, take_first_epoch, verdict,
};
use ajar_engine::replica::NewSpace;
use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::mailbox::{NAMEPLATE_MAX, NAMEPLATE_MIN, Purpose};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use tokio::time::timeout;

use crate::clock;
use crate::error::{ConnectError, Error};
use crate::invitation::{Invitation, code_text, invitation_text};
use crate::transport::{Closer, Wire, WireReader, WireWriter};

/// A code lives for ten minutes.
const CODE_LIVES: Duration = Duration::from_secs(600);
/// Time for people to compare six words.
const COMPARE: Duration = Duration::from_secs(600);
/// Time for one message of a device.
const MESSAGE: Duration = Duration::from_secs(30);
/// Time for the other side to hang up.
const HANG_UP: Duration = Duration::from_secs(5);

/// A code to be told to the partner.
#[derive(Clone)]
pub struct PairingCode {
    /// `4821-word-word-word`, for someone who has the relay's address.
    pub code: String,
    /// `ajar://host:port/4821-word-word-word#KEY`, for someone who has not.
    pub invitation: String,
}

/// Who was found at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name that the partner goes by. It comes from the other device: neutralise it before
    /// showing it on a terminal.
    pub partner: String,
    /// Six words that must be the same on both screens.
    pub words: [&'static str; 6],
}

/// What pairing gives: the space to create, who is in it, and the conversation, which goes
/// on until the first epoch is on both sides.
pub(crate) struct Paired {
    pub(crate) space: NewSpace,
    pub(crate) found: Found,
    pub(crate) claim: Option<[u8; 16]>,
    pub(crate) talk: Talk,
    shower: bool,
}

/// A sealed conversation through a mailbox.
pub(crate) struct Talk {
    mailbox: Mailbox,
    channel: Channel,
}

struct Mailbox {
    writer: WireWriter,
    reader: WireReader,
    closer: Closer,
    waiting: Vec<RelayMsg>,
}

fn failed(what: &str) -> Error {
    Error::Pairing(what.to_owned())
}

impl Mailbox {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), Error> {
        Ok(self.writer.send(&[ClientMsg::MailboxSend(message)]).await?)
    }

    async fn next(&mut self, wait: Duration) -> Result<RelayMsg, Error> {
        while self.waiting.is_empty() {
            let received = timeout(wait, self.reader.receive(1 << 16)).await;
            let mut messages = match received {
                Ok(Ok(messages)) => messages,
                Ok(Err(ConnectError::Lost)) => {
                    return Err(failed("the other device has gone, or the code has expired"));
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(failed("nobody answered in time")),
            };
            messages.reverse();
            self.waiting = messages;
        }
        match self.waiting.pop() {
            Some(RelayMsg::Refused(Refusal::NoMailbox)) => {
                Err(failed("this code is not there: mistyped, used, or expired"))
            }
            Some(RelayMsg::Refused(Refusal::RateLimited)) => Err(failed(
                "the relay asks for patience with codes; try again in a while",
            )),
            Some(RelayMsg::Refused(_)) => Err(failed("the relay refused the code")),
            Some(message) => Ok(message),
            None => Err(Error::Bug("an empty mailbox")),
        }
    }

    async fn message(&mut self, wait: Duration) -> Result<Vec<u8>, Error> {
        match self.next(wait).await? {
            RelayMsg::MailboxMessage(message) => Ok(message),
            _ => Err(ConnectError::Violation("another answer than a message".to_owned()).into()),
        }
    }

    async fn peer(&mut self, wait: Duration) -> Result<(), Error> {
        match self.next(wait).await? {
            RelayMsg::MailboxPeer(Purpose::PartnerLink) => Ok(()),
            RelayMsg::MailboxPeer(Purpose::DeviceLink) => Err(failed(
                "this code belongs to 'add my own device', not to pairing with a partner",
            )),
            _ => Err(ConnectError::Violation("another answer than a peer".to_owned()).into()),
        }
    }
}

impl Talk {
    async fn say(&mut self, plaintext: &[u8]) -> Result<(), Error> {
        let sealed = self
            .channel
            .seal(plaintext)
            .map_err(|error| failed(&error.to_string()))?;
        self.mailbox.send(sealed).await
    }

    /// Ends the conversation. The side that spoke last waits until the other one has heard it
    /// and hangs up: a relay closes a mailbox as soon as one side is gone.
    pub(crate) async fn close(mut self, spoke_last: bool) {
        if spoke_last {
            let _ = self.mailbox.next(HANG_UP).await;
        }
        self.mailbox.writer.finish().await;
        self.mailbox.closer.close().await;
    }

    async fn hear(&mut self, wait: Duration) -> Result<Vec<u8>, Error> {
        let sealed = self.mailbox.message(wait).await?;
        let opened = self
            .channel
            .open(&sealed)
            .map_err(|error| failed(&error.to_string()))?;
        Ok(opened.to_vec())
    }
}

async fn mailbox(relay: &RelayAddress, first: ClientMsg) -> Result<Mailbox, Error> {
    let wire = Wire::connect(relay).await?;
    let (mut writer, reader, closer) = wire.split();
    writer.send(&[first]).await?;
    Ok(Mailbox {
        writer,
        reader,
        closer,
        waiting: Vec::new(),
    })
}

const GUESSED: &str = "the words did not match, so the code is used up";

/// Shows a code and waits for the partner.
pub(crate) async fn show(
    relay: &RelayAddress,
    own: OwnHalf,
    name: &str,
    on_code: impl FnOnce(PairingCode) + Send,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
) -> Result<Paired, Error> {
    let words = PairingWords::random(&mut clock::entropy())?;
    let mut mailbox = mailbox(relay, ClientMsg::MailboxOpen(Purpose::PartnerLink)).await?;
    let RelayMsg::MailboxOpened(nameplate) = mailbox.next(MESSAGE).await? else {
        return Err(ConnectError::Violation("no mailbox".to_owned()).into());
    };
    if !(NAMEPLATE_MIN..=NAMEPLATE_MAX).contains(&nameplate) {
        return Err(ConnectError::Violation("no number of a mailbox".to_owned()).into());
    }
    let code = code_text(nameplate, &words);
    let invitation = invitation_text(relay, &code);
    on_code(PairingCode { code, invitation });
    mailbox.peer(CODE_LIVES).await?;
    let purpose = Purpose::PartnerLink;
    let (shower, first) = Shower::start(
        purpose,
        &nameplate.to_string(),
        &relay.key,
        &words,
        &mut clock::entropy(),
    )
    .map_err(|error| failed(&error.to_string()))?;
    mailbox.send(first.to_vec()).await?;
    let answer = mailbox.message(MESSAGE).await?;
    let (theirs, confirmation) = answer
        .split_at_checked(FIRST_MESSAGE)
        .ok_or_else(|| failed(GUESSED))?;
    let (channel, confirmation) = shower
        .confirm(theirs, confirmation)
        .map_err(|_| failed(GUESSED))?;
    mailbox.send(confirmation.to_vec()).await?;
    agree(
        Talk { mailbox, channel },
        own,
        name,
        relay.claim,
        confirm,
        true,
    )
    .await
}

/// Enters a code.
pub(crate) async fn enter(
    relay: &RelayAddress,
    invitation: &Invitation,
    own: OwnHalf,
    name: &str,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
) -> Result<Paired, Error> {
    let nameplate = invitation.nameplate;
    let mut mailbox = mailbox(relay, ClientMsg::MailboxJoin(nameplate)).await?;
    mailbox.peer(MESSAGE).await?;
    let purpose = Purpose::PartnerLink;
    let (enterer, first) = Enterer::start(
        purpose,
        &nameplate.to_string(),
        &relay.key,
        &invitation.words,
        &mut clock::entropy(),
    )
    .map_err(|error| failed(&error.to_string()))?;
    let theirs = mailbox.message(MESSAGE).await?;
    let (waiting, confirmation) = enterer.receive(&theirs).map_err(|_| failed(GUESSED))?;
    mailbox
        .send([first.as_slice(), &confirmation].concat())
        .await?;
    let confirmation = mailbox
        .message(MESSAGE)
        .await
        .map_err(|_| failed(GUESSED))?;
    let channel = waiting
        .confirm(&confirmation)
        .map_err(|_| failed(GUESSED))?;
    agree(
        Talk { mailbox, channel },
        own,
        name,
        relay.claim,
        confirm,
        false,
    )
    .await
}

async fn agree(
    mut talk: Talk,
    own: OwnHalf,
    name: &str,
    claim: Option<[u8; 16]>,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
    shower: bool,
) -> Result<Paired, Error> {
    talk.say(&own.offer(name, claim)).await?;
    let offer = talk.hear(MESSAGE).await?;
    let (met, signature): (Met, Vec<u8>) = own.meet(&offer)?;
    talk.say(&signature).await?;
    let signature = talk.hear(MESSAGE).await?;
    let (partner, claim) = (met.partner_name().to_owned(), met.claim());
    let agreed: Agreed = met.sign(&signature)?;
    let found = Found {
        partner,
        words: agreed.words(),
    };
    let asked = found.clone();
    let same = tokio::task::spawn_blocking(move || confirm(&asked))
        .await
        .map_err(|_| failed("the question was not answered"))?;
    talk.say(&verdict(same)).await?;
    if !same {
        // So that the other side says the same, and not that the line went dead: whoever saw
        // the same words now waits for our verdict.
        let theirs = talk.hear(HANG_UP).await;
        let they_wait = theirs.is_ok_and(|theirs| theirs == verdict(true));
        talk.close(they_wait).await;
        return Err(FoundError::WordsDiffer.into());
    }
    let theirs = talk.hear(COMPARE).await?;
    let space = agreed.confirmed(&theirs)?;
    Ok(Paired {
        space,
        found,
        claim,
        talk,
        shower,
    })
}

const DONE: &[u8] = &[5];

/// After the space is created here: brings the first epoch to the other side, so that both
/// can write whether or not the relay is there.
pub(crate) async fn share_first_epoch<S: ajar_engine::store::Store>(
    talk: &mut Talk,
    shower: bool,
    replica: &mut Replica<S>,
) -> Result<(), Error> {
    if shower {
        let message = first_epoch(replica, clock::now(), &mut clock::entropy())?;
        talk.say(&message).await?;
        // Without this word the other side may still create its own: both are valid.
        if talk.hear(MESSAGE).await? != DONE {
            return Err(failed("the other device did not finish"));
        }
    } else {
        let message = talk.hear(MESSAGE).await?;
        take_first_epoch(replica, clock::now(), &message)?;
        talk.say(DONE).await?;
    }
    Ok(())
}

impl Paired {
    pub(crate) fn is_shower(&self) -> bool {
        self.shower
    }
}
