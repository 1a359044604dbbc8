//! The blobs of the honest relay, and what a test may have done to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ajar_protocol::blob_msg::{BlobReply, BlobRequest};
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{BlobId, SpaceId};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

/// A task that ends with whoever began it.
pub(crate) struct Aborted(pub(crate) JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Place = (SpaceId, BlobId);
type Spoil = dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync;

#[derive(Default)]
pub(crate) struct Shelf {
    whole: Mutex<BTreeMap<Place, Vec<u8>>>,
    parts: Mutex<BTreeMap<Place, Vec<u8>>>,
    /// Bytes after which the next upload or download loses its connection; 0 for never.
    pub(crate) cut_after: AtomicU64,
    /// Bytes of blobs received and sent.
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    /// What becomes of the bytes of a blob that is asked for.
    spoil: Mutex<Option<Box<Spoil>>>,
}

impl Shelf {
    pub(crate) fn spoil(&self, spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        *self.spoil.lock().unwrap() = Some(Box::new(spoil));
    }

    pub(crate) fn be_honest(&self) {
        *self.spoil.lock().unwrap() = None;
    }

    pub(crate) fn forget(&self) {
        self.whole.lock().unwrap().clear();
        self.parts.lock().unwrap().clear();
    }

    pub(crate) fn lose(&self, id: &BlobId) {
        self.whole.lock().unwrap().retain(|(_, held), _| held != id);
    }

    pub(crate) fn has(&self, id: &BlobId) -> bool {
        self.whole
            .lock()
            .unwrap()
            .keys()
            .any(|(_, held)| held == id)
    }

    pub(crate) fn count(&self) -> usize {
        self.whole.lock().unwrap().len()
    }

    pub(crate) fn missing(&self, space: SpaceId, asked: &[BlobId]) -> Vec<BlobId> {
        let whole = self.whole.lock().unwrap();
        let lacks = |id: &&BlobId| !whole.contains_key(&(space, **id));
        asked.iter().filter(lacks).copied().collect()
    }

    pub(crate) fn delete(&self, space: SpaceId, ids: &[BlobId]) {
        let mut whole = self.whole.lock().unwrap();
        ids.iter().for_each(|id| drop(whole.remove(&(space, *id))));
    }

    pub(crate) async fn serve(self: Arc<Self>, space: SpaceId, connection: Connection) {
        while let Ok((send, recv)) = connection.accept_bi().await {
            let (shelf, connection) = (Arc::clone(&self), connection.clone());
            tokio::spawn(async move {
                // The client may be gone at any moment.
                let _ = shelf.transfer(space, &connection, send, recv).await;
            });
        }
    }

    /// Counts down to the cut; true when it is there.
    fn is_cut(&self, bytes: u64) -> bool {
        let left = self.cut_after.load(Ordering::SeqCst);
        if left == 0 {
            return false;
        }
        self.cut_after
            .store(left.saturating_sub(bytes), Ordering::SeqCst);
        left <= bytes
    }

    async fn transfer(
        &self,
        space: SpaceId,
        connection: &Connection,
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Option<()> {
        let mut length = [0; 4];
        recv.read_exact(&mut length).await.ok()?;
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        recv.read_exact(&mut content).await.ok()?;
        match BlobRequest::parse(&content).unwrap() {
            BlobRequest::Put { blob, length } => {
                let place = (space, blob);
                let mut held = self
                    .parts
                    .lock()
                    .unwrap()
                    .remove(&place)
                    .unwrap_or_default();
                if let Some(whole) = self.whole.lock().unwrap().get(&place) {
                    held.clone_from(whole);
                }
                let from = BlobReply::From(held.len() as u64).to_frame();
                send.write_all(&from).await.ok()?;
                while let Ok(Some(chunk)) = recv.read_chunk(1 << 14, true).await {
                    held.extend_from_slice(&chunk.bytes);
                    let more = chunk.bytes.len() as u64;
                    self.received.fetch_add(more, Ordering::SeqCst);
                    if self.is_cut(more) {
                        self.parts.lock().unwrap().insert(place, held);
                        connection.close(VarInt::from_u32(0), b"");
                        return None;
                    }
                }
                let right = held.len() as u64 == length && Sha256::digest(&held)[..] == blob.0;
                let reply = if right {
                    self.whole.lock().unwrap().insert(place, held);
                    BlobReply::Stored
                } else {
                    BlobReply::Refused(Refusal::Violation)
                };
                send.write_all(&reply.to_frame()).await.ok()?;
            }
            BlobRequest::Get { blob, offset } => {
                let held = self.whole.lock().unwrap().get(&(space, blob)).cloned();
                let Some(mut held) = held else {
                    let reply = BlobReply::Refused(Refusal::NoBlob).to_frame();
                    send.write_all(&reply).await.ok()?;
                    return send.finish().ok();
                };
                if let Some(spoil) = &*self.spoil.lock().unwrap() {
                    held = spoil(held);
                }
                let is = BlobReply::Is(held.len() as u64).to_frame();
                send.write_all(&is).await.ok()?;
                let rest = held.get(usize::try_from(offset).unwrap()..)?;
                for piece in rest.chunks(1 << 14) {
                    send.write_all(piece).await.ok()?;
                    let more = piece.len() as u64;
                    self.sent.fetch_add(more, Ordering::SeqCst);
                    if self.is_cut(more) {
                        // What is under way arrives, so that there is something to go on from.
                        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                        connection.close(VarInt::from_u32(0), b"");
                        return None;
                    }
                }
            }
        }
        send.finish().ok()
    }
}
