//! A party whose devices have signed two lists (protocol §2.3): nothing that a device signs
//! changes its membership any more, until a link of the twelve words does.
//!
//! That the party is frozen is its notice, which stays until the words have decided. Links that
//! go on from the list here are only looked at, because the words may have been spoken on top of
//! them: then all of them count.

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::link::Link;
use ajar_protocol::{DeviceId, PartyChain, PartyId};

use crate::clock::Now;
use crate::error::EngineError;
use crate::notice::NoticeKind;
use crate::replica::Replica;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Whether two lists of a party's devices are signed, and its words have not decided.
    pub(crate) fn is_frozen(&self, party: PartyId) -> bool {
        let told = self.notices.all().iter();
        let fork = NoticeKind::ChainFork { party };
        told.map(|notice| notice.kind).any(|kind| kind == fork)
    }

    /// Whether a link would go on from the chain of a party that is frozen.
    pub(crate) fn is_held_back(&self, link: &Link) -> bool {
        let of = |chain: &&PartyChain| chain.id() == link.party;
        let chain = self.space.chains.iter().find(of);
        chain.is_some_and(|chain| link.seq >= chain.next_seq()) && self.is_frozen(link.party)
    }

    /// Takes a link that is held back, and with it all before it, if the words signed it.
    pub(crate) fn take_held_back(
        &mut self,
        now: Now,
        link: Link,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let party = link.party;
        let of = |chain: &&PartyChain| chain.id() == party;
        let (Some(ours), Ok(_)) = (
            self.space.chains.iter().find(of).cloned(),
            self.space.place_for(&link),
        ) else {
            self.count_damaged(now);
            return Ok(());
        };
        let held = self.uplink.as_mut();
        let held = held.and_then(|uplink| uplink.held_back.remove(&party));
        let mut longer = held.unwrap_or_else(|| ours.clone());
        // The words outrank what is held back as they outrank what counts.
        let taken = longer.append(link.clone()).is_ok() || {
            let outranked = longer.outranked_by(link);
            outranked.map(|chain| longer = chain).is_ok()
        };
        let by_words = taken && {
            let last = longer.links().last();
            last.is_some_and(|last| longer.device(&DeviceId(last.signer)).is_none())
        };
        if !by_words {
            if let Some(uplink) = &mut self.uplink {
                uplink.held_back.insert(party, longer);
            }
            return Ok(());
        }
        let known = usize::try_from(ours.next_seq()).unwrap_or(usize::MAX);
        for link in longer.links().iter().skip(known) {
            let Ok((place, _)) = self.space.append(link.clone()) else {
                return Err(EngineError::Bug("links that were held back do not follow"));
            };
            self.appended(now, place, link)?;
        }
        self.pending.notices |= self.notices.settle_chain_fork(&party);
        self.forget_refusals(&party);
        // What devices wrote that stood in no chain here was not kept.
        self.subscribe_anew(send);
        Ok(())
    }
}
