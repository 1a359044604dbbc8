//! Burns that one party alone cannot do: what belongs to the other is asked for, what is common
//! needs both (protocol §2.14).
//!
//! A snapshot does not say who has voted for what, and whoever begins from it has not heard the
//! votes within its cover. So a party says them again whenever it endorses a snapshot.

use std::collections::BTreeSet;

use ajar_crypto::Entropy;
use ajar_protocol::burn::Burn;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::snapshot::Snapshot;
use ajar_protocol::{DocId, limits};

use crate::clock::Now;
use crate::documents::{Owner, owner};
use crate::error::{EngineError, Misuse};
use crate::replica::Replica;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// The partner asks to burn a document of ours.
    pub(crate) fn request(&mut self, doc: DocId) -> Result<(), EngineError> {
        if self.row(&doc)?.is_some_and(|row| row.exists()) {
            self.folded.requests.insert(doc);
            self.folded.touch();
        }
        Ok(())
    }

    /// A party burns a common document; returns whether both have. The vote may come before the
    /// document does.
    pub(crate) fn vote(&mut self, doc: DocId, place: usize) -> Result<bool, EngineError> {
        let alone = self.space.partner().is_none();
        let voice = u8::try_from(place).unwrap_or(u8::MAX);
        let other = self.folded.votes.get(&doc).copied();
        if alone || other.is_some_and(|other| other != voice) {
            self.folded.votes.remove(&doc);
            self.folded.touch();
            return Ok(true);
        }
        let has_room = self.folded.votes.len() < limits::BURNED_DOCS;
        if other.is_none() && has_room && !self.folded.burned.contains(&doc) {
            self.folded.votes.insert(doc, voice);
            self.folded.touch();
            if place != self.space.place {
                self.request(doc)?;
            }
        }
        Ok(false)
    }

    /// Documents of ours, and common ones, that the partner asked to burn.
    #[must_use]
    pub fn burn_requests(&self) -> Vec<DocId> {
        self.folded.requests.iter().copied().collect()
    }

    /// The person does not want to burn what the partner asked for.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn dismiss_burn_requests(&mut self) -> Result<(), EngineError> {
        self.folded.requests.clear();
        self.folded.touch();
        self.commit().map(drop)
    }

    /// Says again which common documents this party has burned, as long as somebody may begin
    /// where that is not known: those that wait for the other party, and those of burns that are
    /// not done everywhere.
    pub(crate) fn repeat_votes(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), EngineError> {
        if self.space.partner().is_none() {
            return Ok(());
        }
        let voice = u8::try_from(self.space.place).unwrap_or(u8::MAX);
        let votes = self.folded.votes.iter();
        let mut docs: BTreeSet<DocId> = votes
            .filter(|(_, other)| **other == voice)
            .map(|(doc, _)| *doc)
            .collect();
        let burned = self.pending_burns().flat_map(|burn| &burn.docs);
        docs.extend(burned.filter(|doc| owner(doc) == Some(Owner::Common)));
        let docs: Vec<DocId> = docs.into_iter().collect();
        for docs in docs.chunks(limits::DOCS_PER_BURN) {
            let burn = Burn {
                claimed_time_ms: now.wall_ms,
                docs: docs.to_vec(),
                blobs: Vec::new(),
            };
            let content = burn.encode().map_err(|_| Misuse::LimitReached)?;
            self.seal(now, entropy, EnvelopeType::Burn, &content)?;
        }
        Ok(())
    }

    /// Whether a snapshot says that a common document is burned for which only our own vote has
    /// come: that of the other will, with the word of its author's party.
    pub(crate) fn lacks_votes(&mut self, snapshot: &Snapshot) -> bool {
        let voice = u8::try_from(self.space.place).unwrap_or(u8::MAX);
        let mut burned = snapshot.burned.iter();
        burned.any(|doc| self.folded.votes.get(doc) == Some(&voice))
    }
}
