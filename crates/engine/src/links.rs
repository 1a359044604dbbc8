//! Receiving links: what extends a chain, what contradicts it, and how a replica learns of a
//! link of the twelve words that its relay has and it has not (protocol §2.3).

use ajar_protocol::PartyId;
use ajar_protocol::chain::{AppendOutcome, ChainError};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::link::{Link, LinkBody};

use crate::clock::Now;
use crate::error::EngineError;
use crate::notice::NoticeKind;
use crate::output::Event;
use crate::replica::Replica;
use crate::store::{Key, Store};

impl<S: Store> Replica<S> {
    /// Takes one party-chain link from the relay.
    pub(crate) fn take_link(
        &mut self,
        now: Now,
        bytes: &[u8],
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let Ok(link) = Link::parse(bytes) else {
            self.count_damaged(now);
            return Ok(());
        };
        if self.is_held_back(&link) {
            return self.take_held_back(now, link, send);
        }
        match self.space.append(link.clone()) {
            Ok((_, AppendOutcome::Known)) | Err(ChainError::Gap { .. }) => Ok(()),
            Ok((place, AppendOutcome::Appended)) => self.appended(now, place, &link),
            Err(error) => self.contradicted(now, link, &error, send),
        }
    }

    /// A link is the new head of its chain.
    pub(crate) fn appended(
        &mut self,
        now: Now,
        place: usize,
        link: &Link,
    ) -> Result<(), EngineError> {
        let party = self.space.party_of(place);
        let key = Key::Link(party, link.seq);
        self.pending.batch.put(key, link.as_bytes().to_vec());
        self.pending.meta = true;
        self.tell_link(now, place, link);
        self.place_taken(party, link.seq, link.hash());
        self.retry_orphans()?;
        match &link.body {
            LinkBody::DeviceRevoke(cutoff) => self.cut_off(now, &[*cutoff])?,
            LinkBody::Recover { revoked, .. } => self.cut_off(now, revoked)?,
            LinkBody::RevokeAmend(cutoff) => self.raise_cut_off(now, cutoff),
            _ => {}
        }
        self.settle(now)?;
        if self.caught_up() {
            self.try_deferred(now)?;
        }
        Ok(())
    }

    /// Tells what a link of the party at `place` says, which now counts.
    pub(crate) fn tell_link(&mut self, now: Now, place: usize, link: &Link) {
        self.tell_of_link(now, place, link.seq, &link.body);
        let party = self.space.party_of(place);
        self.pending.events.push(Event::Member { party });
    }

    /// A link does not fit its chain. It may be the one that outranks what stands there, or
    /// lie behind that one; it may be void itself; or it is proof of a fork.
    fn contradicted(
        &mut self,
        now: Now,
        link: Link,
        error: &ChainError,
        send: &mut Vec<ClientMsg>,
    ) -> Result<(), EngineError> {
        let (party, seq) = (link.party, link.seq);
        let chain = self.space.chains.iter().find(|chain| chain.id() == party);
        let elsewhere =
            chain.is_some_and(|chain| seq < chain.next_seq() || link.prev != chain.head());
        let fork = match error {
            ChainError::Fork { .. } => true,
            ChainError::NotAllowed if elsewhere => false,
            _ => {
                self.count_damaged(now);
                return Ok(());
            }
        };
        if fork && let Ok((place, chain)) = self.space.outranked_by(link.clone()) {
            return self.replace_chain(now, place, chain, send);
        }
        if fork && self.space.is_void(&link) {
            // The relay has not heard of our link of the twelve words, or lost it.
            self.repeat_links(party, seq, send);
            return Ok(());
        }
        if self.has_repeated_links(&party) || fork && self.space.is_decided(&link) {
            return Ok(());
        }
        // Only the whole chain that the relay has shows where it leaves ours.
        let asked = self.ask_for_links(party);
        if !fork {
            self.count_damaged(now);
        } else if !asked {
            self.keep_link_evidence(&link)?;
            self.notice(now, NoticeKind::ChainFork { party });
        }
        Ok(())
    }

    /// Sends our links from `seq` on, once on this connection.
    fn repeat_links(&mut self, party: PartyId, seq: u64, send: &mut Vec<ClientMsg>) {
        let Some(uplink) = &mut self.uplink else {
            return;
        };
        if !uplink.repeated_links.insert(party) {
            return;
        }
        let chains = self.space.chains.iter().filter(|chain| chain.id() == party);
        let links = chains.flat_map(|chain| chain.links().iter().filter(|link| link.seq >= seq));
        send.extend(links.map(|link| ClientMsg::AppendLink(link.as_bytes().to_vec())));
    }

    /// Whether what the relay says of a chain is void, because ours outranks it.
    fn has_repeated_links(&self, party: &PartyId) -> bool {
        let uplink = self.uplink.as_ref();
        uplink.is_some_and(|uplink| uplink.repeated_links.contains(party))
    }

    /// The relay is to be asked for a whole chain, once on this connection, so that one that
    /// lies cannot keep us asking. Returns whether it is asked now.
    pub(crate) fn ask_for_links(&mut self, party: PartyId) -> bool {
        let ours = self.space.chains.iter().any(|chain| chain.id() == party);
        let Some(uplink) = self.uplink.as_mut().filter(|_| ours) else {
            return false;
        };
        let first_time = uplink.asked_links.insert(party);
        if first_time {
            uplink.links_to_ask.insert(party);
        }
        first_time
    }
}
