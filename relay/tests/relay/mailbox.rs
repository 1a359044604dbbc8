//! Pairing mailboxes over the wire.

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::limits;
use ajar_protocol::mailbox::Purpose;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};

use crate::client::Client;
use crate::server::{TestRelay, generous};

async fn opened(relay: &TestRelay) -> (Client, u32) {
    let mut ana = Client::stranger(relay).await;
    ana.say(&ClientMsg::MailboxOpen(Purpose::PartnerLink)).await;
    match ana.hear().await {
        Some(RelayMsg::MailboxOpened(nameplate)) => (ana, nameplate),
        other => panic!("expected a nameplate, heard {other:?}"),
    }
}

async fn joined(relay: &TestRelay, nameplate: u32) -> Client {
    let mut ben = Client::stranger(relay).await;
    ben.say(&ClientMsg::MailboxJoin(nameplate)).await;
    assert_eq!(
        ben.hear().await,
        Some(RelayMsg::MailboxPeer(Purpose::PartnerLink))
    );
    ben
}

#[tokio::test]
async fn two_sides_exchange_eight_large_messages_each_and_leave() {
    let relay = TestRelay::start().await;
    let (mut ana, nameplate) = opened(&relay).await;
    // What is said before the other is there waits for it.
    ana.say(&ClientMsg::MailboxSend(vec![0; limits::MAILBOX_MESSAGE]))
        .await;
    let mut ben = joined(&relay, nameplate).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::MailboxPeer(Purpose::PartnerLink))
    );
    for n in 1..8u8 {
        ana.say(&ClientMsg::MailboxSend(vec![n; limits::MAILBOX_MESSAGE]))
            .await;
    }
    for n in 0..8u8 {
        let message = vec![n; limits::MAILBOX_MESSAGE];
        assert_eq!(ben.hear().await, Some(RelayMsg::MailboxMessage(message)));
        ben.say(&ClientMsg::MailboxSend(vec![n])).await;
    }
    // Ben's last words arrive although he leaves at once.
    ben.send.finish().unwrap();
    for n in 0..8u8 {
        assert_eq!(ana.hear().await, Some(RelayMsg::MailboxMessage(vec![n])));
    }
    assert_eq!(ana.hear().await, None, "the other has gone");
}

#[tokio::test]
async fn a_second_joiner_burns_the_mailbox_for_all_three() {
    let relay = TestRelay::start().await;
    let (mut ana, nameplate) = opened(&relay).await;
    let mut ben = joined(&relay, nameplate).await;
    let mut mallory = Client::stranger(&relay).await;
    mallory.say(&ClientMsg::MailboxJoin(nameplate)).await;
    assert_eq!(mallory.refusal().await, Refusal::NoMailbox);
    assert!(matches!(ana.hear().await, Some(RelayMsg::MailboxPeer(_))));
    assert_eq!(ana.refusal().await, Refusal::NoMailbox);
    assert_eq!(ben.refusal().await, Refusal::NoMailbox);
}

#[tokio::test]
async fn a_nameplate_nobody_opened_or_somebody_left_is_refused() {
    let relay = TestRelay::start().await;
    let (ana, nameplate) = opened(&relay).await;
    ana.connection.close(0u32.into(), b"");
    ana.endpoint.wait_idle().await;
    for nameplate in [nameplate, 999, 10_000] {
        for _ in 0..100 {
            let mut ben = Client::stranger(&relay).await;
            ben.say(&ClientMsg::MailboxJoin(nameplate)).await;
            match ben.hear().await {
                Some(RelayMsg::Refused(Refusal::NoMailbox)) => break,
                // The relay has not noticed yet that Ana is gone.
                Some(RelayMsg::MailboxPeer(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_mailbox_ends_when_its_time_is_over() {
    let mut limits = generous();
    limits.mailbox_milliseconds = 300;
    let relay = TestRelay::with(limits).await;
    let (mut ana, nameplate) = opened(&relay).await;
    let mut ben = joined(&relay, nameplate).await;
    assert!(matches!(ana.hear().await, Some(RelayMsg::MailboxPeer(_))));
    assert_eq!(ana.refusal().await, Refusal::NoMailbox);
    assert!(matches!(
        ben.hear().await,
        None | Some(RelayMsg::Refused(Refusal::NoMailbox))
    ));
}

#[tokio::test]
async fn a_ninth_message_and_an_oversize_one_end_it_for_both() {
    let relay = TestRelay::start().await;
    let (mut ana, nameplate) = opened(&relay).await;
    let mut ben = joined(&relay, nameplate).await;
    for n in 0..9u8 {
        ana.say(&ClientMsg::MailboxSend(vec![n])).await;
    }
    for n in 0..8u8 {
        assert_eq!(ben.hear().await, Some(RelayMsg::MailboxMessage(vec![n])));
    }
    assert_eq!(ben.hear().await, None);
    ana.hear().await.unwrap();
    assert_eq!(ana.refusal().await, Refusal::Violation);

    let (mut ana, nameplate) = opened(&relay).await;
    let mut ben = joined(&relay, nameplate).await;
    ben.say(&ClientMsg::MailboxSend(vec![
        0;
        limits::MAILBOX_MESSAGE + 1
    ]))
    .await;
    assert_eq!(ben.refusal().await, Refusal::Violation);
    ana.hear().await.unwrap();
    assert_eq!(ana.hear().await, None);
}

#[tokio::test]
async fn a_mailbox_connection_cannot_append_or_log_in() {
    let relay = TestRelay::start().await;
    let (mut ana, _) = opened(&relay).await;
    ana.say(&ClientMsg::Append(vec![1; 300])).await;
    assert_eq!(ana.refusal().await, Refusal::Violation);
}
