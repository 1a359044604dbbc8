//! A connection after login: appends come in, answers and live envelopes go out, each at its
//! own pace and within its own bounds.

use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::frame::{self, Tag};
use ajar_protocol::relay_msg::{EnvelopeName, Refusal, RelayMsg};
use ajar_protocol::trim::TrimRecord;
use ajar_protocol::{Envelope, Link, PartyId, VerifiedEnvelope, limits};
use quinn::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::bootstrap::Bootstrap;
use crate::catchup::{CatchUp, Found, Pages};
use crate::outbox::{Cursor, Outbox, What, Work};
use crate::relay::Relay;
use crate::space::{Floor, Member, Space, Verdict, Waiter, look_up};
use crate::storage::StoreError;
use crate::stream::{End, Frames, Output};
use crate::transfers::{self, Rate, Transfers};

/// Frames are joined into writes of about this size.
const WRITE: usize = 64 << 10;
/// Links sent from memory at a time.
const LINKS: usize = 64;
/// What an append counts beside its bytes.
const APPEND: usize = 1024;
/// What a short question with a long answer counts beside its bytes, for the upload rate: so many
/// can be asked, not more.
const QUESTION: usize = 16 << 10;

/// What a session talks over.
pub(crate) struct Streams<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) frames: &'a mut Frames,
    pub(crate) output: &'a mut Output,
}

/// Runs a session until one side ends it; gives the output back to be finished.
pub(crate) async fn run(
    relay: &Arc<Relay>,
    space: Arc<Space>,
    member: Member,
    streams: Streams<'_>,
    mut stop: watch::Receiver<bool>,
) -> End {
    let Streams {
        connection,
        frames,
        output,
    } = streams;
    let outbox = Arc::new(Outbox::new(relay.limits.live_queue_bytes as usize));
    let number = space.enter(member, Arc::clone(&outbox));
    let guard = Leave(&space, number);
    let (answers_in, answers) = mpsc::channel(relay.limits.appends_in_flight as usize);
    let rate = Rate::of(relay);
    let mut transfers = Transfers::new(relay, &space, member, rate.clone(), connection);
    let mut writer = std::pin::pin!(write_all(relay, &space, &outbox, answers, output));
    let end = {
        let reader = Reader {
            relay,
            space: &space,
            outbox: &outbox,
            member,
            number,
            answers: answers_in,
            own_budget: Arc::new(Semaphore::new(relay.limits.append_bytes_in_flight as usize)),
            rate,
        };
        let mut reader = std::pin::pin!(reader.read_all(frames));
        tokio::select! {
            end = &mut writer => return end,
            end = &mut reader => end,
            () = transfers.accept() => End::Closed,
            () = outbox.closed() => End::Closed,
            _ = stop.wait_for(|stop| *stop) => End::Refused(Refusal::Unavailable),
        }
    };
    // A clean stop lets transfers come to their end; any other end of a session ends them.
    let drain = matches!(end, End::Refused(Refusal::Unavailable)) && *stop.borrow();
    // The reader is gone, and with it its sender of answers: the writer ends once everything
    // accepted has been answered.
    outbox.close(match end {
        End::Refused(reason) => Some(reason),
        End::Closed | End::Late => None,
    });
    let patience = Duration::from_secs(relay.limits.drain_seconds.into());
    if !drain {
        transfers.end();
    }
    let rest = async {
        if drain {
            tokio::join!(writer, transfers.finish()).0
        } else {
            writer.await
        }
    };
    let end = timeout(patience, rest).await.unwrap_or(End::Late);
    drop(guard);
    end
}

struct Leave<'a>(&'a Space, u64);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

struct Reader<'a> {
    relay: &'a Arc<Relay>,
    space: &'a Arc<Space>,
    outbox: &'a Outbox,
    member: Member,
    number: u64,
    answers: mpsc::Sender<RelayMsg>,
    own_budget: Arc<Semaphore>,
    rate: Rate,
}

impl Reader<'_> {
    async fn read_all(self, frames: &mut Frames) -> End {
        loop {
            let content = match frames.next(limits::FRAME).await {
                Ok(content) => content,
                Err(end) => return end,
            };
            self.rate.pass(content.len()).await;
            if let Err(end) = self.handle(&content).await {
                return end;
            }
        }
    }

    async fn handle(&self, content: &[u8]) -> Result<(), End> {
        match ClientMsg::parse(content)? {
            ClientMsg::Append(bytes) => self.append(&bytes).await,
            ClientMsg::AppendLink(bytes) => {
                let link = Link::parse(&bytes)?;
                let waiter = self.waiter(bytes.len()).await?;
                self.space
                    .append_link(link, waiter, Some(self.member), self.number);
                Ok(())
            }
            ClientMsg::Subscribe { chains, frontier } => {
                self.outbox.subscribe(Cursor::new(&chains, &frontier));
                Ok(())
            }
            // Boxed: an idle session keeps no room for what is rare.
            rare => Box::pin(self.handle_rare(rare)).await,
        }
    }

    async fn handle_rare(&self, message: ClientMsg) -> Result<(), End> {
        self.rate.pass(QUESTION).await;
        match message {
            ClientMsg::Bootstrap => {
                self.outbox.bootstrap();
                Ok(())
            }
            ClientMsg::Trim(record) => self.trim(&record).await,
            ClientMsg::AskBlobs(asked) => {
                let waiter = self.waiter(asked.len() * 32).await?;
                let missing = transfers::missing(self.relay, self.space, asked).await;
                let missing = missing.map_err(|_| End::Refused(Refusal::Unavailable))?;
                waiter.answer(RelayMsg::BlobsMissing(missing));
                Ok(())
            }
            ClientMsg::DeleteBlobs(command) => {
                let waiter = self.waiter(command.blobs.len() * 32).await?;
                let gone = match self.member {
                    Member::Device { .. } => {
                        transfers::delete(self.relay, self.space, &command).await
                    }
                    // The words only fetch.
                    Member::Recovery { .. } => Ok(Vec::new()),
                };
                let gone = gone.map_err(|_| End::Refused(Refusal::Unavailable))?;
                waiter.answer(RelayMsg::BlobsDeleted(gone));
                Ok(())
            }
            _ => Err(End::Refused(Refusal::Violation)),
        }
    }

    /// Reserves the answer's place and the object's memory; waits while too much is under way.
    async fn waiter(&self, bytes: usize) -> Result<Waiter, End> {
        let bytes = u32::try_from(bytes + APPEND).unwrap_or(u32::MAX);
        let most = self.relay.limits.append_bytes_in_flight;
        let own = acquire(&self.own_budget, bytes.min(most)).await?;
        let most = self.relay.limits.append_bytes_in_flight_total;
        let all = acquire(&self.relay.append_budget, bytes.min(most)).await?;
        let slot = self.answers.clone().reserve_owned().await;
        Ok(Waiter {
            slot: slot.map_err(|_| End::Closed)?,
            budget: vec![own, all],
        })
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), End> {
        let envelope = Envelope::parse(bytes)?;
        let waiter = self.waiter(bytes.len()).await?;
        let name = EnvelopeName {
            device: envelope.header().device,
            counter: envelope.header().counter,
            id: envelope.id(),
        };
        let refuse = |waiter: Waiter, reason| {
            waiter.answer(RelayMsg::NotStored(name, reason));
            Ok(())
        };
        if envelope.header().space != self.space.id() {
            return refuse(waiter, Refusal::Violation);
        }
        if matches!(self.member, Member::Recovery { .. }) {
            return refuse(waiter, Refusal::NotAdmitted);
        }
        let Some(key) = self.space.author(&name.device) else {
            return refuse(waiter, Refusal::NotAdmitted);
        };
        let Ok(envelope) = envelope.verify(&key) else {
            return refuse(waiter, Refusal::Violation);
        };
        match self.space.append(&envelope, waiter, self.number) {
            Verdict::Taken => Ok(()),
            Verdict::Compare(waiter) => Box::pin(self.compare(name, waiter, None)).await,
            Verdict::Old(waiter) => Box::pin(self.compare(name, waiter, Some(envelope))).await,
        }
    }

    /// Takes a trim record: what it says of envelopes is looked up in storage.
    async fn trim(&self, record: &[u8]) -> Result<(), End> {
        let waiter = self.waiter(record.len()).await?;
        let record = TrimRecord::parse(record)?;
        let id = record.statement.snapshot.id;
        let refuse = |waiter: Waiter, reason| {
            waiter.answer(RelayMsg::TrimNotStored(id, reason));
            Ok(())
        };
        if matches!(self.member, Member::Recovery { .. }) {
            return refuse(waiter, Refusal::NotAdmitted);
        }
        let lookups = match self.space.check_trim(&record) {
            Ok(Some(lookups)) => lookups,
            Ok(None) => {
                waiter.answer(RelayMsg::TrimStored(id));
                return Ok(());
            }
            Err(reason) => return refuse(waiter, reason),
        };
        let (store, space) = (Arc::clone(&self.relay.store), self.space.id());
        match blocking(move || look_up(store.as_ref(), &space, &lookups)).await {
            Ok(true) => self.space.trim(&record, waiter),
            Ok(false) => return refuse(waiter, Refusal::Conflict),
            Err(_) => return refuse(waiter, Refusal::Unavailable),
        }
        Ok(())
    }

    /// Answers for an envelope whose counter is taken: the same one again, or a fork. An `old` one
    /// is stored if nothing is there.
    async fn compare(
        &self,
        name: EnvelopeName,
        waiter: Waiter,
        old: Option<VerifiedEnvelope>,
    ) -> Result<(), End> {
        let store = Arc::clone(&self.relay.store);
        let space = self.space.id();
        let found = blocking(move || store.envelope(&space, &name.device, name.counter)).await;
        if let (Ok(None), Some(envelope)) = (&found, old) {
            let (space, store) = (Arc::clone(self.space), Arc::clone(&self.relay.store));
            let stored = blocking(move || {
                space.append_old(store.as_ref(), &envelope, waiter);
                Ok(())
            });
            return stored.await.map_err(|_| End::Refused(Refusal::Unavailable));
        }
        let answer = match found {
            Ok(Some(stored)) => match Envelope::parse(&stored) {
                Ok(stored) if stored.id() == name.id => RelayMsg::Stored(name),
                _ => RelayMsg::NotStored(name, Refusal::Conflict),
            },
            Ok(None) | Err(_) => RelayMsg::NotStored(name, Refusal::Unavailable),
        };
        waiter.answer(answer);
        Ok(())
    }
}

async fn acquire(budget: &Arc<Semaphore>, bytes: u32) -> Result<OwnedSemaphorePermit, End> {
    let permit = Arc::clone(budget).acquire_many_owned(bytes).await;
    permit.map_err(|_| End::Closed)
}

/// Runs a read of the store off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|e| Err(e.into()))
}

struct Writer<'a> {
    relay: &'a Relay,
    space: &'a Space,
    outbox: &'a Outbox,
    answers: mpsc::Receiver<RelayMsg>,
    output: &'a mut Output,
    buffer: Vec<u8>,
    cursor: Cursor,
}

async fn write_all(
    relay: &Relay,
    space: &Space,
    outbox: &Outbox,
    answers: mpsc::Receiver<RelayMsg>,
    output: &mut Output,
) -> End {
    let writer = Writer {
        relay,
        space,
        outbox,
        answers,
        output,
        buffer: Vec::new(),
        cursor: Cursor::default(),
    };
    match writer.run().await {
        Ok(end) | Err(end) => end,
    }
}

impl Writer<'_> {
    async fn run(mut self) -> Result<End, End> {
        loop {
            self.take_answers().await?;
            match self.outbox.take(WRITE) {
                Work::Subscribe(cursor) => {
                    self.cursor = cursor;
                    if Box::pin(self.catch_up()).await? {
                        self.put(&RelayMsg::CaughtUp.to_frame()).await?;
                    }
                }
                Work::Again => {
                    Box::pin(self.catch_up()).await?;
                }
                Work::Bootstrap => Box::pin(self.bootstrap()).await?,
                Work::Items(items) => {
                    for item in items {
                        if let Some(frame) = &item.frame {
                            self.put(frame).await?;
                        }
                        self.cursor.passed(&item.what);
                    }
                }
                Work::Wait => {
                    self.flush().await?;
                    tokio::select! {
                        Some(answer) = self.answers.recv() => {
                            self.put(&answer.to_frame()).await?;
                        }
                        () = self.outbox.work() => {}
                    }
                }
                Work::Close(reason) => {
                    self.last_answers().await?;
                    return Ok(reason.map_or(End::Closed, End::Refused));
                }
                Work::Expel => {
                    // The owner of a removed device should learn that it was removed.
                    let links = self.space.last_links(self.outbox, &self.cursor);
                    self.send_links(links).await?;
                    self.last_answers().await?;
                    return Ok(End::Refused(Refusal::NotAdmitted));
                }
            }
        }
    }

    async fn take_answers(&mut self) -> Result<(), End> {
        while let Ok(answer) = self.answers.try_recv() {
            self.put(&answer.to_frame()).await?;
        }
        Ok(())
    }

    /// Answers all that was accepted; the reader has ended.
    async fn last_answers(&mut self) -> Result<(), End> {
        while let Some(answer) = self.answers.recv().await {
            self.put(&answer.to_frame()).await?;
        }
        self.flush().await
    }

    async fn put(&mut self, frame: &[u8]) -> Result<(), End> {
        self.buffer.extend_from_slice(frame);
        if self.buffer.len() >= WRITE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        if !self.buffer.is_empty() {
            // An idle session keeps no buffer.
            let buffer = std::mem::take(&mut self.buffer);
            self.output.write(&buffer).await?;
        }
        Ok(())
    }

    async fn send_links(&mut self, ranges: Vec<(PartyId, u64, u64)>) -> Result<(), End> {
        for (party, mut from, to) in ranges {
            self.cursor.links.insert(party, from);
            while from < to {
                let links = self.space.links(&party, from, to, LINKS);
                if links.is_empty() {
                    break;
                }
                for link in links {
                    self.put(&frame::wrap(Tag::Link, &link)).await?;
                    self.cursor.passed(&What::Link(party, from));
                    from += 1;
                }
            }
        }
        Ok(())
    }

    /// Sends what is durable and the session lacks; live items queue up meanwhile. Returns whether
    /// all of it was here: if not, the session is told of the trim, and that is all it gets.
    async fn catch_up(&mut self) -> Result<bool, End> {
        let missing = self.space.subscribe(self.outbox, &self.cursor);
        self.send_links(missing.links).await?;
        if let Some(floor) = missing.trimmed {
            self.say_trimmed(&floor).await?;
            return Ok(false);
        }
        if missing.envelopes.is_empty() {
            return Ok(true);
        }
        let store = Arc::clone(&self.relay.store);
        let mut reading = read_page(CatchUp::new(store, self.space.id(), missing.envelopes));
        loop {
            let (rest, page) = page_of(reading.await)?;
            // Trimmed meanwhile: the page may have gaps.
            if let Some(missing) = self.space.overtaken(self.outbox, &self.cursor) {
                self.send_links(missing.links).await?;
                if let Some(floor) = missing.trimmed {
                    self.say_trimmed(&floor).await?;
                }
                return Ok(false);
            }
            // The next page is read while this one is sent.
            let next = (!rest.is_done()).then(|| read_page(rest));
            for found in page {
                self.put(&frame::wrap(Tag::Envelope, &found.bytes)).await?;
                self.cursor
                    .passed(&What::Envelope(found.device, found.counter));
            }
            self.take_answers().await?;
            match next {
                Some(next) => reading = next,
                None => return Ok(true),
            }
        }
    }

    async fn say_trimmed(&mut self, floor: &Floor) -> Result<(), End> {
        self.put(&frame::wrap(Tag::Trimmed, &floor.record)).await
    }

    /// Sends what a device needs that cannot go on from its frontier.
    async fn bootstrap(&mut self) -> Result<(), End> {
        let floor = self.space.floor();
        if let Some(floor) = &floor {
            self.say_trimmed(floor).await?;
        }
        let store = Arc::clone(&self.relay.store);
        let trimmed_to = floor.map(|floor| {
            let snapshot = floor.statement.snapshot;
            (snapshot.device, snapshot.counter)
        });
        let (space, named) = (self.space.id(), self.space.named());
        let bootstrap = Bootstrap::new(store, space, named, trimmed_to);
        let mut reading = read_page(bootstrap);
        loop {
            let (rest, page) = page_of(reading.await)?;
            let next = (!rest.is_done()).then(|| read_page(rest));
            for found in page {
                self.put(&frame::wrap(Tag::Envelope, &found.bytes)).await?;
            }
            self.take_answers().await?;
            match next {
                Some(next) => reading = next,
                None => return self.put(&RelayMsg::Ready.to_frame()).await,
            }
        }
    }
}

fn page_of<P>(read: Result<Page<P>, tokio::task::JoinError>) -> Result<(P, Vec<Found>), End> {
    match read {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(_)) | Err(_) => Err(End::Refused(Refusal::Unavailable)),
    }
}

type Page<P> = Result<(P, Vec<Found>), StoreError>;

fn read_page<P: Pages>(mut from: P) -> tokio::task::JoinHandle<Page<P>> {
    tokio::task::spawn_blocking(move || {
        let page = from.page()?;
        Ok((from, page))
    })
}
