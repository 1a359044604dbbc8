//! Notices: what was detected and must be told to a person (protocol §2.11). They never
//! block reading, and never blame a person for what a relay could have done.

use ajar_protocol::codec::{Reader, Writer};
use ajar_protocol::error::Malformed;
use ajar_protocol::{DeviceId, PartyId};

/// Notices that are kept; the oldest go first.
pub const KEPT: usize = 64;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Another device has seen envelopes of this device that never arrived here.
    Withheld {
        /// Whose envelopes.
        device: DeviceId,
        /// How many.
        missing: u64,
    },
    /// Two different histories carry the signature of this device.
    Forked {
        /// The device.
        device: DeviceId,
        /// Counter at which they part.
        counter: u64,
    },
    /// This home is behind what its own device has already sent: a restored copy.
    StaleCopy,
    /// The relay knew less than it had confirmed before.
    RolledBack,
    /// A key change was not valid and was ignored.
    BadEpoch {
        /// Author of the key change.
        device: DeviceId,
    },
    /// The relay sent data that is damaged or not what it should be, three times or more.
    DamagedData,
    /// Part of what a device sent could not be opened and was left out.
    Unopenable {
        /// The device.
        device: DeviceId,
        /// Counter of the envelope.
        counter: u64,
    },
    /// A device was added to a party.
    DeviceAdded {
        /// The party.
        party: PartyId,
        /// The link that did it; 0 in notices from before links were told apart.
        seq: u64,
    },
    /// A device was removed from a party.
    DeviceRemoved {
        /// The party.
        party: PartyId,
        /// The link that did it; 0 in notices from before links were told apart.
        seq: u64,
    },
    /// A party recovered with its twelve words.
    Recovered {
        /// The party.
        party: PartyId,
        /// The link that did it; 0 in notices from before links were told apart.
        seq: u64,
    },
    /// Links of a party contradict each other; its membership is frozen.
    ChainFork {
        /// The party.
        party: PartyId,
    },
    /// Our own party has other twelve words.
    WordsReplaced {
        /// The party.
        party: PartyId,
        /// The link that did it.
        seq: u64,
    },
    /// A party has left: nobody writes into the space any more.
    PartyLeft {
        /// The party.
        party: PartyId,
        /// The link that did it.
        seq: u64,
    },
    /// Our own party let in more of what a removed device wrote.
    CutoffRaised {
        /// The party.
        party: PartyId,
        /// The link that did it.
        seq: u64,
    },
    /// This device was removed by another one of its person.
    OwnDeviceRemoved,
    /// A snapshot of this device does not hold the history that is here.
    SnapshotDiffers {
        /// Its author.
        device: DeviceId,
        /// Counter of the envelope.
        counter: u64,
    },
    /// Only the partner's devices vouch for the copy that this device could begin from.
    OnlyPartnerVouches,
    /// The other person asks to burn documents of this one, or what both wrote.
    BurnRequested {
        /// The party that asks.
        party: PartyId,
        /// How many documents are asked for in all.
        docs: u64,
    },
    /// The other person burned something.
    Burned {
        /// The party.
        party: PartyId,
        /// Place of the burn among the envelopes of the device that wrote it.
        counter: u64,
    },
}

/// A notice and when it arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// When, ms since 1970 by this device's clock.
    pub at_ms: i64,
}

impl Notice {
    fn encode(&self, out: &mut Writer) {
        out.i64(self.at_ms);
        let (tag, id, number) = match self.kind {
            NoticeKind::Withheld { device, missing } => (1, device.0, missing),
            NoticeKind::Forked { device, counter } => (2, device.0, counter),
            NoticeKind::StaleCopy => (3, [0; 32], 0),
            NoticeKind::RolledBack => (4, [0; 32], 0),
            NoticeKind::BadEpoch { device } => (5, device.0, 0),
            NoticeKind::DamagedData => (6, [0; 32], 0),
            NoticeKind::Unopenable { device, counter } => (7, device.0, counter),
            NoticeKind::DeviceAdded { party, seq } => (8, party.0, seq),
            NoticeKind::DeviceRemoved { party, seq } => (9, party.0, seq),
            NoticeKind::Recovered { party, seq } => (10, party.0, seq),
            NoticeKind::ChainFork { party } => (11, party.0, 0),
            NoticeKind::WordsReplaced { party, seq } => (12, party.0, seq),
            NoticeKind::PartyLeft { party, seq } => (13, party.0, seq),
            NoticeKind::CutoffRaised { party, seq } => (14, party.0, seq),
            NoticeKind::OwnDeviceRemoved => (15, [0; 32], 0),
            NoticeKind::SnapshotDiffers { device, counter } => (16, device.0, counter),
            NoticeKind::OnlyPartnerVouches => (17, [0; 32], 0),
            NoticeKind::BurnRequested { party, docs } => (18, party.0, docs),
            NoticeKind::Burned { party, counter } => (19, party.0, counter),
        };
        out.u8(tag).raw(&id).u64(number);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at_ms = reader.i64()?;
        let tag = reader.u8()?;
        let id: [u8; 32] = reader.array()?;
        let number = reader.u64()?;
        let (device, party) = (DeviceId(id), PartyId(id));
        let kind = match tag {
            1 => NoticeKind::Withheld {
                device,
                missing: number,
            },
            2 => NoticeKind::Forked {
                device,
                counter: number,
            },
            3 => NoticeKind::StaleCopy,
            4 => NoticeKind::RolledBack,
            5 => NoticeKind::BadEpoch { device },
            6 => NoticeKind::DamagedData,
            7 => NoticeKind::Unopenable {
                device,
                counter: number,
            },
            8 => NoticeKind::DeviceAdded { party, seq: number },
            9 => NoticeKind::DeviceRemoved { party, seq: number },
            10 => NoticeKind::Recovered { party, seq: number },
            11 => NoticeKind::ChainFork { party },
            12 => NoticeKind::WordsReplaced { party, seq: number },
            13 => NoticeKind::PartyLeft { party, seq: number },
            14 => NoticeKind::CutoffRaised { party, seq: number },
            15 => NoticeKind::OwnDeviceRemoved,
            16 => NoticeKind::SnapshotDiffers {
                device,
                counter: number,
            },
            17 => NoticeKind::OnlyPartnerVouches,
            18 => NoticeKind::BurnRequested {
                party,
                docs: number,
            },
            19 => NoticeKind::Burned {
                party,
                counter: number,
            },
            _ => return Err(Malformed::Kind("notice")),
        };
        Ok(Self { kind, at_ms })
    }
}

/// Whether a notice tells of a proof or of why this home is closed, which no one may dismiss.
fn is_proof(kind: &NoticeKind) -> bool {
    matches!(
        kind,
        NoticeKind::StaleCopy
            | NoticeKind::OwnDeviceRemoved
            | NoticeKind::Forked { .. }
            | NoticeKind::ChainFork { .. }
    )
}

/// The kept notices, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    list: Vec<Notice>,
}

impl Notices {
    /// Adds a notice unless the same thing is already told. Returns whether it is new.
    pub fn add(&mut self, notice: Notice) -> bool {
        if self.list.iter().any(|known| known.kind == notice.kind) {
            return false;
        }
        // A later count of missing envelopes replaces an earlier one.
        if let NoticeKind::Withheld { device, .. } = notice.kind {
            self.settle_withheld(&device);
        }
        if self.list.len() >= KEPT {
            // Proofs stay longest: a flood of lesser things must not wash them away. That a
            // party is frozen stands nowhere else, so it stays longer still.
            let frozen = |kind: &NoticeKind| matches!(kind, NoticeKind::ChainFork { .. });
            let lesser = self.list.iter().position(|notice| !is_proof(&notice.kind));
            let other = || self.list.iter().position(|notice| !frozen(&notice.kind));
            self.list.remove(lesser.or_else(other).unwrap_or(0));
        }
        self.list.push(notice);
        true
    }

    /// Removes what was said about missing envelopes of a device. Returns whether there was
    /// something.
    pub fn settle_withheld(&mut self, device: &DeviceId) -> bool {
        let before = self.list.len();
        self.list
            .retain(|n| !matches!(n.kind, NoticeKind::Withheld { device: d, .. } if d == *device));
        before != self.list.len()
    }

    /// Removes what was said about links of a party that contradicted each other, when the
    /// twelve words have decided. Returns whether there was something.
    pub(crate) fn settle_chain_fork(&mut self, party: &PartyId) -> bool {
        let kind = NoticeKind::ChainFork { party: *party };
        let before = self.list.len();
        self.list.retain(|notice| notice.kind != kind);
        before != self.list.len()
    }

    /// Removes what was said about a device that has two histories, when a cut-off that is
    /// void had said so. Returns whether there was something.
    pub(crate) fn settle_forked(&mut self, device: &DeviceId, counter: u64) -> bool {
        let kind = NoticeKind::Forked {
            device: *device,
            counter,
        };
        let before = self.list.len();
        self.list.retain(|notice| notice.kind != kind);
        before != self.list.len()
    }

    /// Removes what was said about an envelope that could be opened after all. Returns
    /// whether there was something.
    pub(crate) fn settle_unopenable(&mut self, device: &DeviceId, counter: u64) -> bool {
        self.settle(&NoticeKind::Unopenable {
            device: *device,
            counter,
        })
    }

    /// Removes what is not so any more. Returns whether there was something.
    pub(crate) fn settle(&mut self, kind: &NoticeKind) -> bool {
        let before = self.list.len();
        self.list.retain(|notice| notice.kind != *kind);
        before != self.list.len()
    }

    /// All, oldest first.
    #[must_use]
    pub fn all(&self) -> &[Notice] {
        &self.list
    }

    /// Removes all that are not proofs; returns whether anything was removed.
    pub fn dismiss(&mut self) -> bool {
        let before = self.list.len();
        self.list.retain(|notice| is_proof(&notice.kind));
        before != self.list.len()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(u8::try_from(self.list.len()).unwrap_or(u8::MAX));
        for notice in &self.list {
            notice.encode(&mut out);
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "notices");
        let n = reader.u8()?;
        let list = (0..n)
            .map(|_| Notice::decode(&mut reader))
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([1; 32]);
    const PARTY: PartyId = PartyId([2; 32]);

    fn kinds() -> Vec<NoticeKind> {
        let (device, party) = (DEVICE, PARTY);
        vec![
            NoticeKind::Withheld { device, missing: 4 },
            NoticeKind::Forked { device, counter: 5 },
            NoticeKind::StaleCopy,
            NoticeKind::RolledBack,
            NoticeKind::BadEpoch { device },
            NoticeKind::DamagedData,
            NoticeKind::Unopenable { device, counter: 6 },
            NoticeKind::DeviceAdded { party, seq: 1 },
            NoticeKind::DeviceAdded { party, seq: 2 },
            NoticeKind::DeviceRemoved { party, seq: 3 },
            NoticeKind::Recovered { party, seq: 4 },
            NoticeKind::ChainFork { party },
            NoticeKind::WordsReplaced { party, seq: 5 },
            NoticeKind::PartyLeft { party, seq: 7 },
            NoticeKind::CutoffRaised { party, seq: 6 },
            NoticeKind::OwnDeviceRemoved,
        ]
    }

    fn noticed(kinds: impl IntoIterator<Item = NoticeKind>) -> Notices {
        let mut notices = Notices::default();
        for (at_ms, kind) in (1..).zip(kinds) {
            notices.add(Notice { kind, at_ms });
        }
        notices
    }

    #[test]
    fn every_notice_outlives_a_restart() {
        let notices = noticed(kinds());
        let bytes = notices.encode();
        assert_eq!(Notices::decode(&bytes).unwrap().all(), notices.all());
        for cut in 0..bytes.len() {
            assert!(Notices::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn notices_from_before_links_were_told_apart_are_still_read() {
        // As the version before wrote "Ben added a device": the number was always 0.
        let mut bytes = vec![1];
        bytes.extend_from_slice(&1_767_225_600_000_i64.to_be_bytes());
        bytes.push(8);
        bytes.extend_from_slice(&PARTY.0);
        bytes.extend_from_slice(&[0; 8]);
        let mut notices = Notices::decode(&bytes).unwrap();
        let party = PARTY;
        assert_eq!(
            notices.all()[0].kind,
            NoticeKind::DeviceAdded { party, seq: 0 }
        );
        let kind = NoticeKind::DeviceAdded { party, seq: 1 };
        assert!(notices.add(Notice { kind, at_ms: 2 }), "another device");
    }

    #[test]
    fn the_same_thing_is_told_once_and_a_later_count_replaces_an_earlier() {
        let mut notices = noticed(kinds().into_iter().chain(kinds()));
        assert_eq!(notices.all().len(), kinds().len());
        let kind = NoticeKind::Withheld {
            device: DEVICE,
            missing: 9,
        };
        assert!(notices.add(Notice { kind, at_ms: 99 }));
        assert_eq!(notices.all().len(), kinds().len());
        assert!(notices.settle_withheld(&DEVICE));
        assert!(!notices.settle_withheld(&DEVICE));
    }

    #[test]
    fn only_proofs_stay_when_the_rest_is_dismissed() {
        let mut notices = noticed(kinds());
        assert!(notices.dismiss());
        assert_eq!(notices.all().len(), 4);
        assert!(!notices.dismiss());
        assert!(notices.settle(&NoticeKind::OwnDeviceRemoved));
        assert!(!notices.settle(&NoticeKind::OwnDeviceRemoved));
    }

    #[test]
    fn proofs_stay_when_there_are_too_many() {
        let device = DEVICE;
        let flood = (0..200).map(|counter| NoticeKind::Unopenable { device, counter });
        let notices = noticed([NoticeKind::StaleCopy].into_iter().chain(flood));
        assert_eq!(notices.all().len(), KEPT);
        assert_eq!(notices.all()[0].kind, NoticeKind::StaleCopy);
        // Nothing but proofs: then the oldest goes.
        let proofs = (0..200).map(|counter| NoticeKind::Forked { device, counter });
        assert_eq!(noticed(proofs).all().len(), KEPT);
    }
}
