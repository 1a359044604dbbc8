//! Looking at everything a home holds, without changing it.

use ajar_protocol::genesis::SpaceKind;

use crate::error::Error;
use crate::space::Space;

/// What was found in one space.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// Which space.
    pub space: SpaceKind,
    /// Envelopes read.
    pub envelopes: u64,
    /// Documents read.
    pub documents: usize,
    /// What is not as it should be, in words; empty when all is well.
    pub findings: Vec<String>,
}

pub(super) fn check(space: &Space) -> Result<CheckReport, Error> {
    let kind = space.kind();
    space.worker().call(move |core| {
        let mut findings = Vec::new();
        match core.replica.store().log().verify() {
            Ok(damaged) => findings.extend(damaged.iter().map(|damage| {
                format!(
                    "a stored record is damaged (segment {}, byte {})",
                    damage.at.segment, damage.at.offset
                )
            })),
            Err(error) => findings.push(error.to_string()),
        }
        let checked = core.replica.check();
        findings.extend(checked.findings);
        CheckReport {
            space: kind,
            envelopes: checked.envelopes,
            documents: checked.documents,
            findings,
        }
    })
}
