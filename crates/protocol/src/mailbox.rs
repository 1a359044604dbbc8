//! Pairing mailboxes: two connections exchange a few messages through the relay, which can
//! neither read nor usefully change them (protocol §2.9).

use crate::error::Malformed;

/// What a code is for. The relay carries this in clear so that an app can tell a person
/// which screen a code belongs to; what enforces it are the PAKE identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Another device of the same person.
    DeviceLink = 1,
    /// The partner.
    PartnerLink = 2,
}

impl Purpose {
    /// Purpose of a byte.
    ///
    /// # Errors
    /// [`Malformed::Value`].
    pub fn from_byte(byte: u8) -> Result<Self, Malformed> {
        match byte {
            1 => Ok(Self::DeviceLink),
            2 => Ok(Self::PartnerLink),
            _ => Err(Malformed::Value("purpose of a pairing code")),
        }
    }
}

/// Smallest nameplate: four digits without a leading zero.
pub const NAMEPLATE_MIN: u32 = 1000;
/// Largest nameplate.
pub const NAMEPLATE_MAX: u32 = 9999;
