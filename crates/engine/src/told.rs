//! What a link means for the people, as a notice (protocol §2.11).

use ajar_protocol::PartyId;
use ajar_protocol::link::{LeaveMode, Link, LinkBody};

use crate::clock::Now;
use crate::notice::{Notice, NoticeKind, Notices};
use crate::replica::Replica;
use crate::space::Space;
use crate::store::Store;

impl NoticeKind {
    /// What a link tells a person. The partner's words, and what the partner lets in of a lost
    /// device, are nobody else's business; who closes without a word is taken at it.
    pub(crate) fn of_link(body: &LinkBody, party: PartyId, seq: u64, ours: bool) -> Option<Self> {
        match body {
            LinkBody::DeviceAdd(_) => Some(Self::DeviceAdded { party, seq }),
            LinkBody::DeviceRevoke(_) => Some(Self::DeviceRemoved { party, seq }),
            LinkBody::Recover { .. } => Some(Self::Recovered { party, seq }),
            LinkBody::RootReplace { .. } => ours.then_some(Self::WordsReplaced { party, seq }),
            LinkBody::RevokeAmend(_) => ours.then_some(Self::CutoffRaised { party, seq }),
            LinkBody::Leave(mode) => {
                (ours || *mode == LeaveMode::Ended).then_some(Self::PartyLeft { party, seq })
            }
            LinkBody::Genesis { .. } | LinkBody::Policy { .. } => None,
        }
    }
}

impl<S: Store> Replica<S> {
    /// Tells what a link that was just accepted means for the people.
    pub(crate) fn tell_of_link(&mut self, now: Now, place: usize, seq: u64, body: &LinkBody) {
        let ours = place == self.space.place;
        let own_end =
            matches!(body, LinkBody::DeviceRevoke(cutoff) if cutoff.device == self.space.device);
        let told = NoticeKind::of_link(body, self.space.party_of(place), seq, ours);
        if let Some(kind) = told.filter(|_| !own_end) {
            self.notice(now, kind);
        }
        if self.is_removed() {
            self.notice(now, NoticeKind::OwnDeviceRemoved);
        } else {
            self.pending.notices |= self.notices.settle(&NoticeKind::OwnDeviceRemoved);
        }
    }
}

/// The notice that the device of a space that begins here was added to one that was there
/// before: what its owner's other devices show, it shows too. Whoever recovers has no device that
/// could have said that the partner recovered as well, so that is told with it.
pub(crate) fn own_addition(space: &Space) -> Notices {
    let mut notices = Notices::default();
    let own = space.device(&space.device);
    let link = own.and_then(|(place, device)| {
        let chain = space.chains.get(place)?;
        chain.links().get(usize::try_from(device.added).ok()?)
    });
    let mut tell = |link: &Link, ours| {
        let kind = NoticeKind::of_link(&link.body, link.party, link.seq, ours);
        let at_ms = i64::try_from(link.claimed_time_ms).unwrap_or(i64::MAX);
        if let Some(kind) = kind {
            notices.add(Notice { kind, at_ms });
        }
    };
    let is_recovery = |link: &&Link| matches!(link.body, LinkBody::Recover { .. });
    if link.filter(is_recovery).is_some() {
        let others = space.chains.iter().enumerate();
        let mut others = others.filter(|(place, _)| *place != space.place);
        let theirs = others
            .next()
            .map_or(&[] as &[Link], |(_, chain)| chain.links());
        if let Some(last) = theirs.iter().rev().find(is_recovery) {
            tell(last, false);
        }
    }
    if let Some(link) = link {
        tell(link, true);
    }
    notices
}
