//! One connection to a relay: connect with the pin, frames in and out.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{frame, label, limits};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::time::{Instant, timeout, timeout_at};

use super::tls::client_config;
use crate::error::ConnectError;

/// Time for address, handshake and stream together.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried, each for its share of that time: a path that
/// swallows packets must not keep the next one from being tried.
const ADDRESSES: usize = 4;
/// Keeps the path open through routers (the relay gives up after 30 s).
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(30);
/// A relay that takes nothing for so long is not there any more.
const STALL: Duration = Duration::from_secs(30);
/// Memory is taken as bytes arrive, not by the length that a frame claims.
const STEP: usize = 64 << 10;
/// Messages handed on at a time: small ones take more memory parsed than on the wire.
const MESSAGES: usize = 4096;

/// An open connection with its one stream.
pub(crate) struct Wire {
    endpoint: Endpoint,
    connection: quinn::Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Wire {
    /// Connects; whoever answers must hold the pinned key.
    pub(crate) async fn connect(relay: &RelayAddress) -> Result<Self, ConnectError> {
        let unreachable = |what: &str| ConnectError::Unreachable(what.to_owned());
        let until = Instant::now() + CONNECT;
        let lookup = tokio::net::lookup_host((relay.host.as_str(), relay.port));
        let mut addresses = match timeout_at(until, lookup).await {
            Ok(Ok(addresses)) => addresses.collect::<Vec<SocketAddr>>(),
            _ => return Err(unreachable("its name is not known")),
        };
        addresses.truncate(ADDRESSES);
        let mut failure = unreachable("its name has no address");
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let share = until.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            let error = match timeout(share, Self::connect_address(address, &relay.key)).await {
                Ok(Ok(wire)) => return Ok(wire),
                Ok(Err(error)) => error,
                Err(_) => unreachable("no answer"),
            };
            // That somebody else answered is worth more than that nobody did elsewhere.
            if failure != ConnectError::WrongRelay {
                failure = error;
            }
        }
        Err(failure)
    }

    async fn connect_address(address: SocketAddr, key: &[u8; 32]) -> Result<Self, ConnectError> {
        let unreachable = |error: String| ConnectError::Unreachable(error);
        let mismatch = Arc::new(AtomicBool::new(false));
        let tls = client_config(key, Arc::clone(&mismatch))
            .map_err(|error| unreachable(error.to_string()))?;
        let quic =
            QuicClientConfig::try_from(tls).map_err(|error| unreachable(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(quic));
        config.transport_config(Arc::new(transport()));
        let local: SocketAddr = if address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let endpoint = Endpoint::client(local).map_err(|error| unreachable(error.to_string()))?;
        // The name is never sent: SNI is off, and the pin stands for the identity.
        let connecting = endpoint
            .connect_with(config, address, "relay")
            .map_err(|error| unreachable(error.to_string()))?;
        let connection = connecting.await.map_err(|error| {
            if mismatch.load(Ordering::Relaxed) {
                ConnectError::WrongRelay
            } else {
                unreachable(plain(&error))
            }
        })?;
        let (send, recv) = connection
            .open_bi()
            .await
            .map_err(|error| unreachable(plain(&error)))?;
        Ok(Self {
            endpoint,
            connection,
            send,
            recv,
        })
    }

    /// Keying material that binds a login to this connection.
    pub(crate) fn exporter(&self) -> Result<[u8; 32], ConnectError> {
        let mut out = [0; 32];
        self.connection
            .export_keying_material(&mut out, label::EXPORTER, b"")
            .map_err(|_| ConnectError::Violation("no exporter".to_owned()))?;
        Ok(out)
    }

    /// The two directions, and the connection itself for closing it.
    pub(crate) fn split(self) -> (WireWriter, WireReader, Closer) {
        let reader = WireReader {
            recv: self.recv,
            buffer: Vec::new(),
            parsed: 0,
        };
        let closer = Closer {
            endpoint: self.endpoint,
            connection: self.connection,
        };
        (WireWriter { send: self.send }, reader, closer)
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(2 << 20))
        .receive_window(VarInt::from_u32(8 << 20))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE.try_into().ok());
    transport
}

/// A connection error without addresses.
fn plain(error: &quinn::ConnectionError) -> String {
    match error {
        quinn::ConnectionError::TimedOut => "no answer".to_owned(),
        quinn::ConnectionError::VersionMismatch => "it speaks another version".to_owned(),
        quinn::ConnectionError::ConnectionClosed(_)
        | quinn::ConnectionError::ApplicationClosed(_) => "it closed the connection".to_owned(),
        quinn::ConnectionError::TransportError(_) => "it speaks another protocol".to_owned(),
        _ => "the connection failed".to_owned(),
    }
}

/// Closes a connection and waits a moment so that the relay hears it.
pub(crate) struct Closer {
    endpoint: Endpoint,
    connection: quinn::Connection,
}

impl Closer {
    /// UDP bytes sent and received so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let stats = self.connection.stats();
        (stats.udp_tx.bytes, stats.udp_rx.bytes)
    }

    /// The connection, for further streams.
    pub(crate) fn connection(&self) -> quinn::Connection {
        self.connection.clone()
    }

    pub(crate) async fn close(self) {
        self.connection.close(VarInt::from_u32(0), b"");
        let _ = timeout(Duration::from_millis(300), self.endpoint.wait_idle()).await;
    }
}

/// The sending half.
pub(crate) struct WireWriter {
    send: SendStream,
}

impl WireWriter {
    /// Sends messages, in order.
    pub(crate) async fn send(&mut self, messages: &[ClientMsg]) -> Result<(), ConnectError> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend_from_slice(&message.to_frame());
            if bytes.len() >= STEP {
                self.write(&bytes).await?;
                bytes.clear();
            }
        }
        self.write(&bytes).await
    }

    /// Ends the stream and waits a moment until the relay has all of it.
    pub(crate) async fn finish(&mut self) {
        if self.send.finish().is_ok() {
            let _ = timeout(Duration::from_secs(2), self.send.stopped()).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        match timeout(STALL, self.send.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(ConnectError::Lost),
        }
    }
}

/// The receiving half.
pub(crate) struct WireReader {
    recv: RecvStream,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are parsed.
    parsed: usize,
}

impl WireReader {
    /// Waits for at least one message and returns all that have arrived with it, at most
    /// `most` bytes beyond the first.
    pub(crate) async fn receive(&mut self, most: usize) -> Result<Vec<RelayMsg>, ConnectError> {
        let mut messages = Vec::new();
        let mut taken = 0;
        loop {
            while let Some((message, size)) = self.parse()? {
                messages.push(message);
                taken += size;
                if taken >= most || messages.len() >= MESSAGES {
                    return Ok(messages);
                }
            }
            // Once for many small messages, not once for each.
            self.buffer.drain(..self.parsed);
            self.parsed = 0;
            if messages.is_empty() {
                self.read_some().await?;
            } else if !self.read_ready().await {
                return Ok(messages);
            }
        }
    }

    fn parse(&mut self) -> Result<Option<(RelayMsg, usize)>, ConnectError> {
        let violation =
            |error: ajar_protocol::Malformed| ConnectError::Violation(error.to_string());
        let unparsed = self.buffer.get(self.parsed..).unwrap_or_default();
        let Some((field, rest)) = unparsed.split_first_chunk::<{ frame::LENGTH }>() else {
            return Ok(None);
        };
        let length = frame::checked_length(*field, limits::FRAME).map_err(violation)?;
        let Some(content) = rest.get(..length) else {
            return Ok(None);
        };
        let message = RelayMsg::parse(content).map_err(violation)?;
        let size = frame::LENGTH + length;
        self.parsed += size;
        Ok(Some((message, size)))
    }

    async fn read_some(&mut self) -> Result<(), ConnectError> {
        match self.recv.read_chunk(STEP, true).await {
            Ok(Some(chunk)) => {
                self.buffer.extend_from_slice(&chunk.bytes);
                Ok(())
            }
            Ok(None) | Err(_) => Err(ConnectError::Lost),
        }
    }

    /// Reads what is there without waiting; `false` when nothing is. An end of the stream
    /// waits for the next reading, so that what came before it is not lost.
    async fn read_ready(&mut self) -> bool {
        tokio::select! {
            biased;
            read = self.read_some() => read.is_ok(),
            () = std::future::ready(()) => false,
        }
    }
}
