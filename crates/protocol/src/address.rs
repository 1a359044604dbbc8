//! The address of a relay as people hand it on, with the pinned key and, when it comes from
//! an invitation, a one-time claim (protocol §2.8):
//! `ajar-relay:host:port#<52 characters>&claim=<26 characters>`.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, Encoding};
use thiserror::Error;

use crate::limits;
use crate::link::verifying_key;

const SCHEME: &str = "ajar-relay:";

/// Where a relay listens and which key it must prove to hold.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// Host name or IP address (IPv6 without brackets).
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Ed25519 key of the relay: the pin.
    pub key: [u8; 32],
    /// One-time claim, when the address comes from an invitation.
    pub claim: Option<[u8; 16]>,
}

/// Why an address cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// It does not begin with the scheme.
    #[error("a relay address begins with `ajar-relay:`; copy it whole from `ajar-relay invite`")]
    Scheme,
    /// Host or port is missing or not sound.
    #[error("the relay address names no host and port (expected `ajar-relay:host:port#key`)")]
    HostPort,
    /// The key is missing, cut short or mistyped.
    #[error("the key in the relay address is incomplete or mistyped; copy the address whole")]
    Key,
    /// The claim is cut short or mistyped.
    #[error("the claim in the relay address is incomplete or mistyped; copy the address whole")]
    Claim,
}

/// Lower-case base32 without padding, the form of keys and claims in addresses.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads [`base32`] in either case.
#[must_use]
pub fn from_base32(text: &str) -> Option<Vec<u8>> {
    let encoding: Encoding = BASE32_NOPAD;
    encoding.decode(text.to_ascii_uppercase().as_bytes()).ok()
}

/// Splits `host:port`, with IPv6 hosts in brackets.
///
/// # Errors
/// [`AddressError::HostPort`].
pub fn host_port(text: &str) -> Result<(String, u16), AddressError> {
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::HostPort)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or(AddressError::HostPort)?,
        None if host.contains(':') => return Err(AddressError::HostPort),
        None => host,
    };
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '%' | '_');
    if host.is_empty() || host.len() > limits::HOST || !host.chars().all(sound) {
        return Err(AddressError::HostPort);
    }
    match port.parse() {
        // `parse` would take a leading plus sign.
        Ok(port) if port > 0 && !text.contains('+') => Ok((host.to_owned(), port)),
        _ => Err(AddressError::HostPort),
    }
}

/// Joins host and port, with IPv6 hosts in brackets.
#[must_use]
pub fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl RelayAddress {
    /// The same address without its claim, for storing and showing.
    #[must_use]
    pub fn without_claim(&self) -> Self {
        Self {
            claim: None,
            ..self.clone()
        }
    }
}

impl FromStr for RelayAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text
            .trim()
            .strip_prefix(SCHEME)
            .ok_or(AddressError::Scheme)?;
        let (place, fragment) = rest.split_once('#').ok_or(AddressError::Key)?;
        let (host, port) = host_port(place)?;
        let (key, claim) = match fragment.split_once("&claim=") {
            Some((key, claim)) => (key, Some(claim)),
            None => (fragment, None),
        };
        let key: [u8; 32] = from_base32(key)
            .and_then(|k| k.try_into().ok())
            .ok_or(AddressError::Key)?;
        verifying_key(&key, "relay key").map_err(|_| AddressError::Key)?;
        let claim = claim
            .map(|c| {
                from_base32(c)
                    .and_then(|c| c.try_into().ok())
                    .ok_or(AddressError::Claim)
            })
            .transpose()?;
        Ok(Self {
            host,
            port,
            key,
            claim,
        })
    }
}

impl fmt::Display for RelayAddress {
    /// The whole address, claim included: this is what is handed to a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}#{}",
            join_host_port(&self.host, self.port),
            base32(&self.key)
        )?;
        match &self.claim {
            Some(claim) => write!(f, "&claim={}", base32(claim)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayAddress")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("claim", &self.claim.map(|_| ".."))
            .finish_non_exhaustive()
    }
}
