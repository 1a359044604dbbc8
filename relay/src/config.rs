//! Configuration: `relay.toml`, environment and flags; unknown keys are errors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ajar_protocol::address::{AddressError, RelayAddress, host_port};
use serde::Deserialize;
use thiserror::Error;

use crate::data::{DataDir, DataError};
use crate::identity::Identity;
use crate::limits::Limits;

/// Where a relay listens unless told otherwise: all addresses, IPv6 and IPv4, UDP port 4433.
pub const DEFAULT_LISTEN: &str = "[::]:4433";

/// Everything a running relay needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data folder: `relay.key`, `relay.toml`, `relay.addr`, `claims/`, `db/`.
    pub data: PathBuf,
    /// UDP address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// `host:port` to print in addresses instead of `listen`.
    pub advertise: Option<String>,
    /// Limits.
    pub limits: Limits,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that was named or must be there cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not valid; the message says where.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// `relay.toml` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    advertise: Option<String>,
    limits: Limits,
}

/// `relay.toml` as `ajar-relay init` writes it: every default, commented out.
#[must_use]
pub fn template(listen: Option<SocketAddr>, advertise: Option<&str>) -> String {
    let mut text = String::from(
        "# Configuration of an Ajar relay. Lines that begin with # show the defaults.\n\
         # Flags win over AJAR_RELAY_* variables, variables over this file.\n\
         # `ajar-relay config check` explains what is in force.\n\n\
         # UDP address to listen on.\n",
    );
    match listen {
        Some(listen) => text += &format!("listen = \"{listen}\"\n"),
        None => text += &format!("# listen = \"{DEFAULT_LISTEN}\"\n"),
    }
    text += "\n# host:port that invitations name; devices must reach the relay there.\n";
    match advertise {
        Some(advertise) => text += &format!("advertise = \"{advertise}\"\n"),
        None => text += "# advertise = \"journal.example.org:4433\"\n",
    }
    text += "\n# What each limit is for is written in the documentation of the relay.\n[limits]\n";
    let defaults = toml::to_string(&Limits::default()).unwrap_or_default();
    for line in defaults.lines() {
        text += &format!("# {line}\n");
    }
    text
}

impl Config {
    /// A configuration with all defaults, for this data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data: data.into(),
            listen,
            advertise: None,
            limits: Limits::default(),
        }
    }

    /// Reads `file`, or `relay.toml` in the data folder when no file is named, and puts `listen`
    /// over it.
    ///
    /// # Errors
    /// [`ConfigError`]; a named file must exist.
    pub fn load(
        data: &Path,
        file: Option<&Path>,
        listen: Option<SocketAddr>,
    ) -> Result<Self, ConfigError> {
        let path = file.map_or_else(|| DataDir::new(data).config_file(), Path::to_path_buf);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let invalid = |message: String| ConfigError::Invalid {
            path: path.clone(),
            message,
        };
        let file: File = toml::from_str(&text).map_err(|e| invalid(e.to_string()))?;
        file.limits.check().map_err(invalid)?;
        if let Some(advertise) = &file.advertise {
            host_port(advertise)
                .map_err(|_| invalid(format!("advertise = \"{advertise}\" is not host:port")))?;
        }
        let listen = match listen.or(file.listen) {
            Some(listen) => listen,
            None => DEFAULT_LISTEN
                .parse()
                .map_err(|_| invalid("no address to listen on".to_owned()))?,
        };
        Ok(Self {
            data: data.to_path_buf(),
            listen,
            advertise: file.advertise,
            limits: file.limits,
        })
    }

    /// The address to hand out for a relay that listens at `bound`. An unspecified address
    /// (all interfaces) without `advertise` becomes loopback: good on this machine only.
    ///
    /// # Errors
    /// [`AddressError`] when `advertise` is not `host:port`.
    pub fn address(
        &self,
        identity: &Identity,
        bound: SocketAddr,
    ) -> Result<RelayAddress, AddressError> {
        let (host, port) = match &self.advertise {
            Some(advertise) => host_port(advertise)?,
            None => reachable(bound),
        };
        Ok(RelayAddress {
            host,
            port,
            key: identity.public(),
            claim: None,
        })
    }

    /// The address for an invitation: `host` if given (with or without a port), else as
    /// [`Self::address`], else where the running relay said it listens.
    ///
    /// # Errors
    /// [`DataError`] or [`AddressError`] as a sentence.
    pub fn invitation_address(
        &self,
        data: &DataDir,
        identity: &Identity,
        host: Option<&str>,
    ) -> Result<RelayAddress, DataError> {
        let bound = data.bound()?.unwrap_or(self.listen);
        let mut address = self
            .address(identity, bound)
            .map_err(|e| DataError::Address(e.to_string()))?;
        if let Some(host) = host {
            (address.host, address.port) = with_port(host, address.port)?;
        }
        if address.port == 0 {
            return Err(DataError::Address(
                "the relay takes a free port when it starts; start it first, or name --host HOST:PORT"
                    .to_owned(),
            ));
        }
        Ok(address)
    }
}

/// Reads `host` or `host:port`.
///
/// # Errors
/// [`DataError::Address`].
pub fn with_port(host: &str, port: u16) -> Result<(String, u16), DataError> {
    let wrong = || DataError::Address(format!("`{host}` is no host name, IP address or HOST:PORT"));
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        return Ok((ip.to_string(), port));
    }
    if let Ok(found) = host_port(host) {
        return Ok(found);
    }
    // A bare host name is checked by the same rules.
    host_port(&format!("{host}:1"))
        .map(|(host, _)| (host, port))
        .map_err(|_| wrong())
}

fn reachable(bound: SocketAddr) -> (String, u16) {
    let host = match bound.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ip => ip.to_string(),
    };
    (host, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_valid_configuration_with_every_limit_named() {
        let text = template(None, Some("journal.example.org:4433"));
        let file: File = toml::from_str(&text).unwrap();
        assert_eq!(file.limits, Limits::default());
        let uncommented: String = text
            .lines()
            .skip_while(|line| *line != "[limits]")
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let file: File = toml::from_str(&uncommented).unwrap();
        assert_eq!(file.limits, Limits::default());
    }

    #[test]
    fn a_mistyped_key_is_an_error_not_a_default() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["listn = \"[::]:1\"", "[limits]\nconections = 3"] {
            std::fs::write(dir.path().join("relay.toml"), text).unwrap();
            let error = Config::load(dir.path(), None, None).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn a_named_file_must_exist_and_limits_must_leave_room() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Config::load(dir.path(), None, None).is_ok());
        let missing = dir.path().join("other.toml");
        assert!(Config::load(dir.path(), Some(&missing), None).is_err());
        std::fs::write(&missing, "[limits]\nappend_bytes_in_flight = 1000").unwrap();
        assert!(Config::load(dir.path(), Some(&missing), None).is_err());
    }

    #[test]
    fn hosts_are_taken_with_and_without_port() {
        assert_eq!(with_port("a.example", 5).unwrap(), ("a.example".into(), 5));
        assert_eq!(
            with_port("a.example:7", 5).unwrap(),
            ("a.example".into(), 7)
        );
        assert_eq!(with_port("::1", 5).unwrap(), ("::1".into(), 5));
        assert_eq!(with_port("[::1]:7", 5).unwrap(), ("::1".into(), 7));
        assert!(with_port("two words", 5).is_err());
    }
}
