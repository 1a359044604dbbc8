//! A link of the twelve words that outranks what stands in its place (protocol §2.3): the
//! links of devices from there on are void, and so is all that came of them. Everyone who has
//! the link comes to the same, whether they ever saw what it voids or not.

use std::collections::BTreeSet;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::envelope::EnvelopeType;
use ajar_protocol::genesis::membership_seqs;
use ajar_protocol::link::Cutoff;
use ajar_protocol::{DeviceId, Frontier, PartyChain};

use crate::clock::Now;
use crate::error::EngineError;
use crate::inbox::Opened;
use crate::rebuild::Touched;
use crate::replica::Replica;
use crate::store::{Key, Store};

impl<S: Store> Replica<S> {
    /// Puts `chain`, which ends with the link that outranks, in the place of what was there.
    /// Everything happens in the pending batch.
    pub(crate) fn replace_chain(
        &mut self,
        now: Now,
        place: usize,
        chain: PartyChain,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let Some(old) = self.space.chains.get(place).cloned() else {
            return Err(EngineError::Bug("no chain to replace"));
        };
        let Some(link) = chain.links().last().cloned() else {
            return Err(EngineError::Bug("a chain without links"));
        };
        let party = chain.id();
        let own = self.space.device;
        let was_outside = self.space.is_outside();
        let goes =
            |device: &DeviceId| old.device(device).is_some() && chain.device(device).is_none();
        // A home that is itself taken out keeps all that it had, to read.
        let outside = was_outside || goes(&own);
        let gone: Vec<DeviceId> = old
            .devices()
            .map(|(id, _)| *id)
            .filter(|id| goes(id))
            .collect();
        let mut touched = Touched::default();
        if !outside {
            // With the old chain still there: it says whose envelopes these are.
            for device in &gone {
                touched.extend(self.take_out(device, 0)?);
            }
        }
        for (key, bytes) in replaced_links(&old, &chain) {
            match bytes {
                Some(bytes) => self.pending.batch.put(key, bytes),
                None => self.pending.batch.delete(key),
            }
        }
        if let Some(slot) = self.space.chains.get_mut(place) {
            *slot = chain;
        }
        let epochs = self.meta.epochs.clone();
        self.meta.retain_epochs(|device, _| !gone.contains(device));
        if !outside {
            for (device, counter) in epochs.iter().filter(|(device, _)| gone.contains(device)) {
                self.pending.batch.delete(Key::Envelope(*device, *counter));
            }
            for device in &gone {
                self.forget(device);
            }
        }
        let kept = self.kept_envelopes()?;
        let is_epoch = |(_, _, kind): &&(DeviceId, u64, EnvelopeType)| *kind == EnvelopeType::Epoch;
        let mut kept_epochs: Vec<(DeviceId, u64)> = kept
            .iter()
            .filter(is_epoch)
            .map(|(d, c, _)| (*d, *c))
            .collect();
        // Those beyond a cut-off are in no frontier.
        let known: BTreeSet<_> = kept_epochs.iter().copied().collect();
        let beyond = self.meta.epochs.iter().filter(|one| !known.contains(one));
        kept_epochs.extend(beyond.copied());
        self.rejudge_epochs(now, &kept_epochs)?;
        if !outside {
            let cutoffs = self.lift_void_cutoffs(place, &old);
            touched.extend(self.cut(now, &cutoffs)?);
            self.remake(now, touched)?;
            self.defer_what_counts_now(&kept, (place, link.seq))?;
        }
        self.pending.meta = true;
        self.pending.progress = true;
        self.pending.notices |= self.notices.settle_chain_fork(&party);
        self.tell_link(now, place, &link);
        self.place_taken(party, u64::MAX, link.hash());
        self.settle(now)?;
        self.try_deferred(now)?;
        self.forget_refusals(&party);
        self.subscribe_anew(send);
        Ok(())
    }

    /// Forgets a device that was never in any chain.
    fn forget(&mut self, device: &DeviceId) {
        self.parked.remove(device);
        self.progress.heard.remove(device);
        let acked = self.progress.acked.rows().filter(|(d, _)| *d != device);
        self.progress.acked = acked.map(|(d, p)| (*d, *p)).collect::<Frontier>();
        self.meta.forked.remove(device);
        self.meta.deferred.retain(|(author, _)| author != device);
        self.meta.quarantined.retain(|(author, _)| author != device);
        self.pending.notices |= self.notices.settle_withheld(device);
    }

    /// Places and kinds of all envelopes up to the frontier, of devices that are in a chain.
    fn kept_envelopes(&mut self) -> Result<Vec<(DeviceId, u64, EnvelopeType)>, EngineError> {
        let rows: Vec<(DeviceId, u64)> = self
            .progress
            .frontier
            .rows()
            .filter(|(device, _)| self.space.device(device).is_some())
            .map(|(device, last)| (*device, last.counter))
            .collect();
        let mut kept = Vec::new();
        for (device, last) in rows {
            for counter in self.folded.floors.counter(&device) + 1..=last {
                let envelope = self.stored_envelope(&device, counter)?;
                kept.extend(envelope.map(|envelope| (device, counter, envelope.header().kind)));
            }
        }
        Ok(kept)
    }

    /// Cut-offs of the chain at `place` as it is now. What only those of the old one said about
    /// a device is taken back.
    fn lift_void_cutoffs(&mut self, place: usize, old: &PartyChain) -> Vec<Cutoff> {
        let mut cutoffs = Vec::new();
        let mut lifted = Vec::new();
        for (id, device) in self
            .space
            .chains
            .get(place)
            .into_iter()
            .flat_map(PartyChain::devices)
        {
            let now = device.revoked.map(|revocation| revocation.cutoff);
            cutoffs.extend(now);
            let before = old.device(id).and_then(|device| device.revoked);
            let before = before.map(|revocation| revocation.cutoff);
            if let Some(before) = before.filter(|before| Some(*before) != now) {
                lifted.push((*id, before.counter));
            }
        }
        for (device, counter) in lifted {
            if self.meta.forked.get(&device) == Some(&counter) {
                self.meta.forked.remove(&device);
            }
            self.pending.notices |= self.notices.settle_forked(&device, counter);
        }
        cutoffs
    }

    /// Whether the verdict on a kept envelope may be another one now that links from `seq` on
    /// were replaced in the chain at `place`.
    fn is_affected(
        &mut self,
        device: &DeviceId,
        counter: u64,
        (place, seq): (usize, u64),
    ) -> Result<bool, EngineError> {
        let envelope = self.stored_envelope(device, counter)?;
        Ok(envelope.is_some_and(|envelope| {
            let header = envelope.header();
            let (lower, higher) = membership_seqs(&header.mhead);
            let named = [lower, higher].get(place).copied();
            named >= Some(seq) || self.epochs.get(&header.epoch).is_none()
        }))
    }

    /// Content that was left out, but would not be by someone who never saw the void links,
    /// waits in its place and is tried again.
    fn defer_what_counts_now(
        &mut self,
        kept: &[(DeviceId, u64, EnvelopeType)],
        replaced: (usize, u64),
    ) -> Result<(), EngineError> {
        for (device, counter, kind) in kept {
            let waits = self.meta.deferred.contains(&(*device, *counter));
            if waits || *kind != EnvelopeType::Changes {
                continue;
            }
            if !self.is_affected(device, *counter, replaced)? {
                continue;
            }
            let counts = match self.open_again(device, *counter)? {
                Some((_, Opened::Content(content))) => !self.is_in_documents(&content)?,
                Some((_, Opened::Early)) => true,
                Some((_, Opened::Refused)) | None => false,
            };
            if counts {
                self.defer(*device, *counter);
            }
        }
        Ok(())
    }
}

/// What changes among the records of a chain whose end is replaced.
fn replaced_links(old: &PartyChain, new: &PartyChain) -> Vec<(Key, Option<Vec<u8>>)> {
    let party = new.id();
    let put = new
        .links()
        .iter()
        .filter(|link| old.head_at(link.seq) != Some(link.hash()));
    let put = put.map(|link| (Key::Link(party, link.seq), Some(link.as_bytes().to_vec())));
    let delete = new.next_seq()..old.next_seq();
    put.chain(delete.map(|seq| (Key::Link(party, seq), None)))
        .collect()
}
