//! The recovery login: what a relay shows to the twelve words, and storing the link that
//! recovers (protocol §2.8, §2.18).

use std::time::Duration;

use ajar_crypto::SlotKeys;
use ajar_engine::recovery::{Finder, Found, login, subscription};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::link::Link;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use tokio::time::{Instant, timeout_at};

use crate::driver::refused;
use crate::error::{ConnectError, Error};
use crate::transport::{Closer, Wire, WireReader, WireWriter};

/// Bytes looked at in one go, so that checking signatures never holds up other tasks for long.
const RECEIVE: usize = 1 << 16;
/// Time for one message of the relay.
const MESSAGE: Duration = Duration::from_secs(30);
/// Pause before the link is offered again to a relay that could not take it just now.
const AGAIN: Duration = Duration::from_secs(1);

/// What one slot of the words finds at a relay.
pub(crate) enum Look {
    /// The relay knows no space by them.
    Nothing,
    /// It shows something that is no space of theirs.
    Unsound,
    /// A space.
    Found(Box<Found>),
}

struct Session {
    writer: WireWriter,
    reader: WireReader,
    waiting: Vec<RelayMsg>,
}

impl Session {
    async fn begin(relay: &RelayAddress, keys: &SlotKeys) -> Result<(Self, Closer), ConnectError> {
        let wire = Wire::connect(relay).await?;
        let exporter = wire.exporter()?;
        let (mut writer, reader, closer) = wire.split();
        let login = ClientMsg::Login(login(keys, &relay.key, &exporter));
        writer.send(&[login]).await?;
        let session = Self {
            writer,
            reader,
            waiting: Vec::new(),
        };
        Ok((session, closer))
    }

    async fn hear(&mut self) -> Result<RelayMsg, ConnectError> {
        loop {
            if let Some(message) = self.waiting.pop() {
                return Ok(message);
            }
            let until = Instant::now() + MESSAGE;
            let received = timeout_at(until, self.reader.receive(RECEIVE)).await;
            self.waiting = received.map_err(|_| ConnectError::TimedOut)??;
            self.waiting.reverse();
        }
    }

    async fn look(&mut self, relay: &RelayAddress, keys: &SlotKeys) -> Result<Look, ConnectError> {
        self.writer.send(&[subscription()]).await?;
        let mut finder = Finder::new(relay.key, keys.public());
        let mut began = false;
        while !finder.caught_up() {
            match self.hear().await? {
                RelayMsg::Refused(Refusal::NotAdmitted) if !began => return Ok(Look::Nothing),
                RelayMsg::Refused(reason) => return Err(refused(reason)),
                message => finder.take(keys, message),
            }
            let asks = finder.asks();
            if !asks.is_empty() {
                self.writer.send(&asks).await?;
            }
            began = true;
        }
        Ok(match finder.finish() {
            Ok(found) => Look::Found(Box::new(found)),
            Err(_) => Look::Unsound,
        })
    }

    /// Offers the link; `false` when the relay cannot take it just now.
    async fn offer(&mut self, link: &Link) -> Result<bool, Error> {
        loop {
            match self.hear().await? {
                RelayMsg::Welcome { .. } => break,
                RelayMsg::Refused(reason) => return Err(refused(reason).into()),
                _ => {}
            }
        }
        let append = ClientMsg::AppendLink(link.as_bytes().to_vec());
        self.writer.send(&[append]).await?;
        loop {
            match self.hear().await? {
                RelayMsg::LinkStored { party, seq } if (party, seq) == (link.party, link.seq) => {
                    return Ok(true);
                }
                RelayMsg::LinkNotStored { party, seq, reason }
                    if (party, seq) == (link.party, link.seq) =>
                {
                    if reason.is_passing() {
                        return Ok(false);
                    }
                    return Err(Error::MemberRefused(reason));
                }
                RelayMsg::Refused(reason) => return Err(refused(reason).into()),
                _ => {}
            }
        }
    }
}

/// Looks what the keys of one slot find at a relay. Nothing changes there.
pub(crate) async fn look(
    relay: &RelayAddress,
    keys: &SlotKeys,
    until: Instant,
) -> Result<Look, Error> {
    let looking = async {
        let (mut session, closer) = Session::begin(relay, keys).await?;
        let looked = session.look(relay, keys).await;
        closer.close().await;
        looked
    };
    let looked = timeout_at(until, looking).await;
    Ok(looked.map_err(|_| ConnectError::TimedOut)??)
}

/// Has the relay store a RECOVER link.
pub(crate) async fn store(
    relay: &RelayAddress,
    keys: &SlotKeys,
    link: &Link,
    until: Instant,
) -> Result<(), Error> {
    let storing = async {
        loop {
            let (mut session, closer) = Session::begin(relay, keys).await?;
            let offered = session.offer(link).await;
            closer.close().await;
            if offered? {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let stored = timeout_at(until, storing).await;
    stored.map_err(|_| Error::from(ConnectError::TimedOut))?
}
