//! Blobs over streams of their own, as a client moves them.

use ajar_protocol::blob_msg::{BlobReply, BlobRequest, DeleteBlobs};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{BlobId, frame};
use quinn::{Connection, RecvStream, SendStream};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::people::{Device, Home};

/// A blob with its id.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) id: BlobId,
    pub(crate) bytes: Vec<u8>,
}

impl Sealed {
    /// So many bytes that no other seed has.
    pub(crate) fn new(seed: u8, length: usize) -> Self {
        let mut word = u64::from(seed) + 1;
        let mut next = || {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.to_be_bytes()[0]
        };
        let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        let id = BlobId(Sha256::digest(&bytes).into());
        Self { id, bytes }
    }

    pub(crate) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// A stream of a transfer.
pub(crate) struct Stream {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

impl Stream {
    pub(crate) async fn ask(connection: &Connection, request: &BlobRequest) -> Self {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&request.to_frame()).await.unwrap();
        Self { send, recv }
    }

    /// The relay's next word.
    pub(crate) async fn hear(&mut self) -> BlobReply {
        let read = async {
            let mut field = [0; frame::LENGTH];
            self.recv.read_exact(&mut field).await.unwrap();
            let mut content = vec![0; u32::from_be_bytes(field) as usize];
            self.recv.read_exact(&mut content).await.unwrap();
            BlobReply::parse(&content).unwrap()
        };
        timeout(PATIENCE, read).await.expect("no answer")
    }

    pub(crate) async fn refusal(&mut self) -> Refusal {
        match self.hear().await {
            BlobReply::Refused(reason) => reason,
            other => panic!("expected a refusal, heard {other:?}"),
        }
    }

    /// Everything that follows, if the stream ends as it should.
    pub(crate) async fn rest(&mut self) -> Option<Vec<u8>> {
        let read = self.recv.read_to_end(64 << 20);
        timeout(PATIENCE, read).await.expect("no end").ok()
    }
}

/// Asks to upload; says from where, or why not.
pub(crate) async fn begin(
    connection: &Connection,
    blob: &Sealed,
    length: u64,
) -> Result<(Stream, u64), Refusal> {
    let put = BlobRequest::Put {
        blob: blob.id,
        length,
    };
    let mut stream = Stream::ask(connection, &put).await;
    match stream.hear().await {
        BlobReply::From(offset) => Ok((stream, offset)),
        BlobReply::Refused(reason) => Err(reason),
        other => panic!("expected an offset, heard {other:?}"),
    }
}

/// Uploads a blob; says from where on.
pub(crate) async fn put(connection: &Connection, blob: &Sealed) -> Result<u64, Refusal> {
    let (mut stream, offset) = begin(connection, blob, blob.length()).await?;
    let from = usize::try_from(offset).unwrap();
    // It may be refused in the middle.
    let _ = stream.send.write_all(&blob.bytes[from..]).await;
    let _ = stream.send.finish();
    match stream.hear().await {
        BlobReply::Stored => Ok(offset),
        BlobReply::Refused(reason) => Err(reason),
        other => panic!("expected an end, heard {other:?}"),
    }
}

/// Downloads a blob from `offset` on.
pub(crate) async fn get(
    connection: &Connection,
    blob: BlobId,
    offset: u64,
) -> Result<(u64, Vec<u8>), Refusal> {
    let mut stream = Stream::ask(connection, &BlobRequest::Get { blob, offset }).await;
    match stream.hear().await {
        BlobReply::Is(length) => Ok((length, stream.rest().await.expect("it was cut"))),
        BlobReply::Refused(reason) => Err(reason),
        other => panic!("expected a length, heard {other:?}"),
    }
}

impl Client {
    /// Which of these the relay has not.
    pub(crate) async fn missing(&mut self, blobs: &[&Sealed]) -> Vec<BlobId> {
        let mut ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
        ids.sort_unstable();
        self.say(&ClientMsg::AskBlobs(ids)).await;
        match self.hear().await {
            Some(RelayMsg::BlobsMissing(missing)) => missing,
            other => panic!("expected what is missing, heard {other:?}"),
        }
    }

    /// Deletes in the name of a device; says which are gone.
    pub(crate) async fn delete(
        &mut self,
        home: &Home,
        device: &Device,
        blobs: &[&Sealed],
    ) -> Vec<BlobId> {
        let ids = blobs.iter().map(|blob| blob.id).collect();
        let command = DeleteBlobs::sign(home.id(), device.id(), ids, &device.sign);
        self.say(&ClientMsg::DeleteBlobs(command)).await;
        match self.hear().await {
            Some(RelayMsg::BlobsDeleted(gone)) => gone,
            other => panic!("expected what is gone, heard {other:?}"),
        }
    }
}
