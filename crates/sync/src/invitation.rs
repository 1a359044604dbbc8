//! What the second person types: a bare code, or an invitation that carries the relay too:
//! `4821-word-word-word` or `ajar://host:port/4821-word-word-word#KEY`.

use std::fmt;
use std::str::FromStr;

use ajar_crypto::PairingWords;
use ajar_crypto::words::WordsError;
use ajar_protocol::address::{AddressError, RelayAddress, base32, join_host_port};
use ajar_protocol::mailbox::{NAMEPLATE_MAX, NAMEPLATE_MIN};
use thiserror::Error;

const SCHEME: &str = "ajar://";

/// Why a code or invitation cannot be read. Nobody was contacted, and no code is used up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvitationError {
    /// The number in front is missing or not of four digits.
    #[error("a code begins with four digits, as in 4821-word-word-word")]
    Number,
    /// The words are not right.
    #[error("{0}")]
    Words(String),
    /// The part that names the relay is not right.
    #[error("the invitation names no relay that can be used: {0}")]
    Relay(AddressError),
}

/// A code, with or without the relay it is for.
#[derive(Clone)]
pub struct Invitation {
    pub(crate) nameplate: u32,
    pub(crate) words: PairingWords,
    pub(crate) relay: Option<RelayAddress>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invitation(..)")
    }
}

impl Invitation {
    /// The relay that it names.
    #[must_use]
    pub fn relay(&self) -> Option<&RelayAddress> {
        self.relay.as_ref()
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return code(text, None);
        };
        let (rest, key) = rest
            .split_once('#')
            .ok_or(InvitationError::Relay(AddressError::Key))?;
        let (place, words) = rest
            .split_once('/')
            .ok_or(InvitationError::Relay(AddressError::HostPort))?;
        let relay = format!("ajar-relay:{place}#{key}")
            .parse()
            .map_err(InvitationError::Relay)?;
        code(words, Some(relay))
    }
}

fn code(text: &str, relay: Option<RelayAddress>) -> Result<Invitation, InvitationError> {
    let text = text.trim();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, words) = text.split_at(digits);
    let nameplate: u32 = number.parse().map_err(|_| InvitationError::Number)?;
    if !(NAMEPLATE_MIN..=NAMEPLATE_MAX).contains(&nameplate) {
        return Err(InvitationError::Number);
    }
    let words = words.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let words = PairingWords::parse(words)
        .map_err(|error: WordsError| InvitationError::Words(error.to_string()))?;
    Ok(Invitation {
        nameplate,
        words,
        relay,
    })
}

/// The code as people say it.
pub(crate) fn code_text(nameplate: u32, words: &PairingWords) -> String {
    format!("{nameplate}-{}", words.text().replace(' ', "-"))
}

/// The invitation as people send it.
pub(crate) fn invitation_text(relay: &RelayAddress, code: &str) -> String {
    format!(
        "{SCHEME}{}/{code}#{}",
        join_host_port(&relay.host, relay.port),
        base32(&relay.key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "4821-river-copper-lemon";

    fn is_refused(code: &str) -> bool {
        code.parse::<Invitation>().is_err()
    }

    #[test]
    fn t056_only_case_blanks_and_hyphens_are_forgiven() {
        let right: Invitation = CODE.parse().unwrap();
        let other_ways = [
            "  4821-RIVER-Copper-lemon ",
            "4821 river copper lemon",
            "4821--river - copper  lemon",
        ];
        for way in other_ways {
            let typed: Invitation = way.parse().unwrap();
            assert_eq!(typed.nameplate, right.nameplate, "{way}");
            assert_eq!(typed.words.text(), right.words.text(), "{way}");
        }
        let wrong = [
            "",
            "4821",
            "4821-",
            "river-copper-lemon",
            "4821-river-copper",
            "4821-river-copper-lemon-river",
            "4821-river-copper-lemom",
            "-4821-river-copper-lemon",
            "99999999999-river-copper-lemon",
            // Digits of another script, and a full-width hyphen.
            "٤٨٢١-river-copper-lemon",
            "4821-river\u{ff0d}copper-lemon",
            // Letters that look alike: Cyrillic e and o, a dotless i, a ligature, a zero-width
            // space.
            "4821-riv\u{435}r-copper-lemon",
            "4821-river-c\u{43e}pper-lemon",
            "4821-river-copper-l\u{435}mon",
            "4821-r\u{131}ver-copper-lemon",
            "4821-river-copper-lemon\u{fb01}",
            "4821-ri\u{200b}ver-copper-lemon",
        ];
        for code in wrong {
            assert!(is_refused(code), "{code:?}");
        }
    }
}
