//! What a device gets that begins with nothing, or too far behind.

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, EnvelopeType};
use ajar_relay::storage::Store;

use crate::client::{Client, ana_at_home};
use crate::people::append;
use crate::server::TestRelay;

impl Client {
    /// Asks for a bootstrap; returns the trim record, if any, and the envelopes.
    pub(crate) async fn bootstrap(&mut self) -> (Option<Vec<u8>>, Vec<Envelope>) {
        self.say(&ClientMsg::Bootstrap).await;
        let (mut record, mut came) = (None, Vec::new());
        loop {
            match self.hear().await {
                Some(RelayMsg::Trimmed(bytes)) if came.is_empty() => record = Some(bytes),
                Some(RelayMsg::Envelope(bytes)) => came.push(Envelope::parse(&bytes).unwrap()),
                Some(RelayMsg::Ready) => return (record, came),
                other => panic!("expected a bootstrap, heard {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn epochs_then_the_newest_snapshots_then_endorsements() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut by_ana = home.author(&home.parties[0].device);
    let mut by_ben = home.author(&home.parties[1].device);
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..3 {
        for (client, author) in [(&mut ana, &mut by_ana), (&mut ben, &mut by_ben)] {
            for (place, kind) in [
                EnvelopeType::Epoch,
                EnvelopeType::Changes,
                EnvelopeType::Snapshot,
                EnvelopeType::Burn,
                EnvelopeType::Endorse,
            ]
            .into_iter()
            .enumerate()
            {
                let envelope = author.write_as(kind, &[round; 40]);
                client.keep_envelope(&envelope).await;
                if place % 2 == 0 {
                    expected[place / 2].push(envelope.id());
                }
            }
        }
    }
    let [epochs, snapshots, endorsements] = expected;
    let newest = snapshots.iter().rev().take(2);
    let expected: Vec<_> = epochs.iter().chain(newest).chain(&endorsements).collect();
    let (record, came) = ben.bootstrap().await;
    assert_eq!(record, None);
    let came: Vec<_> = came.iter().map(Envelope::id).collect();
    assert_eq!(came.iter().collect::<Vec<_>>(), expected);

    // A folder from before the index: built when the space is opened.
    drop((ana, ben));
    relay.store.forget_specials();
    let relay = relay.restart().await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let (_, came) = ben.bootstrap().await;
    let came: Vec<_> = came.iter().map(Envelope::id).collect();
    assert_eq!(came.iter().collect::<Vec<_>>(), expected);
    assert_eq!(relay.store.specials_indexed(&home.id()), Ok(true));
}

#[tokio::test]
async fn many_epochs_and_endorsements_come_by_pages_and_live_ones_after_them() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let (mut epochs, mut endorsements) = (Vec::new(), Vec::new());
    for round in 0..600u32 {
        let kind = if round % 2 == 0 {
            EnvelopeType::Epoch
        } else {
            EnvelopeType::Endorse
        };
        let envelope = author.write_as(kind, &round.to_be_bytes().repeat(300));
        ana.say(&append(&envelope)).await;
        if round % 2 == 0 {
            epochs.push(envelope.id());
        } else {
            endorsements.push(envelope.id());
        }
    }
    for _ in 0..600 {
        assert!(matches!(ana.hear().await, Some(RelayMsg::Stored(_))));
    }
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    let (_, came) = ben.bootstrap().await;
    let newest = &endorsements[endorsements.len() - 256..];
    let came: Vec<_> = came.iter().map(Envelope::id).collect();
    assert_eq!(came, [epochs.as_slice(), newest].concat());
    let live = ana.keep(&mut author, b"and on").await;
    assert_eq!(ben.hear_envelope().await.id(), live.id());
}
