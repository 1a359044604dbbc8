//! Pairing mailboxes, in memory only: two connections, a few messages, ten minutes, one use
//! (protocol §2.9). Time and randomness are arguments of [`Mailboxes`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::limits as protocol_limits;
use ajar_protocol::mailbox::{NAMEPLATE_MAX, NAMEPLATE_MIN, Purpose};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use tokio::sync::{mpsc, watch};

use crate::limits::Limits;
use crate::rate::{Network, Windows};
use crate::stream::{End, Frames, Output};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Largest frame of a mailbox connection: one message and its tag.
const FRAME: usize = protocol_limits::MAILBOX_MESSAGE + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Joined,
    Burned,
}

/// The channels of one side: to the other, and from it.
type Half = (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>);

#[derive(Debug)]
struct Mailbox {
    purpose: Purpose,
    ends_at: Instant,
    phase: watch::Sender<Phase>,
    /// What the joiner gets.
    joiner: Option<Half>,
}

#[derive(Debug)]
struct State {
    open: HashMap<u32, Mailbox>,
    /// Nameplates used within a day.
    used: HashMap<u32, Instant>,
    opens: Windows,
    joins: Windows,
}

/// All mailboxes.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    most: usize,
    life: Duration,
    state: Mutex<State>,
}

/// One side of a mailbox; dropping it closes the mailbox.
#[derive(Debug)]
pub(crate) struct Side {
    mailboxes: Arc<Mailboxes>,
    nameplate: u32,
    purpose: Purpose,
    ends_at: Instant,
    phase: watch::Receiver<Phase>,
    to_other: mpsc::Sender<Vec<u8>>,
    from_other: mpsc::Receiver<Vec<u8>>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.mailboxes.burn(self.nameplate);
    }
}

impl Mailboxes {
    pub(crate) fn new(limits: &Limits) -> Self {
        let state = State {
            open: HashMap::new(),
            used: HashMap::new(),
            opens: Windows::new(HOUR, limits.mailbox_opens_per_hour),
            joins: Windows::new(HOUR, limits.mailbox_joins_per_hour),
        };
        Self {
            most: limits.mailboxes as usize,
            life: Duration::from_millis(limits.mailbox_milliseconds.into()),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a mailbox under a nameplate that was not used within a day.
    pub(crate) fn open(
        self: &Arc<Self>,
        purpose: Purpose,
        from: Network,
        now: Instant,
        random: u32,
    ) -> Result<Side, Refusal> {
        let mut state = self.lock();
        if !state.opens.allow(from, now) || state.open.len() >= self.most {
            return Err(Refusal::RateLimited);
        }
        state
            .used
            .retain(|_, used| now.saturating_duration_since(*used) < DAY);
        let count = NAMEPLATE_MAX - NAMEPLATE_MIN + 1;
        let nameplate = (0..count)
            .map(|step| NAMEPLATE_MIN + (random % count + step) % count)
            .find(|nameplate| !state.used.contains_key(nameplate))
            .ok_or(Refusal::Unavailable)?;
        state.used.insert(nameplate, now);
        let (phase, watching) = watch::channel(Phase::Waiting);
        // Each side may send this many in all, so a full channel is a violation, not a wait.
        let (to_joiner, from_opener) = mpsc::channel(protocol_limits::MAILBOX_MESSAGES);
        let (to_opener, from_joiner) = mpsc::channel(protocol_limits::MAILBOX_MESSAGES);
        let ends_at = now + self.life;
        let mailbox = Mailbox {
            purpose,
            ends_at,
            phase,
            joiner: Some((to_opener, from_opener)),
        };
        state.open.insert(nameplate, mailbox);
        Ok(Side {
            mailboxes: Arc::clone(self),
            nameplate,
            purpose,
            ends_at,
            phase: watching,
            to_other: to_joiner,
            from_other: from_joiner,
        })
    }

    /// Joins a mailbox; the second to try burns it for all.
    pub(crate) fn join(
        self: &Arc<Self>,
        nameplate: u32,
        from: Network,
        now: Instant,
    ) -> Result<Side, Refusal> {
        let mut state = self.lock();
        if !state.joins.allow(from, now) {
            return Err(Refusal::RateLimited);
        }
        let mailbox = state.open.get_mut(&nameplate).ok_or(Refusal::NoMailbox)?;
        let half = mailbox.joiner.take().filter(|_| now < mailbox.ends_at);
        let Some((to_other, from_other)) = half else {
            mailbox.phase.send_replace(Phase::Burned);
            state.open.remove(&nameplate);
            return Err(Refusal::NoMailbox);
        };
        mailbox.phase.send_replace(Phase::Joined);
        Ok(Side {
            mailboxes: Arc::clone(self),
            nameplate,
            purpose: mailbox.purpose,
            ends_at: mailbox.ends_at,
            phase: mailbox.phase.subscribe(),
            to_other,
            from_other,
        })
    }

    /// Takes a mailbox out of use. Sides still there see it by their closed channels.
    fn burn(&self, nameplate: u32) {
        self.lock().open.remove(&nameplate);
    }
}

/// Serves one side until it, the other side or the time ends.
pub(crate) async fn serve(
    mut side: Side,
    opened: bool,
    frames: &mut Frames,
    output: &mut Output,
) -> End {
    match relay(&mut side, opened, frames, output).await {
        Ok(end) | Err(end) => end,
    }
}

async fn relay(
    side: &mut Side,
    opened: bool,
    frames: &mut Frames,
    output: &mut Output,
) -> Result<End, End> {
    if opened {
        output.say(&RelayMsg::MailboxOpened(side.nameplate)).await?;
    } else {
        output.say(&RelayMsg::MailboxPeer(side.purpose)).await?;
    }
    let ends_at = tokio::time::Instant::from_std(side.ends_at);
    let mut expired = std::pin::pin!(tokio::time::sleep_until(ends_at));
    let to_other = side.to_other.clone();
    let mut reader = std::pin::pin!(read_messages(frames, to_other));
    let mut peer_known = !opened;
    let mut phase_final = false;
    loop {
        tokio::select! {
            biased;
            () = &mut expired => return Ok(End::Refused(Refusal::NoMailbox)),
            changed = side.phase.changed(), if !phase_final => {
                phase_final = changed.is_err();
                let phase = *side.phase.borrow_and_update();
                if phase == Phase::Burned {
                    return Ok(End::Refused(Refusal::NoMailbox));
                }
                if phase == Phase::Joined && !peer_known {
                    peer_known = true;
                    output.say(&RelayMsg::MailboxPeer(side.purpose)).await?;
                }
            }
            message = side.from_other.recv() => match message {
                Some(message) => output.say(&RelayMsg::MailboxMessage(message)).await?,
                None => return Ok(End::Closed),
            },
            end = &mut reader => return Ok(end),
        }
    }
}

async fn read_messages(frames: &mut Frames, to_other: mpsc::Sender<Vec<u8>>) -> End {
    let mut sent = 0;
    loop {
        let content = match frames.next(FRAME).await {
            Ok(content) => content,
            Err(end) => return end,
        };
        let message = match ClientMsg::parse(&content) {
            Ok(ClientMsg::MailboxSend(message)) if sent < protocol_limits::MAILBOX_MESSAGES => {
                message
            }
            _ => return End::Refused(Refusal::Violation),
        };
        sent += 1;
        if to_other.try_send(message).is_err() {
            return End::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailboxes(limits: &Limits) -> Arc<Mailboxes> {
        Arc::new(Mailboxes::new(limits))
    }

    fn network(n: u8) -> Network {
        Network::from(std::net::IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn a_nameplate_is_not_used_again_within_a_day() {
        let now = Instant::now();
        let mailboxes = mailboxes(&Limits::default());
        let first = mailboxes
            .open(Purpose::PartnerLink, network(1), now, 5)
            .unwrap();
        let nameplate = first.nameplate;
        assert!((NAMEPLATE_MIN..=NAMEPLATE_MAX).contains(&nameplate));
        drop(first);
        let second = mailboxes
            .open(Purpose::PartnerLink, network(1), now + HOUR, 5)
            .unwrap();
        assert_ne!(second.nameplate, nameplate);
        drop(second);
        let third = mailboxes
            .open(Purpose::PartnerLink, network(1), now + DAY, 5)
            .unwrap();
        assert_eq!(third.nameplate, nameplate);
    }

    #[test]
    fn a_second_joiner_burns_the_mailbox_for_all() {
        let now = Instant::now();
        let mailboxes = mailboxes(&Limits::default());
        let ana = mailboxes
            .open(Purpose::DeviceLink, network(1), now, 7)
            .unwrap();
        let _ben = mailboxes.join(ana.nameplate, network(2), now).unwrap();
        let third = mailboxes.join(ana.nameplate, network(3), now);
        assert_eq!(third.err(), Some(Refusal::NoMailbox));
        assert_eq!(*ana.phase.borrow(), Phase::Burned);
        let fourth = mailboxes.join(ana.nameplate, network(4), now);
        assert_eq!(fourth.err(), Some(Refusal::NoMailbox));
    }

    #[test]
    fn guessing_nameplates_and_opening_many_are_limited_by_address_and_in_all() {
        let now = Instant::now();
        let limits = Limits {
            mailboxes: 3,
            mailbox_opens_per_hour: 2,
            mailbox_joins_per_hour: 2,
            ..Limits::default()
        };
        let mailboxes = mailboxes(&limits);
        let open = |n: u8| mailboxes.open(Purpose::PartnerLink, network(n), now, 0);
        let _held = (open(1).unwrap(), open(1).unwrap());
        assert_eq!(open(1).err(), Some(Refusal::RateLimited));
        let _third = open(2).unwrap();
        assert_eq!(open(3).err(), Some(Refusal::RateLimited));
        let join = |n: u32| mailboxes.join(9000 + n, network(9), now).err();
        assert_eq!(join(1), Some(Refusal::NoMailbox));
        assert_eq!(join(2), Some(Refusal::NoMailbox));
        assert_eq!(join(3), Some(Refusal::RateLimited));
    }

    #[test]
    fn an_expired_mailbox_cannot_be_joined() {
        let now = Instant::now();
        let mailboxes = mailboxes(&Limits::default());
        let ana = mailboxes
            .open(Purpose::PartnerLink, network(1), now, 1)
            .unwrap();
        let late = now + Duration::from_secs(600);
        let joined = mailboxes.join(ana.nameplate, network(2), late);
        assert_eq!(joined.err(), Some(Refusal::NoMailbox));
    }
}
