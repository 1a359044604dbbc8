//! A sealed conversation of two devices through a mailbox at a relay (protocol §2.9): the code,
//! and the exchange that a relay cannot use. What they say to each other is in
//! [`crate::pairing`] and [`crate::linking`].

use std::time::Duration;

use ajar_crypto::PairingWords;
use ajar_crypto::pairing::{Channel, Enterer, FIRST_MESSAGE, Shower};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::mailbox::{NAMEPLATE_MAX, NAMEPLATE_MIN, Purpose};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock;
use crate::error::{ConnectError, Error};
use crate::invitation::{Invitation, code_text, invitation_text};
use crate::transport::{Closer, Wire, WireReader, WireWriter};

/// A code lives for ten minutes.
const CODE_LIVES: Duration = Duration::from_secs(600);
/// Time for one message of a device.
pub(crate) const MESSAGE: Duration = Duration::from_secs(30);
/// Time for the other side to hang up.
pub(crate) const HANG_UP: Duration = Duration::from_secs(5);

const GONE: &str = "the other device has gone, or the code has expired";
const GUESSED: &str = "the words did not match, so the code is used up";

/// A code to be told to the partner, or typed into another device.
#[derive(Clone)]
pub struct PairingCode {
    /// `4821-word-word-word`, for someone who has the relay's address.
    pub code: String,
    /// `ajar://host:port/4821-word-word-word#KEY`, for someone who has not.
    pub invitation: String,
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

pub(crate) fn failed(what: &str) -> Error {
    Error::Pairing(what.to_owned())
}

fn other_purpose(wanted: Purpose) -> Error {
    failed(match wanted {
        Purpose::PartnerLink => {
            "this code belongs to 'add my own device', not to pairing with a partner"
        }
        Purpose::DeviceLink => {
            "this code is for meeting a partner, not for adding a device of your own"
        }
    })
}

impl Mailbox {
    async fn open(relay: &RelayAddress, first: ClientMsg) -> Result<Self, Error> {
        let wire = Wire::connect(relay).await?;
        let (mut writer, reader, closer) = wire.split();
        writer.send(&[first]).await?;
        Ok(Self {
            writer,
            reader,
            closer,
            waiting: Vec::new(),
        })
    }

    async fn send(&mut self, message: Vec<u8>) -> Result<(), Error> {
        let sent = self.writer.send(&[ClientMsg::MailboxSend(message)]).await;
        sent.map_err(|error| match error {
            ConnectError::Lost => failed(GONE),
            error => error.into(),
        })
    }

    async fn next(&mut self, wait: Duration) -> Result<RelayMsg, Error> {
        while self.waiting.is_empty() {
            let received = timeout(wait, self.reader.receive(1 << 16)).await;
            let mut messages = match received {
                Ok(Ok(messages)) => messages,
                Ok(Err(ConnectError::Lost)) => {
                    return Err(failed(GONE));
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

    async fn peer(&mut self, wanted: Purpose, wait: Duration) -> Result<(), Error> {
        match self.next(wait).await? {
            RelayMsg::MailboxPeer(purpose) if purpose == wanted => Ok(()),
            RelayMsg::MailboxPeer(_) => Err(other_purpose(wanted)),
            _ => Err(ConnectError::Violation("another answer than a peer".to_owned()).into()),
        }
    }
}

impl Mailbox {
    /// Hangs up, so that the relay tells the other side now and not when it has heard nothing
    /// for half a minute: a process that ends right away may not get its farewell out.
    async fn give_up(mut self, error: Error) -> Error {
        self.writer.finish().await;
        self.closer.close().await;
        error
    }
}

impl Talk {
    /// Shows a code and waits for the other device.
    pub(crate) async fn show(
        relay: &RelayAddress,
        purpose: Purpose,
        on_code: impl FnOnce(PairingCode) + Send,
    ) -> Result<Self, Error> {
        let words = PairingWords::random(&mut clock::entropy())?;
        let mut mailbox = Mailbox::open(relay, ClientMsg::MailboxOpen(purpose)).await?;
        let RelayMsg::MailboxOpened(nameplate) = mailbox.next(MESSAGE).await? else {
            return Err(ConnectError::Violation("no mailbox".to_owned()).into());
        };
        if !(NAMEPLATE_MIN..=NAMEPLATE_MAX).contains(&nameplate) {
            return Err(ConnectError::Violation("no number of a mailbox".to_owned()).into());
        }
        let code = code_text(nameplate, &words);
        let invitation = invitation_text(relay, &code);
        on_code(PairingCode { code, invitation });
        match Self::shown(&mut mailbox, relay, purpose, nameplate, &words).await {
            Ok(channel) => Ok(Self { mailbox, channel }),
            Err(error) => Err(mailbox.give_up(error).await),
        }
    }

    async fn shown(
        mailbox: &mut Mailbox,
        relay: &RelayAddress,
        purpose: Purpose,
        nameplate: u32,
        words: &PairingWords,
    ) -> Result<Channel, Error> {
        mailbox.peer(purpose, CODE_LIVES).await?;
        let (shower, first) = Shower::start(
            purpose,
            &nameplate.to_string(),
            &relay.key,
            words,
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
        Ok(channel)
    }

    /// Enters a code.
    pub(crate) async fn enter(
        relay: &RelayAddress,
        purpose: Purpose,
        invitation: &Invitation,
    ) -> Result<Self, Error> {
        let nameplate = invitation.nameplate;
        let mut mailbox = Mailbox::open(relay, ClientMsg::MailboxJoin(nameplate)).await?;
        match Self::entered(&mut mailbox, relay, purpose, invitation).await {
            Ok(channel) => Ok(Self { mailbox, channel }),
            Err(error) => Err(mailbox.give_up(error).await),
        }
    }

    async fn entered(
        mailbox: &mut Mailbox,
        relay: &RelayAddress,
        purpose: Purpose,
        invitation: &Invitation,
    ) -> Result<Channel, Error> {
        let nameplate = invitation.nameplate;
        mailbox.peer(purpose, MESSAGE).await?;
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
        waiting.confirm(&confirmation).map_err(|_| failed(GUESSED))
    }

    /// Hash over everything both sides have said to open the channel.
    pub(crate) fn transcript(&self) -> [u8; 32] {
        self.channel.transcript()
    }

    pub(crate) async fn say(&mut self, plaintext: &[u8]) -> Result<(), Error> {
        let sealed = self
            .channel
            .seal(plaintext)
            .map_err(|error| failed(&error.to_string()))?;
        self.mailbox.send(sealed).await
    }

    /// The next message; it may hold keys.
    pub(crate) async fn hear(&mut self, wait: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
        let sealed = self.mailbox.message(wait).await?;
        self.channel
            .open(&sealed)
            .map_err(|error| failed(&error.to_string()))
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
}
