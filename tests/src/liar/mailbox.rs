//! Two devices that meet through a code: forwarded, or with the relay in between.

use std::time::Duration;

use ajar_crypto::PairingWords;
use ajar_crypto::pairing::{CONFIRMATION, Enterer, Shower};
use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ed25519_dalek::SigningKey;
use tokio::sync::oneshot;

use super::peer::{Peer, SEED};
use super::{Lies, Side};

impl Lies {
    pub(super) async fn open(&self, mut shower: Peer, purpose: Purpose) {
        let (hand_over, handed) = oneshot::channel();
        let nameplate = {
            let mut state = self.state.lock().unwrap();
            state.nameplates += 1;
            let nameplate = 4820 + state.nameplates;
            state.mailboxes.insert(nameplate, hand_over);
            nameplate
        };
        shower.say(&RelayMsg::MailboxOpened(nameplate)).await;
        let Ok(mut enterer) = handed.await else {
            return;
        };
        let lies = self.state.lock().unwrap().twists.other_purpose;
        let said = match purpose {
            Purpose::PartnerLink if lies => Purpose::DeviceLink,
            Purpose::DeviceLink if lies => Purpose::PartnerLink,
            true_one => true_one,
        };
        shower.say(&RelayMsg::MailboxPeer(purpose)).await;
        enterer.say(&RelayMsg::MailboxPeer(said)).await;
        if self.between {
            self.stand_between(shower, enterer, nameplate, purpose)
                .await;
        } else {
            self.forward(shower, enterer).await;
        }
    }

    pub(super) async fn join(&self, mut peer: Peer, nameplate: u32) {
        let waiting = self.state.lock().unwrap().mailboxes.remove(&nameplate);
        match waiting {
            // Who opened it may have gone.
            Some(waiting) => drop(waiting.send(peer)),
            None => {
                peer.say(&RelayMsg::Refused(Refusal::NoMailbox)).await;
                peer.stay().await;
            }
        }
    }

    fn note(&self, side: Side, message: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.sent.push((side, message.len()));
    }

    async fn forward(&self, mut shower: Peer, mut enterer: Peer) {
        loop {
            tokio::select! {
                heard = shower.hear() => {
                    let Some(ClientMsg::MailboxSend(message)) = heard else { break };
                    self.note(Side::Shower, &message);
                    enterer.say(&RelayMsg::MailboxMessage(message)).await;
                }
                heard = enterer.hear() => {
                    let Some(ClientMsg::MailboxSend(message)) = heard else { break };
                    self.note(Side::Enterer, &message);
                    shower.say(&RelayMsg::MailboxMessage(message)).await;
                }
            }
        }
        // What was said last is on its way when one of them hangs up.
        let _ = (shower.send.finish(), enterer.send.finish());
        let both = async { tokio::join!(shower.connection.closed(), enterer.connection.closed()) };
        let _ = tokio::time::timeout(Duration::from_secs(5), both).await;
    }

    /// An exchange with each of them, with three words that are guessed.
    async fn stand_between(
        &self,
        mut shower: Peer,
        mut enterer: Peer,
        nameplate: u32,
        purpose: Purpose,
    ) {
        let mut entropy = getrandom::SysRng;
        let guess = PairingWords::random(&mut entropy).unwrap();
        let key = SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
        let number = nameplate.to_string();
        let (_, to_enterer) = Shower::start(purpose, &number, &key, &guess, &mut entropy).unwrap();
        let (as_enterer, mut to_shower) = {
            let (state, first) =
                Enterer::start(purpose, &number, &key, &guess, &mut entropy).unwrap();
            (state, first.to_vec())
        };
        if let Some(ClientMsg::MailboxSend(first)) = shower.hear().await {
            self.note(Side::Shower, &first);
            let (_, confirmation) = as_enterer.receive(&first).unwrap();
            to_shower.extend_from_slice(&confirmation);
            shower.say(&RelayMsg::MailboxMessage(to_shower)).await;
        }
        enterer
            .say(&RelayMsg::MailboxMessage(to_enterer.to_vec()))
            .await;
        if let Some(ClientMsg::MailboxSend(answer)) = enterer.hear().await {
            self.note(Side::Enterer, &answer);
            let confirmation = vec![7; CONFIRMATION];
            enterer.say(&RelayMsg::MailboxMessage(confirmation)).await;
        }
        // Whatever they say from now on is for the one in between.
        for (side, mut peer) in [(Side::Shower, shower), (Side::Enterer, enterer)] {
            while let Some(message) = peer.hear().await {
                if let ClientMsg::MailboxSend(message) = message {
                    self.note(side, &message);
                }
            }
        }
    }
}
