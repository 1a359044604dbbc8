//! Spaces: who is let in, and what they are answered.

use ajar_protocol::auth::{Login, permit};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Frontier, Link, PartyChain, SpaceGenesis, label};
use ed25519_dalek::SigningKey;

use super::Lies;
use super::held::Held;
use super::peer::{Peer, SEED};

impl Lies {
    pub(super) async fn space(&self, mut peer: Peer, first: ClientMsg) {
        let mut next = Some(first);
        let mut introduced: Option<(SpaceGenesis, Vec<Link>)> = None;
        while let Some(message) = next {
            match message {
                ClientMsg::Introduce { genesis, .. } => {
                    introduced = Some((SpaceGenesis::parse(&genesis).unwrap(), Vec::new()));
                }
                ClientMsg::AppendLink(bytes) => {
                    let (_, links) = introduced.as_mut().unwrap();
                    links.push(Link::parse(&bytes).unwrap());
                }
                ClientMsg::Login(login) => {
                    if let Some((genesis, links)) = introduced {
                        self.admit(genesis, links);
                    }
                    return self.member(peer, login).await;
                }
                other => panic!("{other:?} before the login"),
            }
            next = peer.hear().await;
        }
    }

    fn admit(&self, genesis: SpaceGenesis, links: Vec<Link>) {
        let mut state = self.state.lock().unwrap();
        let (first, rest): (Vec<Link>, Vec<Link>) =
            links.into_iter().partition(|link| link.seq == 0);
        let held = state.spaces.entry(genesis.id()).or_insert_with(|| {
            let start = |link: Link| PartyChain::start(link).unwrap();
            Held {
                genesis,
                chains: first.into_iter().map(start).collect(),
                frontier: Frontier::default(),
                envelopes: Vec::new(),
            }
        });
        for link in rest {
            held.append_link(&link);
        }
    }

    async fn member(&self, mut peer: Peer, login: Login) {
        let key = SigningKey::from_bytes(&SEED);
        let mut exporter = [0; 32];
        peer.connection
            .export_keying_material(&mut exporter, label::EXPORTER, b"")
            .unwrap();
        login
            .verify(&key.verifying_key().to_bytes(), &exporter)
            .unwrap();
        let welcome = {
            let mut state = self.state.lock().unwrap();
            state.logins.push(login.device);
            let claims = state.twists.claims;
            let held = state.spaces.get(&login.space);
            let held = held.filter(|held| held.ever_knew(&login));
            let welcome = held.map(|held| RelayMsg::Welcome {
                permit: permit(&key, &held.genesis.id()),
                chains: held.positions(&login.device),
                frontier: held.claimed(claims),
            });
            if held.is_some_and(|held| held.is_removed(&login.device)) {
                state.let_in.push(login.device);
            }
            welcome
        };
        let Some(welcome) = welcome else {
            peer.say(&RelayMsg::Refused(Refusal::NotAdmitted)).await;
            return peer.stay().await;
        };
        peer.say(&welcome).await;
        while let Some(message) = peer.hear().await {
            for answer in self.answer(&login, message) {
                peer.say(&answer).await;
            }
        }
    }

    fn answer(&self, login: &Login, message: ClientMsg) -> Vec<RelayMsg> {
        let mut state = self.state.lock().unwrap();
        let twists = state.twists.clone();
        let held = state.spaces.get_mut(&login.space).unwrap();
        match message {
            ClientMsg::Subscribe { chains, frontier } => {
                held.show(&login.device, &chains, &frontier, &twists)
            }
            ClientMsg::Bootstrap => vec![RelayMsg::Ready],
            ClientMsg::Append(bytes) => vec![held.append(bytes, !twists.forgets)],
            ClientMsg::AppendLink(bytes) => vec![held.append_link(&Link::parse(&bytes).unwrap())],
            other => panic!("{other:?} after the login"),
        }
    }
}
