//! One transfer on a stream of its own (protocol §2.12).

use std::fs::File;
use std::io::Seek;
use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::blob_msg::{BlobReply, BlobRequest};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{frame, limits};
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::folder::{STEP, hash_file};
use super::queue::{Blobs, Outcome, Want};
use crate::error::Error;

/// A relay that neither takes nor gives anything for so long is not there any more.
const STALL: Duration = Duration::from_secs(30);

fn missing() -> Error {
    Error::BlobMissing
}

fn damaged() -> Error {
    Error::BlobDamaged
}

fn full() -> Error {
    Error::DiskFull
}

/// What our own disk says.
fn own_trouble(error: Error) -> Outcome {
    match error {
        Error::DiskFull => Outcome::Failed(full),
        _ => {
            tracing::warn!(code = error.code(), "a blob could not be read or kept here");
            Outcome::Later
        }
    }
}

struct Stream {
    send: SendStream,
    recv: RecvStream,
}

impl Stream {
    async fn open(connection: &Connection, request: &BlobRequest) -> Option<Self> {
        // A relay that knows no blobs grants no stream.
        let opened = timeout(STALL, connection.open_bi()).await.ok()?;
        let (send, recv) = opened.ok()?;
        let mut stream = Self { send, recv };
        stream.send(&request.to_frame()).await?;
        Some(stream)
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        let sent = timeout(STALL, self.send.write_all(bytes)).await;
        sent.ok()?.ok()
    }

    async fn reply(&mut self) -> Option<BlobReply> {
        let mut field = [0; frame::LENGTH];
        let read = timeout(STALL, self.recv.read_exact(&mut field)).await;
        read.ok()?.ok()?;
        let length = frame::checked_length(field, BlobReply::LONGEST - frame::LENGTH).ok()?;
        let mut content = vec![0; length];
        let read = timeout(STALL, self.recv.read_exact(&mut content)).await;
        read.ok()?.ok()?;
        BlobReply::parse(&content).ok()
    }

    /// The next bytes; `Some(None)` at the end of the stream.
    async fn receive(&mut self) -> Option<Option<quinn::Chunk>> {
        let read = timeout(STALL, self.recv.read_chunk(STEP, true)).await;
        read.ok()?.ok()
    }
}

/// Sends the blob of that name, from where the relay has it.
pub(super) async fn upload(blobs: &Arc<Blobs>, connection: &Connection, name: &str) -> Outcome {
    let opened = match blobs.folder.open(name) {
        Ok(opened) => opened,
        Err(error) => return own_trouble(error),
    };
    let Some((file, _)) = opened else {
        // Forgotten meanwhile.
        return Outcome::Done;
    };
    // Its id is the hash of its bytes, so what is sent is what it says it is.
    let hashed = spawn_blocking(move || {
        let mut file: File = file;
        let (id, length) = hash_file(&mut file)?;
        file.rewind().map(|()| (file, id, length))
    });
    let Ok(Ok((file, id, length))) = hashed.await else {
        return Outcome::Later;
    };
    if blobs.folder.name(&id).ok().as_deref() != Some(name) {
        tracing::warn!("a blob of this device is damaged and was not sent");
        return match blobs.folder.forget(name) {
            Ok(()) => Outcome::Done,
            Err(error) => own_trouble(error),
        };
    }
    let request = BlobRequest::Put { blob: id, length };
    let sent = async {
        let mut stream = Stream::open(connection, &request).await?;
        let offset = match stream.reply().await? {
            BlobReply::From(offset) if offset <= length => offset,
            BlobReply::Stored => return Some(()),
            _ => return None,
        };
        let mut file = tokio::fs::File::from_std(file);
        tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(offset))
            .await
            .ok()?;
        let mut piece = vec![0; STEP];
        loop {
            let read = file.read(&mut piece).await.ok()?;
            match piece.get(..read).unwrap_or_default() {
                [] => break,
                bytes => stream.send(bytes).await?,
            }
        }
        stream.send.finish().ok()?;
        matches!(stream.reply().await?, BlobReply::Stored).then_some(())
    };
    if sent.await.is_none() {
        return Outcome::Later;
    }
    match blobs.folder.unmark(name) {
        Ok(()) => Outcome::Done,
        Err(error) => own_trouble(error),
    }
}

/// Fetches a blob, from where it is here; nobody sees it before its hash is right.
pub(super) async fn download(blobs: &Arc<Blobs>, connection: &Connection, want: Want) -> Outcome {
    let Ok(name) = blobs.folder.name(&want.id) else {
        return Outcome::Later;
    };
    match fetch(blobs, connection, want, &name).await {
        // What was here of it before may be what is wrong: once more, from the beginning.
        Fetched::Wrong { resumed: true } => match fetch(blobs, connection, want, &name).await {
            Fetched::Wrong { .. } => Outcome::Failed(damaged),
            Fetched::Ended(outcome) => outcome,
        },
        Fetched::Wrong { resumed: false } => Outcome::Failed(damaged),
        Fetched::Ended(outcome) => outcome,
    }
}

enum Fetched {
    Ended(Outcome),
    /// These are not the bytes that were asked for; nothing is left of them.
    Wrong {
        resumed: bool,
    },
}

async fn fetch(blobs: &Arc<Blobs>, connection: &Connection, want: Want, name: &str) -> Fetched {
    let (file, offset) = match blobs.folder.part(name) {
        Ok(part) => part,
        Err(error) => return Fetched::Ended(own_trouble(error)),
    };
    let wrong = || {
        blobs.folder.drop_part(name);
        Fetched::Wrong {
            resumed: offset > 0,
        }
    };
    let longest = want.sealed.unwrap_or(limits::BLOB);
    if offset > longest {
        return wrong();
    }
    let id = want.id;
    let request = BlobRequest::Get { blob: id, offset };
    let later = Fetched::Ended(Outcome::Later);
    let Some(mut stream) = Stream::open(connection, &request).await else {
        return later;
    };
    let length = match stream.reply().await {
        Some(BlobReply::Is(length)) => length,
        Some(BlobReply::Refused(Refusal::NoBlob)) => {
            blobs.folder.drop_part(name);
            return Fetched::Ended(Outcome::Failed(missing));
        }
        _ => return later,
    };
    let expected = want.sealed.is_none_or(|sealed| sealed == length);
    if !expected || offset > length || length > limits::BLOB {
        return wrong();
    }
    let mut left = length - offset;
    let mut file = tokio::fs::File::from_std(file);
    loop {
        let Some(received) = stream.receive().await else {
            // What is here stays, and the next connection goes on from there.
            let _ = file.flush().await;
            return later;
        };
        let Some(chunk) = received else { break };
        let Some(rest) = left.checked_sub(chunk.bytes.len() as u64) else {
            return wrong();
        };
        left = rest;
        if let Err(error) = write(&mut file, &chunk.bytes).await {
            blobs.folder.drop_part(name);
            return Fetched::Ended(own_trouble(Error::io("blobs", error)));
        }
    }
    if let Err(error) = file.flush().await {
        blobs.folder.drop_part(name);
        return Fetched::Ended(own_trouble(Error::io("blobs", error)));
    }
    if left > 0 {
        return later;
    }
    let mut file = file.into_std().await;
    let (keeping, its_name) = (Arc::clone(blobs), name.to_owned());
    let completed =
        spawn_blocking(move || keeping.folder.complete(&its_name, &id, &mut file)).await;
    match completed {
        Ok(Ok(true)) => Fetched::Ended(Outcome::Done),
        Ok(Ok(false)) => wrong(),
        Err(_) => later,
        Ok(Err(error)) => {
            blobs.folder.drop_part(name);
            Fetched::Ended(own_trouble(error))
        }
    }
}

async fn write(file: &mut tokio::fs::File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes).await
}
