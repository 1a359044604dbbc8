//! A relay that lies, on real QUIC: it lets in devices that were removed and keeps their removal
//! from them; it stands between two devices that meet through a code; and it does to what it
//! forwards whatever it is told to ([`Twists`]).

mod ghost;
mod held;
mod mailbox;
mod peer;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::{DeviceId, SpaceId};
use ed25519_dalek::SigningKey;
use quinn::Endpoint;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use held::Held;
use peer::{Peer, SEED};

/// Which of two devices that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that shows the code.
    Shower,
    /// The one on which it is typed.
    Enterer,
}

/// What the relay does to what it forwards. By itself nothing.
#[derive(Clone, Debug, Default)]
pub struct Twists {
    /// Envelopes that some are not shown.
    pub hidden: Vec<Hidden>,
    /// Every envelope comes so many times more.
    pub repeats: usize,
    /// Envelopes come in an order of this seed.
    pub shuffled: Option<u64>,
    /// Every envelope comes with one bit changed.
    pub damaged: bool,
    /// What it says it holds of every device, instead of the truth.
    pub claims: Option<u64>,
    /// Says that it keeps what it is given, and does not.
    pub forgets: bool,
    /// Links that it shows besides those that it was given.
    pub links: Vec<Vec<u8>>,
    /// Says that every code is for the other purpose.
    pub other_purpose: bool,
}

/// Envelopes that a relay hides.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// Of this device,
    pub of: DeviceId,
    /// from this counter on,
    pub from: u64,
    /// so many,
    pub count: u64,
    /// to these.
    pub to: BTreeSet<DeviceId>,
}

/// All that a relay held at some time.
pub struct Past(BTreeMap<SpaceId, Held>);

/// A relay that lies, on the loopback. It ends when dropped.
pub struct Liar {
    address: RelayAddress,
    lies: Arc<Lies>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Lies {
    /// Whether it stands between those who meet.
    between: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nameplates: u32,
    mailboxes: BTreeMap<u32, oneshot::Sender<Peer>>,
    /// Size of each mailbox message that was sent.
    sent: Vec<(Side, usize)>,
    spaces: BTreeMap<SpaceId, Held>,
    /// Every login, in order.
    logins: Vec<DeviceId>,
    /// Devices that logged in after they were removed.
    let_in: Vec<DeviceId>,
    twists: Twists,
}

impl Liar {
    /// Lets everybody in who ever was a device, and never tells one that it was removed.
    #[must_use]
    pub fn lets_everybody_in() -> Self {
        Self::start(false)
    }

    /// Makes an exchange of its own with each of two devices that meet through a code.
    #[must_use]
    pub fn stands_between() -> Self {
        Self::start(true)
    }

    fn start(between: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let lies = Arc::new(Lies {
            between,
            ..Lies::default()
        });
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let inside = runtime.enter();
        let endpoint = Endpoint::server(peer::config(), place).unwrap();
        drop(inside);
        let address = RelayAddress {
            host: "127.0.0.1".to_owned(),
            port: endpoint.local_addr().unwrap().port(),
            key: SigningKey::from_bytes(&SEED).verifying_key().to_bytes(),
            claim: Some([9; 16]),
        };
        let serving = Arc::clone(&lies);
        runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let lies = Arc::clone(&serving);
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else {
                        return;
                    };
                    if let Ok((send, recv)) = connection.accept_bi().await {
                        lies.serve(Peer::new(connection, send, recv)).await;
                    }
                });
            }
        });
        Self {
            address,
            lies,
            _runtime: runtime,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.lies.state.lock().unwrap()
    }

    /// Its address, with a claim.
    #[must_use]
    pub fn invite(&self) -> String {
        self.address.to_string()
    }

    /// From now on it does this.
    pub fn twist(&self, twists: Twists) {
        self.state().twists = twists;
    }

    /// From now on it is an honest relay.
    pub fn is_honest(&self) {
        self.twist(Twists::default());
    }

    /// The devices that log in while something is done, in every space.
    pub fn who(&self, does: impl FnOnce()) -> BTreeSet<DeviceId> {
        let before = self.state().logins.len();
        does();
        self.state().logins.iter().skip(before).copied().collect()
    }

    /// How much it holds of a device: the highest counter.
    #[must_use]
    pub fn newest(&self, of: &DeviceId) -> u64 {
        let state = self.state();
        let counters = state.spaces.values().map(|held| held.counter(of));
        counters.max().unwrap_or(0)
    }

    /// From now on it hides the next so many envelopes of each of some devices from others.
    pub fn hides_next(&self, count: u64, of: &BTreeSet<DeviceId>, to: &BTreeSet<DeviceId>) {
        let hidden = of.iter().map(|of| Hidden {
            of: *of,
            from: self.newest(of) + 1,
            count,
            to: to.clone(),
        });
        let hidden = hidden.collect();
        self.twist(Twists {
            hidden,
            ..Twists::default()
        });
    }

    /// Lengths of all envelopes of one type, in the order in which they came.
    #[must_use]
    pub fn sizes(&self, kind: u8) -> Vec<usize> {
        let state = self.state();
        let envelopes = state.spaces.values().flat_map(|held| &held.envelopes);
        let of_kind = envelopes.filter(|bytes| bytes.get(1) == Some(&kind));
        of_kind.map(Vec::len).collect()
    }

    /// For every list of devices that it holds, a link that adds a device of its own: signed by
    /// that device, and signed by it in the name of one that is in the list.
    #[must_use]
    pub fn links_of_its_own(&self) -> Vec<Vec<u8>> {
        let state = self.state();
        let chains = state.spaces.values().flat_map(|held| &held.chains);
        chains.flat_map(ghost::links).collect()
    }

    /// All that it holds.
    #[must_use]
    pub fn past(&self) -> Past {
        Past(self.state().spaces.clone())
    }

    /// Goes back to a past, and hands out the present as another one.
    #[must_use]
    pub fn goes_back(&self, past: Past) -> Past {
        Past(std::mem::replace(&mut self.state().spaces, past.0))
    }

    /// Size of each mailbox message so far, and who sent it.
    #[must_use]
    pub fn mailbox(&self) -> Vec<(Side, usize)> {
        self.state().sent.clone()
    }

    /// How often a device was let in after its removal.
    #[must_use]
    pub fn let_in(&self) -> usize {
        self.state().let_in.len()
    }

    /// Envelopes that are kept from devices after their removal: the relay holds them, and
    /// honest devices should not take them.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.state().spaces.values().map(Held::beyond).sum()
    }
}

impl Lies {
    async fn serve(self: Arc<Self>, mut peer: Peer) {
        match peer.hear().await {
            Some(ClientMsg::MailboxOpen(purpose)) => self.open(peer, purpose).await,
            Some(ClientMsg::MailboxJoin(nameplate)) => self.join(peer, nameplate).await,
            Some(first) => self.space(peer, first).await,
            None => {}
        }
    }
}
