//! Blobs on streams of their own (protocol §2.12): uploads go on where they were cut, are hashed
//! as they come and are durable before that is said; downloads begin anywhere. Memory is one
//! buffer for each transfer, however long a blob is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ajar_protocol::blob_msg::{BlobReply, BlobRequest, DeleteBlobs};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{BlobId, DeviceId, SpaceId};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rate::Bucket;
use crate::relay::Relay;
use crate::session::blocking;
use crate::space::{Held, Member, Reservation, Space};
use crate::storage::{Blob, BlobFile, StoreError, Write, commit_now};
use crate::stream::{End, Frames, Output};

/// Bytes read, hashed and written at a time.
const BUFFER: usize = 64 << 10;
/// Longest frame that asks for a transfer.
const REQUEST: usize = 64;
/// How long sweeping waits for a blob that somebody writes.
const STEP: Duration = Duration::from_secs(1);

/// The upload rate of a connection, shared by all its streams.
#[derive(Clone, Debug)]
pub(crate) struct Rate(Arc<Mutex<Bucket>>);

impl Rate {
    pub(crate) fn of(relay: &Relay) -> Self {
        let limits = &relay.limits;
        let (average, burst) = (limits.upload_bytes_per_second, limits.upload_burst_bytes);
        Self(Arc::new(Mutex::new(Bucket::new(
            average,
            burst,
            Instant::now(),
        ))))
    }

    /// Counts bytes that came and waits until more may come.
    pub(crate) async fn pass(&self, bytes: usize) {
        let wait = {
            let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(bytes, Instant::now())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// The transfers of one connection. They end with it.
pub(crate) struct Transfers<'a> {
    pub(crate) relay: &'a Arc<Relay>,
    pub(crate) space: &'a Arc<Space>,
    pub(crate) member: Member,
    pub(crate) rate: Rate,
    pub(crate) connection: &'a Connection,
    running: JoinSet<()>,
}

impl<'a> Transfers<'a> {
    pub(crate) fn new(
        relay: &'a Arc<Relay>,
        space: &'a Arc<Space>,
        member: Member,
        rate: Rate,
        connection: &'a Connection,
    ) -> Self {
        Self {
            relay,
            space,
            member,
            rate,
            connection,
            running: JoinSet::new(),
        }
    }

    /// Begins transfers as they are asked for; runs until it is dropped.
    pub(crate) async fn accept(&mut self) {
        loop {
            tokio::select! {
                Some(_) = self.running.join_next(), if !self.running.is_empty() => {}
                streams = self.connection.accept_bi() => match streams {
                    Ok((send, recv)) => {
                        let serving = serve(
                            Arc::clone(self.relay),
                            Arc::clone(self.space),
                            self.member,
                            self.rate.clone(),
                            send,
                            recv,
                        );
                        self.running.spawn(serving);
                    }
                    // The main stream learns it too, and ends the session.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    /// Cuts those that have begun.
    pub(crate) fn end(&mut self) {
        self.running.abort_all();
    }

    /// Waits for those that have begun.
    pub(crate) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// Runs one transfer to its end.
async fn serve(
    relay: Arc<Relay>,
    space: Arc<Space>,
    member: Member,
    rate: Rate,
    send: SendStream,
    recv: RecvStream,
) {
    let patience = Duration::from_secs(relay.limits.frame_seconds.into());
    let mut output = Output::new(send, patience);
    let mut transfer = Transfer {
        relay: &relay,
        space: &space,
        rate,
        frames: Frames::new(recv, patience),
        output: &mut output,
        patience,
    };
    let end = match transfer.run(member).await {
        Ok(()) => End::Closed,
        Err(end) => end,
    };
    let rest = transfer.frames.into_recv();
    tracing::debug!(?end, "a transfer ends");
    match end {
        End::Closed => output.finish().await,
        End::Refused(reason) => {
            // Whatever still comes is not wanted.
            let mut rest = rest;
            let _ = rest.stop(VarInt::from_u32(0));
            let refused = BlobReply::Refused(reason).to_frame();
            if output.write(&refused).await.is_ok() {
                output.finish().await;
            }
        }
        // What was sent is not the whole.
        End::Late => drop(output),
    }
}

struct Transfer<'a> {
    relay: &'a Arc<Relay>,
    space: &'a Arc<Space>,
    rate: Rate,
    frames: Frames,
    output: &'a mut Output,
    patience: Duration,
}

/// Why storage did not do something, for the peer.
fn refusal(error: &StoreError) -> End {
    End::Refused(match error {
        StoreError::DiskFull => Refusal::DiskFull,
        _ => {
            tracing::warn!(%error, "a blob could not be read or written");
            Refusal::Unavailable
        }
    })
}

impl Transfer<'_> {
    async fn run(&mut self, member: Member) -> Result<(), End> {
        let request = timeout(self.patience, self.frames.next(REQUEST)).await;
        let request = BlobRequest::parse(&request.map_err(|_| End::Late)??)?;
        // Given back when the transfer is over.
        let Ok(_all) = self.relay.transfers.try_acquire() else {
            return Err(End::Refused(Refusal::TooMany));
        };
        let most = self.relay.limits.blob_transfers_per_space;
        let own = self.space.begin_transfer(most);
        let _own = own.ok_or(End::Refused(Refusal::TooMany))?;
        match (request, member) {
            (BlobRequest::Get { blob, offset }, _) => self.get(blob, offset).await,
            (BlobRequest::Put { blob, length }, Member::Device { party, device }) => {
                let party = self.space.place(&party);
                let party = party.ok_or(End::Refused(Refusal::NotAdmitted))?;
                let id = blob;
                self.put(Blob { id, party, length }, device).await
            }
            // The words only fetch.
            (BlobRequest::Put { .. }, Member::Recovery { .. }) => {
                Err(End::Refused(Refusal::NotAdmitted))
            }
        }
    }

    async fn say(&mut self, reply: BlobReply) -> Result<(), End> {
        self.output.write(&reply.to_frame()).await
    }

    async fn stored(&self, id: BlobId) -> Result<Option<Blob>, End> {
        let (store, space) = (Arc::clone(&self.relay.store), self.space.id());
        let found = blocking(move || store.blob(&space, &id)).await;
        found.map_err(|error| refusal(&error))
    }

    async fn get(&mut self, id: BlobId, offset: u64) -> Result<(), End> {
        let blob = self.stored(id).await?;
        let blob = blob.ok_or(End::Refused(Refusal::NoBlob))?;
        if offset > blob.length {
            return Err(End::Refused(Refusal::Violation));
        }
        // Who asks for all of it also checks our disk.
        let mut hasher = (offset == 0).then(Sha256::new);
        let mut at = offset;
        let mut page = self.page(id, at).await;
        if matches!(page, Err(StoreError::Damaged)) {
            self.lost(blob).await;
            return Err(End::Refused(Refusal::NoBlob));
        }
        self.say(BlobReply::Is(blob.length)).await?;
        while at < blob.length {
            let bytes = match page {
                Ok(bytes) if !bytes.is_empty() => bytes,
                // It was deleted meanwhile, or the file is too short.
                Ok(_) | Err(StoreError::Damaged) => {
                    self.lost(blob).await;
                    return Err(End::Late);
                }
                Err(error) => {
                    refusal(&error);
                    return Err(End::Late);
                }
            };
            at += bytes.len() as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(&bytes);
            }
            if at >= blob.length {
                let wrong = |hasher: Sha256| hasher.finalize().as_slice() != blob.id.0;
                if at > blob.length || hasher.take().is_some_and(wrong) {
                    self.lost(blob).await;
                    return Err(End::Late);
                }
                return self.output.write(&bytes).await;
            }
            // The next page is read while this one is sent.
            let (sent, next) = tokio::join!(
                self.output.write(&bytes),
                read_page(self.relay, self.space, id, at)
            );
            sent?;
            page = next;
        }
        Ok(())
    }

    async fn page(&self, id: BlobId, at: u64) -> Result<Vec<u8>, StoreError> {
        read_page(self.relay, self.space, id, at).await
    }

    /// The file of a blob is not what was stored: its record goes, so that a device brings it
    /// again. Unless it was deleted by right.
    async fn lost(&self, blob: Blob) {
        let turn = self.space.turn(blob.id, DeviceId::ZERO, self.patience);
        let Some(turn) = turn.await else {
            return;
        };
        if matches!(self.stored(blob.id).await, Ok(Some(stored)) if stored == blob) {
            tracing::warn!("a blob is damaged in storage; its devices are asked for it again");
            // Failing that, it is found damaged again.
            let _ = remove(self.relay, self.space, vec![blob], vec![turn]).await;
        }
    }

    async fn put(&mut self, blob: Blob, device: DeviceId) -> Result<(), End> {
        let turn = self.space.turn(blob.id, device, self.patience).await;
        let turn = turn.ok_or(End::Refused(Refusal::TooMany))?;
        if let Some(stored) = self.stored(blob.id).await? {
            drop(turn);
            if stored.length != blob.length {
                return Err(End::Refused(Refusal::Violation));
            }
            self.say(BlobReply::From(stored.length)).await?;
            return match self.frames.some(BUFFER).await? {
                None => self.say(BlobReply::Stored).await,
                Some(_) => Err(End::Refused(Refusal::Violation)),
            };
        }
        let (relay, space) = (Arc::clone(self.relay), Arc::clone(self.space));
        let replaced = Arc::clone(&turn.replaced);
        let upload = blocking(move || Upload::begin(relay, space, blob, turn)).await;
        let upload = upload.map_err(|error| refusal(&error))?;
        let upload = upload.ok_or(End::Refused(Refusal::Quota))?;
        self.say(BlobReply::From(upload.at)).await?;
        // What is on the disk stays there however this ends, but for what is known to be wrong.
        tokio::select! {
            stored = self.receive(upload) => stored?,
            () = replaced.notified() => return Err(End::Late),
        }
        self.say(BlobReply::Stored).await
    }

    async fn receive(&mut self, mut upload: Upload) -> Result<(), End> {
        while let Some(bytes) = self.frames.some(BUFFER).await? {
            self.rate.pass(bytes.len()).await;
            upload = run(upload, move |upload| upload.take(&bytes)).await?;
        }
        run(upload, Upload::finish).await?;
        Ok(())
    }
}

async fn read_page(
    relay: &Arc<Relay>,
    space: &Arc<Space>,
    id: BlobId,
    at: u64,
) -> Result<Vec<u8>, StoreError> {
    let (store, space) = (Arc::clone(&relay.store), space.id());
    blocking(move || store.files().read(&space, &id, true, at, BUFFER)).await
}

/// Runs a step of an upload off the reactor. The upload is moved there and back: if the
/// connection ends meanwhile, the turn lasts until the disk is done with.
async fn run(
    mut upload: Upload,
    step: impl FnOnce(&mut Upload) -> Result<(), End> + Send + 'static,
) -> Result<Upload, End> {
    let done = tokio::task::spawn_blocking(move || {
        step(&mut upload)?;
        Ok(upload)
    });
    done.await
        .unwrap_or(Err(End::Refused(Refusal::Unavailable)))
}

/// A blob that is being written. All of it blocks for the disk.
struct Upload {
    relay: Arc<Relay>,
    space: Arc<Space>,
    blob: Blob,
    at: u64,
    hasher: Sha256,
    reservation: Reservation,
    /// Last: the turn ends when the bytes are counted.
    _turn: Held,
}

impl Upload {
    /// Hashes what is there of an earlier attempt; `None` when the quota has no room for the
    /// rest.
    fn begin(
        relay: Arc<Relay>,
        space: Arc<Space>,
        blob: Blob,
        turn: Held,
    ) -> Result<Option<Self>, StoreError> {
        let id = space.id();
        let store = Arc::clone(&relay.store);
        let files = store.files();
        let (mut there, was_whole) = files.begin(&id, &blob.id)?;
        if there > blob.length {
            // Somebody said another length before.
            files.remove(&id, &blob.id, false)?;
            space.give_back(if was_whole { 0 } else { there });
            there = 0;
        }
        // A part counts already; what looked whole was not known of.
        let counted = if was_whole { 0 } else { there };
        let Some(reservation) = space.reserve(blob.length, counted, there) else {
            // It lies there as a part now, and is given back as one.
            space.take_on(if was_whole { there } else { 0 });
            return Ok(None);
        };
        let mut upload = Self {
            relay,
            space,
            blob,
            at: 0,
            hasher: Sha256::new(),
            reservation,
            _turn: turn,
        };
        while upload.at < there {
            let bytes = files.read(&id, &blob.id, false, upload.at, BUFFER)?;
            if bytes.is_empty() {
                return Err(StoreError::Damaged);
            }
            upload.hasher.update(&bytes);
            upload.at += bytes.len() as u64;
        }
        Ok(Some(upload))
    }

    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        let end = self.at + bytes.len() as u64;
        if end > self.blob.length {
            self.forget();
            return Err(End::Refused(Refusal::Violation));
        }
        let (store, space) = (&self.relay.store, self.space.id());
        let written = store.files().write(&space, &self.blob.id, self.at, bytes);
        written.map_err(|error| refusal(&error))?;
        self.hasher.update(bytes);
        self.at = end;
        self.reservation.there = end;
        Ok(())
    }

    /// The peer has sent all that it wanted to.
    fn finish(&mut self) -> Result<(), End> {
        if self.at < self.blob.length {
            // As if it had been cut: what is there may be right.
            return Err(End::Refused(Refusal::Violation));
        }
        if std::mem::take(&mut self.hasher).finalize().as_slice() != self.blob.id.0 {
            self.forget();
            return Err(End::Refused(Refusal::Violation));
        }
        let (store, space) = (&self.relay.store, self.space.id());
        let finished = store.files().finish(&space, &self.blob.id);
        let write = Write::Blob {
            space,
            blob: self.blob,
        };
        let stored = finished.and_then(|()| commit_now(store.as_ref(), vec![write]));
        stored.map_err(|error| {
            // A part again, as which it counts. If not, it will be when it is asked for.
            let _ = store.files().begin(&space, &self.blob.id);
            refusal(&error)
        })
    }

    /// What is there is wrong.
    fn forget(&mut self) {
        let (store, space) = (&self.relay.store, self.space.id());
        match store.files().remove(&space, &self.blob.id, false) {
            Ok(()) => self.reservation.there = 0,
            Err(error) => tracing::warn!(%error, "a wrong blob could not be removed"),
        }
    }
}

/// Removes blobs: first the records, durably, then the files. The turns end with it.
async fn remove(
    relay: &Arc<Relay>,
    space: &Arc<Space>,
    blobs: Vec<Blob>,
    turns: Vec<Held>,
) -> Result<(), StoreError> {
    let id = space.id();
    let writes = blobs.iter().map(|blob| Write::Unblob {
        space: id,
        blob: *blob,
    });
    let (tell, told) = oneshot::channel();
    let (store, inner) = (Arc::clone(&relay.store), Arc::clone(space));
    let writes = writes.collect();
    tokio::task::spawn_blocking(move || {
        let removed = commit_now(store.as_ref(), writes);
        if removed.is_ok() {
            inner.give_back(blobs.iter().map(|blob| blob.length).sum());
            for blob in blobs {
                // A file that stays is swept later.
                if let Err(error) = store.files().remove(&id, &blob.id, true) {
                    tracing::warn!(%error, "the file of a deleted blob could not be removed");
                }
            }
        }
        drop(turns);
        // Only a connection that has ended does not listen.
        let _ = tell.send(removed);
    });
    told.await
        .unwrap_or_else(|_| Err(StoreError::Failed("a deletion was dropped".to_owned())))
}

/// How long ago a whole file without a record must have been written to become a part again.
const STRAY: Duration = Duration::from_secs(3600);
/// How often to sweep.
const SWEEP: Duration = Duration::from_secs(3600);

/// Sweeps files that belong to nothing, now and then, until the relay stops.
pub(crate) async fn keep_swept(relay: Arc<Relay>, mut stop: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            match sweep(&relay).await {
                Ok(0) => {}
                Ok(files) => {
                    tracing::info!(files, "files of blobs that belong to nothing were swept")
                }
                Err(error) => tracing::warn!(%error, "files of blobs could not be swept"),
            }
            tokio::time::sleep(SWEEP).await;
        }
    };
    tokio::select! {
        () = sweeping => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Whether a file belongs to nothing: an upload that nobody goes on with, or a whole file that is
/// not stored.
fn is_old(relay: &Relay, space: &SpaceId, file: &BlobFile) -> Result<bool, StoreError> {
    if file.whole {
        return Ok(file.age >= STRAY && relay.store.blob(space, &file.blob)?.is_none());
    }
    let hours = u64::from(relay.limits.blob_part_hours);
    Ok(file.age >= Duration::from_secs(hours * 3600))
}

/// The files of a space that belong to nothing. Blocks for the disk.
fn old_files(relay: &Relay, space: &SpaceId) -> Result<Vec<BlobFile>, StoreError> {
    let mut old = Vec::new();
    for file in relay.store.files().list(space, false)? {
        if is_old(relay, space, &file)? {
            old.push(file);
        }
    }
    Ok(old)
}

async fn sweep(relay: &Arc<Relay>) -> Result<u32, StoreError> {
    let inner = Arc::clone(relay);
    let spaces = blocking(move || inner.store.files().spaces()).await?;
    let mut swept = 0;
    for id in spaces {
        let inner = Arc::clone(relay);
        for file in blocking(move || old_files(&inner, &id)).await? {
            // Nobody writes to a space that nobody is in.
            let space = relay.hub.loaded(&id);
            let turn = match &space {
                Some(space) => match space.turn(file.blob, DeviceId::ZERO, STEP).await {
                    Some(turn) => Some(turn),
                    None => continue,
                },
                None => None,
            };
            let inner = Arc::clone(relay);
            let removed = blocking(move || {
                let files = inner.store.files();
                // It may have gone on meanwhile.
                let still = files.list(&id, !file.whole)?.into_iter();
                let mut still = still.filter(|it| (it.blob, it.whole) == (file.blob, file.whole));
                let Some(still) = still.next() else {
                    return Ok(None);
                };
                if !is_old(&inner, &id, &still)? {
                    return Ok(None);
                }
                if still.whole {
                    // A store that was lost knows of no blob: what devices bring again is
                    // taken on from here, as long as a part is kept.
                    files.begin(&id, &still.blob)?;
                } else {
                    files.remove(&id, &still.blob, false)?;
                }
                Ok(Some(still))
            });
            let Some(file) = removed.await? else {
                continue;
            };
            swept += 1;
            match space {
                Some(space) if file.whole => space.take_on(file.length),
                Some(space) => space.give_back(file.length),
                None => {}
            }
            drop(turn);
        }
    }
    Ok(swept)
}

/// Which of these blobs are not stored.
pub(crate) async fn missing(
    relay: &Arc<Relay>,
    space: &Arc<Space>,
    asked: Vec<BlobId>,
) -> Result<Vec<BlobId>, StoreError> {
    let (store, space) = (Arc::clone(&relay.store), space.id());
    blocking(move || {
        let mut missing = Vec::new();
        for id in asked {
            if store.blob(&space, &id)?.is_none() {
                missing.push(id);
            }
        }
        Ok(missing)
    })
    .await
}

/// Carries out a deletion; returns which of the blobs are not there any more. Those of the other
/// party stay.
pub(crate) async fn delete(
    relay: &Arc<Relay>,
    space: &Arc<Space>,
    command: &DeleteBlobs,
) -> Result<Vec<BlobId>, StoreError> {
    let Some(party) = space.may_delete(command) else {
        return Ok(Vec::new());
    };
    let patience = Duration::from_secs(relay.limits.frame_seconds.into());
    let (mut gone, mut doomed, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for id in missing(relay, space, command.blobs.clone()).await? {
        gone.push(id);
    }
    for id in &command.blobs {
        if gone.binary_search(id).is_ok() {
            continue;
        }
        // In ascending order, as all deletions: two of them never wait for each other.
        let Some(turn) = space.turn(*id, DeviceId::ZERO, patience).await else {
            continue;
        };
        let (store, of, id) = (Arc::clone(&relay.store), space.id(), *id);
        if let Some(blob) = blocking(move || store.blob(&of, &id)).await?
            && blob.party == party
        {
            doomed.push(blob);
            turns.push(turn);
        }
    }
    let ids: Vec<BlobId> = doomed.iter().map(|blob| blob.id).collect();
    if !doomed.is_empty() {
        remove(relay, space, doomed, turns).await?;
    }
    gone.extend(ids);
    gone.sort_unstable();
    Ok(gone)
}
