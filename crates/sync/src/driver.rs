//! The driver of one space: connects, logs in, carries messages both ways, and tries again
//! with a growing, jittered pause. It never waits for the disk: what it receives goes to the
//! replica's thread over a bounded queue.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ajar_engine::{Incoming, Outputs, Signers};
use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use rand_core::TryRng;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::blobs::{self, Answers, Asks};
use crate::chores;
use crate::clock;
use crate::core::LINK;
use crate::error::{ConnectError, Error};
use crate::event::Connection;
use crate::home::mode::may_travel;
use crate::space::Inner;
use crate::transport::{Wire, WireReader, WireWriter};

/// First pause; doubles each time.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_LONGEST: Duration = Duration::from_secs(60);
/// Pause after an answer that will hardly change by itself.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);
/// Bytes handed to the replica at a time, so that one batch stays small.
const RECEIVE: usize = 1 << 20;
/// How often time is told to the replica.
const TICK: Duration = Duration::from_secs(5);
/// Time for the relay to answer the login.
const LOGIN: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one: after it, pauses begin anew. A relay that
/// welcomes and hangs up at once is not asked four times a second for ever.
const STEADY: Duration = Duration::from_secs(10);

/// A running driver. Dropping it ends the task soon.
pub(crate) struct Driver {
    stop: watch::Sender<bool>,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Driver {
    pub(crate) fn start(space: Weak<Inner>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let task = tokio::spawn(run(space, Arc::clone(&wake), stopped));
        Self { stop, wake, task }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends a pause: somebody waits.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the connection and waits for that.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// The relay of a space, as its key file says, if the space may travel.
pub(crate) fn relay_of(space: &Inner) -> Result<RelayAddress, Error> {
    let keys = space.keys.upgrade().ok_or(Error::Closed)?;
    let (text, mode) = keys.read(|keys| (keys.relay.clone(), keys.mode));
    may_travel(mode)?;
    if text.is_empty() {
        return Err(ConnectError::NoRelay.into());
    }
    text.parse()
        .map_err(|_| Error::Damaged("the stored relay address is damaged".to_owned()))
}

async fn run(space: Weak<Inner>, wake: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut attempt = 0;
    // Whether to present the space to the relay before logging in.
    let mut introduce = false;
    loop {
        let Some(inner) = space.upgrade() else { return };
        inner.worker.set_connection(Connection::Connecting);
        let began = Instant::now();
        let mut welcomed = false;
        // Before looking, so that no change is missed.
        let mut route = inner.route.subscribe();
        // Each time anew: the person may have entered another address.
        let ended = match relay_of(&inner) {
            Ok(relay) => {
                let wishes = (&mut stop, &mut route);
                session(&inner, &relay, &mut introduce, &mut welcomed, wishes).await
            }
            Err(Error::Connect(why)) => Err(why),
            Err(_) => Err(ConnectError::NoRelay),
        };
        let why = match ended {
            Ok(Wish::Stop) => return,
            Ok(Wish::Reroute) => {
                attempt = 0;
                continue;
            }
            Err(why) => why,
        };
        if inner.worker.is_over() {
            return;
        }
        if !may_ever(&why) {
            inner.worker.set_connection(Connection::Off);
            return;
        }
        if welcomed && began.elapsed() >= STEADY {
            attempt = 0;
        }
        if matches!(why, ConnectError::NotAdmitted) && introduce {
            // The next try presents the space.
            continue;
        }
        let retry_in = pause(&why, attempt);
        attempt += 1;
        tracing::info!(code = why.code(), "no connection to the relay");
        inner
            .worker
            .set_connection(Connection::Waiting { why, retry_in });
        drop(inner);
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            () = wake.notified() => {}
            _ = route.changed() => attempt = 0,
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Whether trying again without a person's doing can help.
fn may_ever(why: &ConnectError) -> bool {
    !matches!(
        why,
        ConnectError::Off | ConnectError::Paused | ConnectError::Left
    )
}

/// Exponential with jitter between half and the whole, so that devices that lost the relay
/// at the same moment do not come back at the same moment.
fn pause(why: &ConnectError, attempt: u32) -> Duration {
    let base = match why {
        ConnectError::WrongRelay
        | ConnectError::NotAdmitted
        | ConnectError::BadClaim
        | ConnectError::NoRelay => PAUSE_REFUSED,
        _ => PAUSE_FIRST
            .saturating_mul(1 << attempt.min(10))
            .min(PAUSE_LONGEST),
    };
    let random = clock::entropy().try_next_u32().unwrap_or(u32::MAX / 2);
    base / 2 + (base / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Why a connection ended that was asked to.
enum Wish {
    Stop,
    Reroute,
}

type Wishes<'a> = (&'a mut watch::Receiver<bool>, &'a mut watch::Receiver<()>);

/// One connection, from connecting to its end. `Ok` when it was asked to end.
async fn session(
    space: &Arc<Inner>,
    relay: &RelayAddress,
    introduce: &mut bool,
    welcomed: &mut bool,
    (stop, route): Wishes<'_>,
) -> Result<Wish, ConnectError> {
    let wire = tokio::select! {
        wire = Wire::connect(relay) => wire?,
        _ = stop.wait_for(|stop| *stop) => return Ok(Wish::Stop),
        _ = route.changed() => return Ok(Wish::Reroute),
    };
    let exporter = wire.exporter()?;
    let (key, claim) = (relay.key, relay.claim);
    let (link, outgoing) = mpsc::channel(LINK);
    let presented = *introduce;
    let flight = space
        .worker
        .call_async(move |core| {
            let mut flight = Vec::new();
            let first_time = !core.replica.has_permit(&key) && claim.is_some();
            if (presented || first_time)
                && let Some(introduction) = core.replica.introduction(&key, claim)
            {
                flight.extend(introduction);
            }
            let introduced = !flight.is_empty();
            flight.push(ClientMsg::Login(core.replica.login(&key, &exporter)));
            flight.push(core.replica.connected(key));
            let can_introduce = core.replica.introduction(&key, claim).is_some();
            let signers = Arc::new(core.replica.signers());
            (core.link(link), flight, introduced, can_introduce, signers)
        })
        .await;
    let (wire_number, flight, introduced, can_introduce, signers) =
        flight.map_err(|_| ConnectError::Lost)?;
    let (writer, reader, closer) = wire.split();
    let (answers, asks, welcome, line) = blobs::channels();
    let welcomed_to_chores = line.welcomed.clone();
    let (batches, arrived) = mpsc::channel(1);
    let ended = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => Ok(Wish::Stop),
        _ = route.changed() => Ok(Wish::Reroute),
        ended = hand_over(space, wire_number, arrived, welcomed, (answers, welcome)) => ended,
        never = read(reader, signers, batches) => match never {},
        ended = write(writer, flight, outgoing, asks) => ended,
        ended = tick(space) => ended,
        ended = blobs::run(space, closer.connection(), line) => ended,
        ended = chores::run(space, welcomed_to_chores) => ended,
    };
    let _ = space
        .worker
        .call_async(move |core| core.link_ended(wire_number))
        .await;
    // A relay that lost its data does not know the space any more: present it, once.
    *introduce = matches!(ended, Err(ConnectError::NotAdmitted)) && !introduced && can_introduce;
    let (sent, received) = closer.traffic();
    space.sent.fetch_add(sent, Ordering::Relaxed);
    space.received.fetch_add(received, Ordering::Relaxed);
    closer.close().await;
    ended
}

/// What has come at one moment.
struct Arrived {
    messages: Vec<Incoming>,
    about_blobs: Vec<RelayMsg>,
    welcomed: bool,
    refusal: Option<Refusal>,
}

type Batches = mpsc::Sender<Result<Arrived, ConnectError>>;

/// Reads what comes, a batch ahead of what the replica is taking in. What came before the end of
/// the connection is taken in before the end is noticed.
async fn read(reader: WireReader, signers: Arc<Signers>, batches: Batches) -> Infallible {
    if let Err(why) = read_to_the_end(reader, signers, &batches).await {
        let _ = batches.send(Err(why)).await;
    }
    std::future::pending().await
}

async fn read_to_the_end(
    mut reader: WireReader,
    signers: Arc<Signers>,
    batches: &Batches,
) -> Result<(), ConnectError> {
    let login = Instant::now() + LOGIN;
    let mut welcomed = false;
    loop {
        let mut messages = if welcomed {
            reader.receive(RECEIVE).await?
        } else {
            timeout_at(login, reader.receive(RECEIVE))
                .await
                .map_err(|_| ConnectError::TimedOut)??
        };
        // What came before a refusal still counts.
        let refusal = messages.iter().position(is_refusal);
        let refusal = refusal.and_then(|place| messages.drain(place..).next());
        let refusal = match refusal {
            Some(RelayMsg::Refused(reason)) => Some(reason),
            _ => None,
        };
        let is_welcome = |message: &RelayMsg| matches!(message, RelayMsg::Welcome { .. });
        welcomed |= messages.iter().any(is_welcome);
        let about_blobs = messages.extract_if(.., |message| is_about_blobs(message));
        let about_blobs = about_blobs.collect();
        // Signatures are half the work of catching up.
        let signers = Arc::clone(&signers);
        let look = move || messages.into_iter().map(|m| signers.look_at(m)).collect();
        let batch = Arrived {
            messages: tokio::task::spawn_blocking(look)
                .await
                .map_err(|_| ConnectError::Lost)?,
            about_blobs,
            welcomed,
            refusal,
        };
        if batches.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
}

/// Hands to the replica what was read.
async fn hand_over(
    space: &Arc<Inner>,
    wire_number: u64,
    mut arrived: mpsc::Receiver<Result<Arrived, ConnectError>>,
    welcomed: &mut bool,
    (answers, welcome): (Answers, watch::Sender<bool>),
) -> Result<Wish, ConnectError> {
    loop {
        let batch = arrived.recv().await.unwrap_or(Err(ConnectError::Lost))?;
        let just_welcomed = batch.welcomed && !*welcomed;
        if just_welcomed {
            *welcomed = true;
            space.worker.set_connection(Connection::Online {
                caught_up: false,
                delivered: false,
            });
        }
        for message in batch.about_blobs {
            // Answers come one at a time; what nobody asked for is dropped.
            let _ = answers.try_send(message);
        }
        let (blobs, messages) = (Arc::clone(&space.blobs), batch.messages);
        let taken = space
            .worker
            .call_async(move |core| {
                // Another connection took the place of this one.
                if !core.is_linked(wire_number) {
                    return Ok(false);
                }
                let mut result = core.replica.receive(clock::now(), messages);
                let mut rotated = Ok(());
                // Before anybody hears that all is delivered: it is not, with an epoch owed.
                if let Ok(outputs) = &mut result
                    && core.replica.caught_up()
                    && core.replica.owes_epoch()
                {
                    let rotating = core.replica.rotate(clock::now(), &mut clock::entropy());
                    rotated = rotating.map(|rotated| outputs.extend(rotated));
                }
                if just_welcomed && core.replica.relay_is_behind() {
                    blobs.ask_relay()?;
                }
                // What was received is kept, whatever came of the rest: its events count.
                core.step(result)?;
                core.step(rotated.map(|()| Outputs::default()))
                    .map(|()| true)
            })
            .await;
        match taken {
            Ok(Ok(true)) if just_welcomed => drop(welcome.send_replace(true)),
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(ConnectError::Lost),
            Ok(Err(error)) | Err(error) => return Err(ConnectError::Store(error.to_string())),
        }
        if let Some(reason) = batch.refusal {
            return Err(refused(reason));
        }
    }
}

fn is_about_blobs(message: &RelayMsg) -> bool {
    matches!(
        message,
        RelayMsg::BlobsMissing(_) | RelayMsg::BlobsDeleted(_)
    )
}

fn is_refusal(message: &RelayMsg) -> bool {
    matches!(message, RelayMsg::Refused(_))
}

pub(crate) fn refused(reason: Refusal) -> ConnectError {
    match reason {
        Refusal::NotAdmitted | Refusal::Revoked => ConnectError::NotAdmitted,
        Refusal::BadCredential => ConnectError::BadClaim,
        Refusal::Violation => ConnectError::Violation("it says that we do".to_owned()),
        _ => ConnectError::Busy,
    }
}

async fn write(
    mut writer: WireWriter,
    flight: Vec<ClientMsg>,
    mut outgoing: mpsc::Receiver<Vec<ClientMsg>>,
    mut asks: Asks,
) -> Result<Wish, ConnectError> {
    writer.send(&flight).await?;
    loop {
        let messages = tokio::select! {
            messages = outgoing.recv() => messages,
            Some(messages) = asks.recv() => Some(messages),
        };
        match messages {
            Some(messages) => writer.send(&messages).await?,
            // The replica let go of the connection.
            None => return Err(ConnectError::Lost),
        }
    }
}

async fn tick(space: &Arc<Inner>) -> Result<Wish, ConnectError> {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        let ticked = space
            .worker
            .call_async(|core| {
                let result = core.replica.tick(clock::now());
                core.step(result)
            })
            .await;
        match ticked {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => return Err(ConnectError::Store(error.to_string())),
        }
    }
}
