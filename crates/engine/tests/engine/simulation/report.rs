//! How far everybody was, for whoever looks at a failure.

use ajar_protocol::envelope::{HEADER, SIGNATURE};
use ajar_protocol::epoch::EpochRecord;
use ajar_protocol::{Envelope, EnvelopeType};

use super::town::Town;

impl Town {
    /// Writes down how far everybody is, for whoever looks at a failure.
    pub(super) fn describe(&self) {
        self.describe_epochs();
        for (number, relay) in self.relays.iter().enumerate() {
            for (space, relay) in &relay.spaces {
                let place = self.spaces.iter().position(|one| one == space);
                for bytes in &relay.log {
                    let Ok(envelope) = Envelope::parse(bytes) else {
                        continue;
                    };
                    let header = envelope.header();
                    self.say(format!(
                        "relay {number}, space {place:?}: {:?} {} of {:?} under {:?} is {:?}",
                        header.kind,
                        header.counter,
                        header.device,
                        header.epoch,
                        envelope.id()
                    ));
                }
                if let Some(trim) = &relay.trim {
                    let rows: Vec<_> = trim.statement.cover.rows().collect();
                    self.say(format!(
                        "relay {number}, space {place:?}: trimmed to {rows:?}"
                    ));
                }
            }
        }
        for (who, seat) in self.seats.iter().enumerate() {
            let Some(home) = &seat.home else { continue };
            let rows: Vec<_> = home
                .frontier()
                .rows()
                .map(|(d, p)| (*d, p.counter))
                .collect();
            let status = home.status();
            self.say(format!(
                "{} {:?} is at {rows:?}, {} wait, {} are missing; {:?}; {:?}",
                self.name(who),
                seat.device,
                status.parked,
                status.missing,
                home.burns(),
                status.notices
            ));
        }
    }

    /// Every epoch that was made, also those that are given up by now: what it stands on and why.
    fn describe_epochs(&self) {
        for written in &self.ledger.written {
            let header = written.envelope.header();
            let bytes = written.envelope.as_bytes();
            let body = bytes.get(HEADER..bytes.len() - SIGNATURE).unwrap();
            let line = match header.kind {
                EnvelopeType::Epoch => {
                    let record = EpochRecord::parse(body).unwrap();
                    format!(
                        "number {}, {:?}, after {:?}, to {}",
                        record.number,
                        record.reason,
                        record.parents,
                        record.seals.len()
                    )
                }
                _ => format!("under {:?}", header.epoch),
            };
            self.say(format!(
                "space {}: {:?} {} of {:?} is {:?}: {line}",
                written.space,
                header.kind,
                header.counter,
                header.device,
                written.envelope.id()
            ));
        }
    }
}
