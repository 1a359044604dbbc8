//! Frames on the one stream of a connection: bounded reading, and writing that gives up on a
//! peer that takes nothing.

use std::time::Duration;

use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Malformed, frame};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::time::{timeout, timeout_at};

/// Memory is taken in steps of so many bytes as a frame arrives, not by the length it claims.
const STEP: usize = 64 << 10;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer has gone, or is done.
    Closed,
    /// It was too slow or silent; nothing is said.
    Late,
    /// It is told why.
    Refused(Refusal),
}

impl From<Malformed> for End {
    fn from(_: Malformed) -> Self {
        Self::Refused(Refusal::Violation)
    }
}

/// The reading half.
pub(crate) struct Frames {
    recv: RecvStream,
    finish: Duration,
}

impl Frames {
    /// `finish` is the time to complete a frame once begun.
    pub(crate) fn new(recv: RecvStream, finish: Duration) -> Self {
        Self { recv, finish }
    }

    /// Changes the time to complete a frame.
    pub(crate) fn set_finish(&mut self, finish: Duration) {
        self.finish = finish;
    }

    /// Reads bare bytes, what has come but at most `most`; `None` at the end of the stream.
    /// Waits for them no longer than for the rest of a frame.
    pub(crate) async fn some(&mut self, most: usize) -> Result<Option<Vec<u8>>, End> {
        let mut bytes = vec![0; most];
        let mut have = 0;
        let deadline = tokio::time::Instant::now() + self.finish;
        // Few large writes to the disk, rather than one for each packet.
        while have < most {
            let (_, rest) = bytes.split_at_mut(have);
            match timeout_at(deadline, self.recv.read(rest)).await {
                Ok(Ok(Some(more))) => have += more,
                Ok(Ok(None)) => break,
                // What came before is written; the next call says the same again.
                Ok(Err(_)) | Err(_) if have > 0 => break,
                Ok(Err(_)) => return Err(End::Closed),
                Err(_) => return Err(End::Late),
            }
        }
        bytes.truncate(have);
        Ok((have > 0).then_some(bytes))
    }

    /// The stream itself.
    pub(crate) fn into_recv(self) -> RecvStream {
        self.recv
    }

    /// Reads the content of the next frame of at most `limit` bytes; waits for its beginning as
    /// long as it takes.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Vec<u8>, End> {
        let mut field = [0; frame::LENGTH];
        let begun = match self.recv.read(&mut field).await {
            Ok(Some(n)) => n,
            Ok(None) | Err(_) => return Err(End::Closed),
        };
        let rest = async {
            let (_, missing) = field.split_at_mut(begun);
            self.recv
                .read_exact(missing)
                .await
                .map_err(|_| End::Closed)?;
            let length = frame::checked_length(field, limit)?;
            let mut content = Vec::new();
            while content.len() < length {
                let have = content.len();
                content.resize(length.min(have + STEP), 0);
                let (_, new) = content.split_at_mut(have);
                self.recv.read_exact(new).await.map_err(|_| End::Closed)?;
            }
            Ok(content)
        };
        timeout(self.finish, rest).await.unwrap_or(Err(End::Late))
    }
}

/// The writing half. Unless it was finished it is cut when it is dropped, so that its end cannot
/// be taken for the end of what it carried.
pub(crate) struct Output {
    send: SendStream,
    stall: Duration,
    finished: bool,
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.finished {
            // A stream that the peer has stopped needs no cut.
            let _ = self.send.reset(VarInt::from_u32(0));
        }
    }
}

impl Output {
    /// `stall` is the time within which the peer must take something.
    pub(crate) fn new(send: SendStream, stall: Duration) -> Self {
        Self {
            send,
            stall,
            finished: false,
        }
    }

    /// Writes bytes that hold whole frames.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = timeout(self.stall, self.send.write(rest))
                .await
                .map_err(|_| End::Late)?
                .map_err(|_| End::Closed)?;
            rest = rest.split_at(taken.min(rest.len())).1;
        }
        Ok(())
    }

    /// Lets this stream go before those of lower priority.
    pub(crate) fn prefer(&self) {
        // Only a stream that has ended refuses.
        let _ = self.send.set_priority(1);
    }

    /// Writes one message.
    pub(crate) async fn say(&mut self, message: &RelayMsg) -> Result<(), End> {
        self.write(&message.to_frame()).await
    }

    /// Ends the stream and waits a moment for the peer to have all of it.
    pub(crate) async fn finish(mut self) {
        self.finished = self.send.finish().is_ok();
        if self.finished {
            let patience = self.stall.min(Duration::from_secs(2));
            // Whether it came or not, the connection ends now.
            let _ = timeout(patience, self.send.stopped()).await;
        }
    }
}
