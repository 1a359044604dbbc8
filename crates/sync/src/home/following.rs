//! Following what a person's own other devices have decided: that the shared space was left
//! quietly, and that a space has moved to another relay. It is looked at on the thread of the
//! space that says so, the moment it arrives, and once more when the space is opened.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ajar_engine::{Ownership, Replica};
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::{DocId, SpaceId};

use super::held::Held;
use super::records::{HOME, read_home};
use super::relays::{RELAY, follow_note};
use super::{Home, mode};
use crate::error::Error;
use crate::space::Space;
use crate::store::SealedStore;

/// What following needs of a home, without keeping it open.
#[derive(Clone)]
struct Reach {
    shared: Weak<Held>,
    private: Weak<Held>,
    spaces: Weak<Mutex<Vec<Space>>>,
}

impl Reach {
    /// The handle of an open space. Whoever drops it last ends a thread: it goes back to a
    /// list, never to a lock that is waited for.
    fn space(&self, kind: SpaceKind) -> Option<Space> {
        let spaces = self.spaces.upgrade()?;
        let spaces = spaces.lock().unwrap_or_else(PoisonError::into_inner);
        spaces.iter().find(|space| space.kind() == kind).cloned()
    }

    fn reroute(&self, kind: SpaceKind) {
        if let Some(space) = self.space(kind) {
            space.reroute();
        }
    }

    /// Follows the record about the shared space. `shared` is the space that is here.
    fn left(&self, replica: &mut Replica<SealedStore>, shared: Option<SpaceId>) {
        let id = replica.named_document_id(Ownership::Mine, HOME);
        let Ok(doc) = replica.document(&id) else {
            return;
        };
        let record = read_home(doc);
        if !record.left_quietly || record.shared.is_none() || record.shared != shared {
            return;
        }
        let Some(keys) = self.shared.upgrade().and_then(|held| held.get()) else {
            return;
        };
        if keys.read(|keys| keys.mode) == mode::LEFT {
            return;
        }
        // Even when it cannot be written down: the next opening reads the record again.
        if keys.insist(|keys| keys.mode = mode::LEFT).is_err() {
            tracing::warn!("leaving could not be written down");
        }
        self.reroute(SpaceKind::Shared);
    }

    /// Follows the person's own word about the relay of a space.
    fn moved(&self, kind: SpaceKind, replica: &mut Replica<SealedStore>) -> bool {
        let held = match kind {
            SpaceKind::Private => &self.private,
            SpaceKind::Shared => &self.shared,
        };
        let Some(keys) = held.upgrade().and_then(|held| held.get()) else {
            return false;
        };
        match follow_note(replica, &keys) {
            Ok(false) => false,
            Ok(true) => {
                self.reroute(kind);
                true
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "another relay could not be followed");
                false
            }
        }
    }
}

impl Home {
    fn reach(&self) -> Reach {
        Reach {
            shared: Arc::downgrade(&self.inner.shared),
            private: Arc::downgrade(&self.inner.private),
            spaces: Arc::downgrade(&self.inner.spaces),
        }
    }

    /// Listens to the open spaces, and catches up with what they say already. Nothing of it
    /// keeps a home from opening.
    pub(super) fn heed(&self) {
        let shared = self.shared_id();
        for space in self.spaces() {
            let (kind, reach) = (space.kind(), self.reach());
            let heeded = space.unnoticed().worker().call(move |core| {
                if kind == SpaceKind::Private {
                    reach.left(&mut core.replica, shared);
                }
                reach.moved(kind, &mut core.replica);
                core.heed = Some(Arc::new(move |replica, docs: &[DocId]| {
                    let named = |name| replica.named_document_id(Ownership::Mine, name);
                    let (home, relay) = (named(HOME), named(RELAY));
                    if kind == SpaceKind::Private && docs.contains(&home) {
                        reach.left(replica, shared);
                    }
                    if docs.contains(&relay) {
                        reach.moved(kind, replica);
                    }
                }));
            });
            if let Err(error) = heeded {
                tracing::warn!(code = error.code(), "own devices are not followed");
            }
        }
        if let Err(error) = self.tell_that_we_left() {
            tracing::warn!(code = error.code(), "own devices are not told of leaving");
        }
    }

    /// Id of the shared space that is here.
    pub(super) fn shared_id(&self) -> Option<SpaceId> {
        let space = self.space(SpaceKind::Shared).ok()?.unnoticed();
        space.worker().call(|core| core.replica.space_id()).ok()
    }

    /// Goes to the relays that another own device has moved the spaces to, and says which
    /// spaces went. It happens by itself whenever such a word arrives; nothing needs to call
    /// this.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn follow_own_relay(&self) -> Result<Vec<SpaceKind>, Error> {
        let mut moved = Vec::new();
        for space in self.spaces() {
            let (kind, reach) = (space.kind(), self.reach());
            let went = space
                .unnoticed()
                .worker()
                .call(move |core| reach.moved(kind, &mut core.replica))?;
            if went {
                moved.push(kind);
            }
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use ajar_crypto::RecoveryPhrase;
    use ajar_crypto::vault::{KdfParams, Passphrase};
    use ajar_engine::membership::NewHalf;
    use ajar_engine::pairing::{OwnHalf, verdict};
    use ajar_engine::store::MemoryStore;
    use ajar_protocol::Frontier;
    use ajar_protocol::address::RelayAddress;
    use ajar_protocol::client_msg::ClientMsg;
    use ajar_protocol::relay_msg::RelayMsg;
    use automerge::ROOT;
    use automerge::transaction::{Transactable, Transaction};

    use super::*;
    use crate::clock;
    use crate::home::{Builder, NewHome, Sharing, store_path};

    const WORDS: &str = "quiet harbor linen oak";
    const OWN: &str = "seven small brown owls";
    const THERE: &str = "ajar-relay:there:7#afnebgs2syrj5dz4zupz5q6zmxgtwtukkxe3ehbz6bvwcqb7k2dq";

    fn welcome() -> RelayMsg {
        RelayMsg::Welcome {
            permit: [0; 64],
            chains: Vec::new(),
            frontier: Frontier::default(),
        }
    }

    /// Ana's home, with Ben as partner, who never says anything.
    fn paired(dir: &std::path::Path) -> Home {
        let new = NewHome {
            name: "Ana".to_owned(),
            device: "laptop".to_owned(),
            relay: None,
        };
        let builder = Builder::new(dir)
            .with_passphrase(Passphrase::new(WORDS).unwrap())
            .with_private_passphrase(Passphrase::new(OWN).unwrap())
            .with_kdf(KdfParams::FLOOR);
        let (home, _) = builder.create(new).unwrap();
        let half = || {
            let phrase = RecoveryPhrase::generate(&mut clock::entropy()).unwrap();
            let slot = phrase.slot_keys(1).unwrap().public();
            OwnHalf::new(clock::now(), &mut clock::entropy(), &slot).unwrap()
        };
        let (ana, ben) = (half(), half());
        let (hers, his) = (ana.offer("Ana", None), ben.offer("Ben", None));
        let (ana, _) = ana.meet(&his).unwrap();
        let (ben, signature) = ben.meet(&hers).unwrap();
        drop(ben);
        let agreed = ana.sign(&signature).unwrap();
        let space = agreed.confirmed(&verdict(true)).unwrap();
        let path = store_path(dir, SpaceKind::Shared);
        let store = SealedStore::open(&path, home.inner.shared.get().unwrap()).unwrap();
        home.adopt(Replica::create(store, space).unwrap()).unwrap();
        home
    }

    /// Another device of Ana's in one of her spaces, linked over a relay that agrees to all.
    fn phone(space: &Space) -> Replica<MemoryStore> {
        let (half, pack) = space
            .worker()
            .call(|core| {
                let replica = &mut core.replica;
                let (now, entropy) = (clock::now(), &mut clock::entropy());
                let half = NewHalf::new(entropy, replica.link_offer()).unwrap();
                replica.connected([7; 32]);
                let online = vec![welcome(), RelayMsg::CaughtUp];
                replica.receive(now, online).unwrap();
                replica.propose_device(now, &half.request()).unwrap();
                let party = replica.own_party();
                let stored = RelayMsg::LinkStored { party, seq: 1 };
                replica.receive(now, vec![stored]).unwrap();
                replica.rotate(now, entropy).unwrap();
                let pack = replica.pack().unwrap();
                (half, pack)
            })
            .unwrap();
        Replica::create(MemoryStore::default(), half.take(&pack).unwrap()).unwrap()
    }

    /// The phone writes into a document that belongs to Ana, and the laptop receives it.
    fn says(
        phone: &mut Replica<MemoryStore>,
        laptop: &Space,
        name: &str,
        apply: impl FnOnce(&mut Transaction<'_>) -> Result<(), automerge::AutomergeError>,
    ) {
        let id = phone.named_document_id(Ownership::Mine, name);
        let (now, entropy) = (clock::now(), &mut clock::entropy());
        phone.change(now, entropy, id, apply).unwrap();
        phone.connected([7; 32]);
        let sent = phone.receive(now, vec![welcome()]).unwrap().send;
        let envelopes = sent.into_iter().filter_map(|message| match message {
            ClientMsg::Append(bytes) => Some(RelayMsg::Envelope(bytes)),
            _ => None,
        });
        // There is no snapshot to begin from.
        let envelopes: Vec<_> = [RelayMsg::Ready].into_iter().chain(envelopes).collect();
        assert!(envelopes.len() > 1);
        laptop
            .worker()
            .call(move |core| {
                let result = core.replica.receive(clock::now(), envelopes);
                core.step(result).unwrap();
            })
            .unwrap();
    }

    fn leaves(tx: &mut Transaction<'_>, space: &str) -> Result<(), automerge::AutomergeError> {
        tx.put(ROOT, "schema", 1_u64)?;
        tx.put(ROOT, "kind", "home")?;
        tx.put(ROOT, "shared", space)?;
        tx.put(ROOT, "left", "quiet")
    }

    #[test]
    fn what_was_left_on_the_phone_is_left_on_the_laptop() {
        let dir = tempfile::tempdir().unwrap();
        let home = paired(dir.path());
        let me = home.space(SpaceKind::Private).unwrap();
        let mut phone = phone(&me);
        // Another space than the one that is here, one had before perhaps.
        says(&mut phone, &me, HOME, |tx| leaves(tx, &"0".repeat(64)));
        assert_eq!(home.sharing().unwrap(), Sharing::Open);
        let us = home.shared_id().unwrap().to_hex();
        says(&mut phone, &me, HOME, |tx| leaves(tx, &us));
        assert_eq!(home.sharing().unwrap(), Sharing::Left);
        home.close().unwrap();
        // It holds while Only me is locked, and coming back needs Only me.
        let open = Builder::new(dir.path()).with_passphrase(Passphrase::new(WORDS).unwrap());
        let home = open.open().unwrap();
        assert_eq!(home.sharing().unwrap(), Sharing::Left);
        assert!(matches!(
            home.return_after_leaving(),
            Err(Error::PrivateLocked)
        ));
        home.unlock(&Passphrase::new(OWN).unwrap()).unwrap();
        home.return_after_leaving().unwrap();
        assert_eq!(home.sharing().unwrap(), Sharing::Open);
    }

    /// The phone's word arrived when Only me was open, and the disk was full.
    #[test]
    fn leaving_is_caught_up_with_when_only_me_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let home = paired(dir.path());
        let me = home.space(SpaceKind::Private).unwrap();
        let mut phone = phone(&me);
        let us = home.shared_id().unwrap().to_hex();
        let shared = home.inner.shared.take().unwrap();
        says(&mut phone, &me, HOME, |tx| leaves(tx, &us));
        home.inner.shared.put(shared);
        assert_eq!(home.sharing().unwrap(), Sharing::Open);
        home.lock_private().unwrap();
        home.unlock(&Passphrase::new(OWN).unwrap()).unwrap();
        assert_eq!(home.sharing().unwrap(), Sharing::Left);
    }

    #[test]
    fn the_laptop_goes_where_the_phone_went_once() {
        let dir = tempfile::tempdir().unwrap();
        let home = paired(dir.path());
        let there: RelayAddress = THERE.parse().unwrap();
        for kind in [SpaceKind::Shared, SpaceKind::Private] {
            let space = home.space(kind).unwrap();
            let mut phone = phone(&space);
            says(&mut phone, &space, RELAY, |tx| {
                tx.put(ROOT, "schema", 1_i64)?;
                tx.put(ROOT, "kind", RELAY)?;
                tx.put(ROOT, "address", THERE)?;
                tx.put(ROOT, "at_ms", 7_i64)
            });
            assert_eq!(home.relay_of(kind), Some(there.clone()), "{kind:?}");
        }
        // What the person decides here afterwards holds, also after opening anew.
        let mut here = there.clone();
        here.port = 8;
        home.set_relay(&here).unwrap();
        assert_eq!(home.follow_own_relay().unwrap(), []);
        home.close().unwrap();
        let builder = Builder::new(dir.path()).with_passphrase(Passphrase::new(WORDS).unwrap());
        let own = Passphrase::new(OWN).unwrap();
        let home = builder.with_private_passphrase(own).open().unwrap();
        assert_eq!(home.relay(), Some(here.clone()));
        assert_eq!(home.relay_of(SpaceKind::Private), Some(here));
    }
}
