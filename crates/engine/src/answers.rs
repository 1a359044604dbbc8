//! The epoch that ends the keys of a burn (protocol §2.14). Whoever burns makes it at once, as
//! the next envelope after its BURN. It can be missing all the same: two people voted for
//! burning something common and neither knew of the other, or the author was removed and the
//! cut-off lies between the two. Then somebody else burns the same once more.

use ajar_crypto::Entropy;
use ajar_protocol::burn::Burn;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::epoch::EpochReason;
use ajar_protocol::{DeviceId, DocId, Frontier, limits};

use crate::burning::Burning;
use crate::clock::Now;
use crate::documents::{Owner, owner};
use crate::error::{EngineError, Misuse};
use crate::inbox::Plain;
use crate::replica::Replica;
use crate::store::Store;

/// How long the epoch may take to come after its BURN, in ms.
const ANSWERED_WITHIN_MS: i64 = 60_000;
/// Epochs of burns that are looked at, the newest.
const LOOKED_AT: usize = 64;

impl<S: Store> Replica<S> {
    /// Places of epochs that were made for burns and count, the newest first.
    fn answers(&self) -> Vec<(DeviceId, u64)> {
        let epochs = self.epochs.all().map(|(_, epoch)| epoch);
        let mut burns: Vec<_> = epochs
            .filter(|epoch| epoch.reason == EpochReason::Burn)
            .filter(|epoch| !self.space.is_cut_off(&epoch.device, epoch.counter))
            .collect();
        burns.sort_by_key(|epoch| std::cmp::Reverse(epoch.number));
        let places = burns.iter().map(|epoch| (epoch.device, epoch.counter));
        places.take(LOOKED_AT).collect()
    }

    /// Whether the epoch of a burn is here.
    pub(crate) fn is_answered(&self, burn: &Burning) -> bool {
        self.answers().contains(&(burn.device, burn.counter + 1))
    }

    /// Whether a snapshot with this cover can end a burn: it knows the epoch.
    pub(crate) fn is_answered_within(&self, burn: &Burning, cover: &Frontier) -> bool {
        cover.counter(&burn.device) > burn.counter && self.is_answered(burn)
    }

    /// Which of two votes came last, devices may see differently. What counts is the one that
    /// the epoch follows.
    pub(crate) fn settle_burns(&mut self) -> Result<(), EngineError> {
        let is_open = |burn: &Burning| !burn.done && !self.is_answered(burn);
        let open: Vec<usize> = (0..self.folded.burns.len())
            .filter(|n| self.folded.burns.get(*n).is_some_and(is_open))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        for (device, counter) in self.answers() {
            let Some(named) = self.burn_at(&device, counter - 1)? else {
                continue;
            };
            for n in &open {
                if let Some(burn) = self.folded.burns.get_mut(*n)
                    && burn.docs.iter().all(|doc| named.docs.contains(doc))
                {
                    (burn.device, burn.counter) = (device, counter - 1);
                    self.folded.touch();
                }
            }
        }
        Ok(())
    }

    /// The BURN at a place, if there is one.
    fn burn_at(&mut self, device: &DeviceId, counter: u64) -> Result<Option<Burn>, EngineError> {
        let envelope = self.stored_envelope(device, counter)?;
        let Some(envelope) = envelope.filter(|one| one.header().kind == EnvelopeType::Burn) else {
            return Ok(None);
        };
        let Some((_, seqs, verified)) = self.verify_again(envelope)? else {
            return Ok(None);
        };
        Ok(match self.open_plain(&seqs, &verified) {
            Plain::Content(content) => Burn::decode(&content).ok(),
            _ => None,
        })
    }

    /// A burn without its epoch that this device is to burn once more: what is common, the first
    /// device of the lower party; what a removed device burned, the first of its person.
    fn unanswered(&self, now: Now) -> Option<Vec<DocId>> {
        let active = self.active_devices();
        let place = |device: &DeviceId| self.space.device(device).map(|(place, _)| place);
        let is_first_of = |party: usize| {
            let of_party = active.iter().filter(|device| place(device) == Some(party));
            party == self.space.place && of_party.min() == Some(&self.space.device)
        };
        let mut open = self.pending_burns().filter(|burn| {
            let is_late = now.wall_ms.saturating_sub(burn.at_ms) >= ANSWERED_WITHIN_MS;
            let is_ours = match burn.is_common() {
                true => is_first_of(0),
                false => {
                    !active.contains(&burn.device) && place(&burn.device).is_some_and(is_first_of)
                }
            };
            is_late && is_ours
        });
        let burn = open.find(|burn| !self.is_answered(burn))?;
        let ours = |doc: &DocId| match owner(doc) {
            Some(Owner::Common) => true,
            owner => owner == Some(Owner::Party(self.space.place)),
        };
        let docs: Vec<DocId> = burn.docs.iter().copied().filter(ours).collect();
        (!docs.is_empty()).then_some(docs)
    }

    /// Whether this device is to burn once more what was burned without ending the keys.
    pub(crate) fn owes_answer(&self, now: Now) -> bool {
        self.unanswered(now).is_some()
    }

    /// Ends the keys of a burn that nobody ended.
    pub(crate) fn answer_burn(
        &mut self,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), EngineError> {
        let Some(docs) = self.unanswered(now) else {
            return Ok(());
        };
        let again = Burn {
            claimed_time_ms: now.wall_ms,
            docs: docs.iter().copied().take(limits::DOCS_PER_BURN).collect(),
            blobs: Vec::new(),
        };
        let content = again.encode().map_err(|_| Misuse::LimitReached)?;
        let envelope = self.seal(now, entropy, EnvelopeType::Burn, &content)?;
        let (device, counter) = (self.space.device, envelope.header().counter);
        for burn in &mut self.folded.burns {
            if !burn.done && burn.docs.iter().any(|doc| docs.contains(doc)) {
                (burn.device, burn.counter) = (device, counter);
            }
        }
        self.folded.touch();
        self.new_epoch(now, entropy, Some(EpochReason::Burn))
    }
}
