//! A connection from its handshake to its end: what a stranger may say, the login, and then a
//! session or a mailbox.

use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::auth::Login;
use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{DeviceId, SpaceId, label, limits};
use quinn::{Connection, Incoming, VarInt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::admission::{Introduction, find, open};
use crate::mailbox;
use crate::rate::Network;
use crate::relay::{ConnectionSlot, Relay};
use crate::session;
use crate::space::{Member, Space};
use crate::stream::{End, Frames, Output};
use crate::tls;

/// Longest time for an introduction with all its links.
const INTRODUCTION: Duration = Duration::from_secs(60);
/// Frame limit while a space with a good credential brings its links.
const LINK_FRAME: usize = limits::LINK + 1;

/// Serves one connection. `stop` turns true when the relay stops.
pub(crate) async fn serve(
    relay: Arc<Relay>,
    incoming: Incoming,
    slot: ConnectionSlot,
    mut stop: watch::Receiver<bool>,
) {
    let patience = Duration::from_secs(relay.limits.login_seconds.into());
    let deadline = Instant::now() + patience;
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    let connection = tokio::select! {
        done = timeout_at(deadline, connecting) => match done {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) | Err(_) => return,
        },
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let streams = tokio::select! {
        streams = timeout_at(deadline, connection.accept_bi()) => streams,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    if let Ok(Ok((send, recv))) = streams {
        let slowness = Duration::from_secs(relay.limits.frame_seconds.into());
        let mut output = Output::new(send, slowness);
        let mut guest = Guest {
            relay: &relay,
            connection: &connection,
            frames: Frames::new(recv, slowness.min(patience)),
            patience,
            stop,
        };
        let end = match guest.run(&mut output, deadline).await {
            Ok(end) | Err(end) => end,
        };
        tracing::debug!(?end, "a connection ends");
        match end {
            End::Refused(reason) => {
                if output.say(&RelayMsg::Refused(reason)).await.is_ok() {
                    output.finish().await;
                }
            }
            End::Closed => output.finish().await,
            End::Late => {}
        }
    }
    connection.close(VarInt::from_u32(0), b"");
    drop(slot);
}

struct Guest<'a> {
    relay: &'a Arc<Relay>,
    connection: &'a Connection,
    frames: Frames,
    patience: Duration,
    stop: watch::Receiver<bool>,
}

impl Guest<'_> {
    async fn run(&mut self, output: &mut Output, deadline: Instant) -> Result<End, End> {
        let from = Network::from(self.connection.remote_address().ip());
        let now = std::time::Instant::now();
        let (side, opened) = match self.message(limits::FRAME_BEFORE_LOGIN, deadline).await? {
            ClientMsg::Login(login) => return self.enter(&login, output).await,
            ClientMsg::Introduce {
                genesis,
                credential,
            } => {
                let login = self.introduce(&genesis, credential, from, output).await?;
                return self.enter(&login, output).await;
            }
            ClientMsg::MailboxOpen(purpose) => {
                let random = getrandom::u32().map_err(|_| End::Refused(Refusal::Unavailable))?;
                let mailboxes = &self.relay.mailboxes;
                (mailboxes.open(purpose, from, now, random), true)
            }
            ClientMsg::MailboxJoin(nameplate) => {
                (self.relay.mailboxes.join(nameplate, from, now), false)
            }
            _ => return Err(End::Refused(Refusal::Violation)),
        };
        let side = side.map_err(End::Refused)?;
        tokio::select! {
            end = mailbox::serve(side, opened, &mut self.frames, output) => Ok(end),
            _ = self.stop.wait_for(|stop| *stop) => Ok(End::Refused(Refusal::Unavailable)),
        }
    }

    /// The next message of a stranger, in time and within `limit` bytes.
    async fn message(&mut self, limit: usize, deadline: Instant) -> Result<ClientMsg, End> {
        let content = tokio::select! {
            content = timeout_at(deadline, self.frames.next(limit)) => {
                content.map_err(|_| End::Late)??
            }
            _ = self.stop.wait_for(|stop| *stop) => {
                return Err(End::Refused(Refusal::Unavailable));
            }
        };
        Ok(ClientMsg::parse(&content)?)
    }

    /// Runs an introduction up to the login that follows it.
    async fn introduce(
        &mut self,
        genesis: &[u8],
        credential: Credential,
        from: Network,
        output: &mut Output,
    ) -> Result<Login, End> {
        let start = Instant::now();
        if !self.relay.may_introduce(from) {
            return Err(End::Refused(Refusal::RateLimited));
        }
        let mut introduction = match Introduction::begin(self.relay, genesis, credential).await {
            Ok(introduction) => introduction,
            Err(reason) => {
                if reason == Refusal::BadCredential {
                    self.relay.note_bad_introduction(from);
                    self.pause(start).await;
                }
                return Err(End::Refused(reason));
            }
        };
        output
            .say(&RelayMsg::Admitted(introduction.permit()))
            .await?;
        loop {
            let deadline = (Instant::now() + self.patience).min(start + INTRODUCTION);
            match self.message(LINK_FRAME, deadline).await? {
                ClientMsg::AppendLink(bytes) => {
                    let answers = introduction.link(&bytes).await.map_err(End::Refused)?;
                    for answer in answers {
                        output.say(&answer).await?;
                    }
                }
                ClientMsg::Login(login) => return Ok(login),
                _ => return Err(End::Refused(Refusal::Violation)),
            }
        }
    }

    /// Checks a login and runs the session. Every refusal is the same, at the same time.
    async fn enter(&mut self, login: &Login, output: &mut Output) -> Result<End, End> {
        let start = Instant::now();
        let (space, member, genesis) = match self.check(login).await {
            Ok(entered) => entered,
            Err(reason) => {
                self.pause(start).await;
                return Err(End::Refused(reason));
            }
        };
        let (chains, frontier) = space.holds();
        let welcome = RelayMsg::Welcome {
            permit: self.relay.identity.permit(&space.id()),
            chains,
            frontier,
        };
        if let Some(genesis) = genesis {
            output.say(&RelayMsg::Genesis(genesis)).await?;
        }
        output.say(&welcome).await?;
        self.connection
            .set_receive_window(VarInt::from_u32(tls::MEMBER_WINDOW));
        // The stream that is open, and one for each transfer.
        let streams = 1 + self.relay.limits.blob_transfers_per_connection;
        self.connection
            .set_max_concurrent_bi_streams(VarInt::from_u32(streams));
        output.prefer();
        let slowness = Duration::from_secs(self.relay.limits.frame_seconds.into());
        self.frames.set_finish(slowness);
        let frames = &mut self.frames;
        let streams = session::Streams {
            connection: self.connection,
            frames,
            output,
        };
        Ok(session::run(self.relay, space, member, streams, self.stop.clone()).await)
    }

    /// Who logs in, and where. Whoever has only the twelve words does not know the space: it is
    /// found by the login key, and its genesis is told.
    async fn check(&self, login: &Login) -> Result<(Arc<Space>, Member, Option<Vec<u8>>), Refusal> {
        let mut exporter = [0; 32];
        self.connection
            .export_keying_material(&mut exporter, label::EXPORTER, b"")
            .map_err(|_| Refusal::NotAdmitted)?;
        login
            .verify(&self.relay.identity.public(), &exporter)
            .map_err(|_| Refusal::NotAdmitted)?;
        let by_key = login.space == SpaceId::ZERO && login.device == DeviceId::ZERO;
        let (id, genesis) = if by_key {
            let found = find(self.relay, login.auth).await?;
            let (id, genesis) = found.ok_or(Refusal::NotAdmitted)?;
            (id, Some(genesis))
        } else {
            (login.space, None)
        };
        let space = open(self.relay, id).await?.ok_or(Refusal::NotAdmitted)?;
        let member = space
            .member(&login.device, &login.auth)
            .ok_or(Refusal::NotAdmitted)?;
        Ok((space, member, genesis))
    }

    /// Waits until the time at which all refusals are given, so that how long ours took tells
    /// nothing.
    async fn pause(&self, start: Instant) {
        let least = u64::from(self.relay.limits.refusal_milliseconds);
        let jitter = getrandom::u64().unwrap_or(0) % (least / 2 + 1);
        sleep_until(start + Duration::from_millis(least + jitter)).await;
    }
}
