//! Pairing with the partner (protocol §2.9): the words that both people compare, and the new
//! space.

use std::time::Duration;

use ajar_engine::Replica;
use ajar_engine::pairing::{
    Agreed, FoundError, Met, OwnHalf, first_epoch, take_first_epoch, verdict,
};
use ajar_engine::replica::NewSpace;
use ajar_protocol::address::RelayAddress;
use ajar_protocol::mailbox::Purpose;

use crate::clock;
use crate::error::Error;
use crate::invitation::Invitation;
use crate::talk::{HANG_UP, MESSAGE, PairingCode, Talk, failed};

/// Time for people to compare six words.
const COMPARE: Duration = Duration::from_secs(600);

/// Who was found at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name that the partner goes by. It comes from the other device: neutralise it before
    /// showing it on a terminal.
    pub partner: String,
    /// Six words that must be the same on both screens.
    pub words: [&'static str; 6],
}

/// What pairing gives: the space to create, who is in it, and the conversation, which goes
/// on until the first epoch is on both sides.
pub(crate) struct Paired {
    pub(crate) space: NewSpace,
    pub(crate) found: Found,
    pub(crate) claim: Option<[u8; 16]>,
    pub(crate) talk: Talk,
    shower: bool,
}

/// Shows a code and waits for the partner.
pub(crate) async fn show(
    relay: &RelayAddress,
    own: OwnHalf,
    name: &str,
    on_code: impl FnOnce(PairingCode) + Send,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
) -> Result<Paired, Error> {
    let talk = Talk::show(relay, Purpose::PartnerLink, on_code).await?;
    agree(talk, own, name, relay.claim, confirm, true).await
}

/// Enters a code.
pub(crate) async fn enter(
    relay: &RelayAddress,
    invitation: &Invitation,
    own: OwnHalf,
    name: &str,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
) -> Result<Paired, Error> {
    let talk = Talk::enter(relay, Purpose::PartnerLink, invitation).await?;
    agree(talk, own, name, relay.claim, confirm, false).await
}

async fn agree(
    mut talk: Talk,
    own: OwnHalf,
    name: &str,
    claim: Option<[u8; 16]>,
    confirm: impl FnOnce(&Found) -> bool + Send + 'static,
    shower: bool,
) -> Result<Paired, Error> {
    talk.say(&own.offer(name, claim)).await?;
    let offer = talk.hear(MESSAGE).await?;
    let (met, signature): (Met, Vec<u8>) = own.meet(&offer)?;
    talk.say(&signature).await?;
    let signature = talk.hear(MESSAGE).await?;
    let (partner, claim) = (met.partner_name().to_owned(), met.claim());
    let agreed: Agreed = met.sign(&signature)?;
    let found = Found {
        partner,
        words: agreed.words(),
    };
    let asked = found.clone();
    let same = tokio::task::spawn_blocking(move || confirm(&asked))
        .await
        .map_err(|_| failed("the question was not answered"))?;
    talk.say(&verdict(same)).await?;
    if !same {
        // So that the other side says the same, and not that the line went dead: whoever saw
        // the same words now waits for our verdict.
        let theirs = talk.hear(HANG_UP).await;
        let they_wait = theirs.is_ok_and(|theirs| *theirs == verdict(true));
        talk.close(they_wait).await;
        return Err(FoundError::WordsDiffer.into());
    }
    let theirs = talk.hear(COMPARE).await?;
    let space = agreed.confirmed(&theirs)?;
    Ok(Paired {
        space,
        found,
        claim,
        talk,
        shower,
    })
}

const DONE: &[u8] = &[5];

/// After the space is created here: brings the first epoch to the other side, so that both
/// can write whether or not the relay is there.
pub(crate) async fn share_first_epoch<S: ajar_engine::store::Store>(
    talk: &mut Talk,
    shower: bool,
    replica: &mut Replica<S>,
) -> Result<(), Error> {
    if shower {
        let message = first_epoch(replica, clock::now(), &mut clock::entropy())?;
        talk.say(&message).await?;
        // Without this word the other side may still create its own: both are valid.
        if talk.hear(MESSAGE).await?.as_slice() != DONE {
            return Err(failed("the other device did not finish"));
        }
    } else {
        let message = talk.hear(MESSAGE).await?;
        take_first_epoch(replica, clock::now(), &message)?;
        talk.say(DONE).await?;
    }
    Ok(())
}

impl Paired {
    pub(crate) fn is_shower(&self) -> bool {
        self.shower
    }
}
