//! How a space becomes known here: its signed genesis, a claim or an earlier permit, and the
//! chains of its parties (protocol §2.8).

use std::sync::Arc;

use ajar_protocol::auth::verify_permit;
use ajar_protocol::client_msg::Credential;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Link, PartyChain, PartyId, SpaceGenesis, SpaceId};
use tokio::sync::{mpsc, oneshot};

use crate::claims::claim_hash;
use crate::relay::Relay;
use crate::session::blocking;
use crate::space::{Space, Waiter, party_of};
use crate::storage::{StoreError, Write};

/// Bytes of links that a space may bring before it is known.
const LINK_BYTES: usize = 8 << 20;

/// Where an introduction stands.
enum Stage {
    /// Links are gathered until every party has its GENESIS.
    Gathering {
        chains: Vec<(PartyId, Option<PartyChain>)>,
        bytes: usize,
    },
    /// The space is known; further links are appended as by a member.
    Known(Arc<Space>),
}

/// An introduction whose credential was good.
pub(crate) struct Introduction<'a> {
    relay: &'a Arc<Relay>,
    genesis: SpaceGenesis,
    credential: Credential,
    stage: Stage,
}

fn unavailable(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "storage failed during an admission");
    match error {
        StoreError::DiskFull => Refusal::DiskFull,
        _ => Refusal::Unavailable,
    }
}

/// Spaces that a claim still admits. Blocks for the file system and storage.
fn claim_left(relay: &Relay, hash: &[u8; 32]) -> Result<(u32, u32), StoreError> {
    let uses = relay.store.claim_uses(hash)?.unwrap_or(0);
    let spaces = relay
        .claims
        .spaces(hash)
        .map_err(|e| StoreError::Failed(e.to_string()))?;
    Ok((uses, spaces.unwrap_or(0)))
}

impl<'a> Introduction<'a> {
    /// Checks the credential. A space that is known already costs nothing: any permit of this
    /// relay for it, or any claim that was ever good, will do; the login decides.
    pub(crate) async fn begin(
        relay: &'a Arc<Relay>,
        genesis: &[u8],
        credential: Credential,
    ) -> Result<Introduction<'a>, Refusal> {
        let genesis = SpaceGenesis::parse(genesis).map_err(|_| Refusal::Violation)?;
        let space = genesis.id();
        let good = match credential {
            Credential::Permit(permit) => {
                verify_permit(&relay.identity.public(), &space, &permit).is_ok()
            }
            Credential::Claim(claim) => {
                let (inner, hash) = (Arc::clone(relay), claim_hash(&claim));
                let (uses, spaces, known) = blocking(move || {
                    let (uses, spaces) = claim_left(&inner, &hash)?;
                    Ok((uses, spaces, inner.store.genesis(&space)?.is_some()))
                })
                .await
                .map_err(|e| unavailable(&e))?;
                uses < spaces || (known && uses > 0)
            }
        };
        if !good {
            return Err(Refusal::BadCredential);
        }
        let parties = genesis.parties();
        let stage = match open(relay, space).await? {
            Some(space) => Stage::Known(space),
            None => Stage::Gathering {
                chains: parties.into_iter().map(|party| (party, None)).collect(),
                bytes: 0,
            },
        };
        Ok(Self {
            relay,
            genesis,
            credential,
            stage,
        })
    }

    /// Permit for the space being introduced.
    pub(crate) fn permit(&self) -> [u8; 64] {
        self.relay.identity.permit(&self.genesis.id())
    }

    /// Takes a link; returns what to say now. Links gathered before the space is known are
    /// answered together once it is.
    pub(crate) async fn link(&mut self, bytes: &[u8]) -> Result<Vec<RelayMsg>, Refusal> {
        let link = Link::parse(bytes).map_err(|_| Refusal::Violation)?;
        match &mut self.stage {
            Stage::Known(space) => {
                let answer = append(space, link).await?;
                Ok(vec![answer])
            }
            Stage::Gathering { chains, bytes: sum } => {
                *sum += bytes.len();
                if *sum > LINK_BYTES {
                    return Err(Refusal::Quota);
                }
                gather(chains, link)?;
                if chains.iter().any(|(_, chain)| chain.is_none()) {
                    return Ok(Vec::new());
                }
                let chains: Vec<PartyChain> = std::mem::take(chains)
                    .into_iter()
                    .filter_map(|(_, chain)| chain)
                    .collect();
                self.admit(chains).await
            }
        }
    }

    /// Makes the space known: genesis, links and the use of the claim in one commit.
    async fn admit(&mut self, chains: Vec<PartyChain>) -> Result<Vec<RelayMsg>, Refusal> {
        let order: Vec<&PartyChain> = chains.iter().collect();
        self.genesis
            .verify(&order)
            .map_err(|_| Refusal::Violation)?;
        let space = self.genesis.id();
        let relay = self.relay;
        let alone = relay.admissions.lock().await;
        if let Some(known) = open(relay, space).await? {
            // Another device was faster.
            drop(alone);
            let mut answers = Vec::new();
            for link in chains.iter().flat_map(PartyChain::links) {
                answers.push(append(&known, link.clone()).await?);
            }
            self.stage = Stage::Known(known);
            return Ok(answers);
        }
        let mut writes = vec![Write::Genesis {
            space,
            bytes: self.genesis.encode(),
        }];
        writes.extend(chains.iter().map(|chain| Write::Login {
            login: chain.root().login,
            space,
        }));
        let mut answers = Vec::new();
        for (party, link) in chains
            .iter()
            .flat_map(|chain| chain.links().iter().map(|link| (chain.id(), link)))
        {
            writes.push(Write::Link {
                space,
                party,
                seq: link.seq,
                bytes: link.as_bytes().to_vec(),
            });
            answers.push(RelayMsg::LinkStored {
                party,
                seq: link.seq,
            });
        }
        let mut used_up = None;
        if let Credential::Claim(claim) = self.credential {
            let (inner, hash) = (Arc::clone(relay), claim_hash(&claim));
            let (uses, spaces) = blocking(move || claim_left(&inner, &hash))
                .await
                .map_err(|e| unavailable(&e))?;
            if uses >= spaces {
                return Err(Refusal::BadCredential);
            }
            let uses = uses + 1;
            used_up = (uses == spaces).then_some(hash);
            writes.push(Write::ClaimUses { claim: hash, uses });
        }
        let (tell, told) = oneshot::channel();
        relay.store.commit(
            writes,
            Box::new(move |result| {
                // Nobody listens only when the connection has just been cut.
                let _ = tell.send(result);
            }),
        );
        told.await
            .unwrap_or_else(|_| Err(StoreError::Failed("a commit was dropped".to_owned())))
            .map_err(|e| unavailable(&e))?;
        if let Some(hash) = used_up
            && let Err(error) = relay.claims.remove(&hash)
        {
            tracing::warn!(%error, "a used claim could not be removed");
        }
        drop(alone);
        let known = open(relay, space).await?.ok_or(Refusal::Unavailable)?;
        self.stage = Stage::Known(known);
        tracing::info!("a space was admitted");
        Ok(answers)
    }
}

fn gather(chains: &mut [(PartyId, Option<PartyChain>)], link: Link) -> Result<(), Refusal> {
    let party = party_of(&link);
    let (_, chain) = chains
        .iter_mut()
        .find(|(id, _)| *id == party)
        .ok_or(Refusal::Violation)?;
    match chain {
        Some(chain) => {
            chain.append(link).map_err(|_| Refusal::Violation)?;
        }
        None => *chain = Some(PartyChain::start(link).map_err(|_| Refusal::Violation)?),
    }
    Ok(())
}

/// Opens a space off the reactor.
pub(crate) async fn open(
    relay: &Arc<Relay>,
    space: SpaceId,
) -> Result<Option<Arc<Space>>, Refusal> {
    let relay = Arc::clone(relay);
    blocking(move || relay.hub.open(&space))
        .await
        .map_err(|e| unavailable(&e))
}

/// Finds the space of a recovery login key, with its genesis.
pub(crate) async fn find(
    relay: &Arc<Relay>,
    login: [u8; 32],
) -> Result<Option<(SpaceId, Vec<u8>)>, Refusal> {
    let store = Arc::clone(&relay.store);
    blocking(move || {
        let Some(space) = store.login(&login)? else {
            return Ok(None);
        };
        let genesis = store.genesis(&space)?;
        Ok(genesis.map(|genesis| (space, genesis)))
    })
    .await
    .map_err(|e| unavailable(&e))
}

/// Appends a link outside of a session and waits for the answer.
async fn append(space: &Arc<Space>, link: Link) -> Result<RelayMsg, Refusal> {
    let (answers, mut answer) = mpsc::channel(1);
    let slot = answers.reserve_owned().await;
    let waiter = Waiter {
        slot: slot.map_err(|_| Refusal::Unavailable)?,
        budget: Vec::new(),
    };
    // No session has this number.
    space.append_link(link, waiter, None, u64::MAX);
    answer.recv().await.ok_or(Refusal::Unavailable)
}
