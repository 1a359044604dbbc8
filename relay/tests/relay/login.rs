//! Who may enter, and that everybody else hears the same.

use std::time::Instant;

use ajar_protocol::client_msg::ClientMsg;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{DeviceId, SpaceId};

use crate::client::{Client, ana_at_home};
use crate::people::{Device, append, append_link, login, name};
use crate::server::{TestRelay, generous};

#[tokio::test]
async fn a_device_of_the_space_enters_and_hears_what_the_relay_holds() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    ana.keep(&mut author, b"hello").await;
    let mut ben = Client::stranger(&relay).await;
    let device = &home.parties[1].device;
    ben.say_login(home.id(), device.id(), &device.auth).await;
    let (chains, frontier) = ben.welcome().await;
    assert_eq!(chains, [1, 1]);
    assert_eq!(frontier, author.frontier());
}

#[tokio::test]
async fn a_login_forwarded_from_another_connection_is_refused() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    let device = &home.parties[0].device;
    let stolen = login(
        &ana.exporter(),
        &relay.key(),
        home.id(),
        device.id(),
        &device.auth,
    );
    let mut mallory = Client::stranger(&relay).await;
    mallory.say(&ClientMsg::Login(stolen)).await;
    assert_eq!(mallory.refusal().await, Refusal::NotAdmitted);
}

#[tokio::test]
async fn a_login_made_for_another_relay_is_refused() {
    let relay = TestRelay::start().await;
    let (home, _ana) = ana_at_home(&relay).await;
    let device = &home.parties[0].device;
    let mut client = Client::stranger(&relay).await;
    let other = TestRelay::start().await.key();
    let login = login(
        &client.exporter(),
        &other,
        home.id(),
        device.id(),
        &device.auth,
    );
    client.say(&ClientMsg::Login(login)).await;
    assert_eq!(client.refusal().await, Refusal::NotAdmitted);
}

#[tokio::test]
async fn unknown_space_unknown_device_wrong_key_and_revoked_device_hear_the_same() {
    let mut limits = generous();
    limits.refusal_milliseconds = 150;
    let relay = TestRelay::with(limits).await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = Device::new("ana's phone");
    let added = home.parties[0].add(&phone);
    home.parties[0].append(&added);
    let removed = home.parties[0].revoke(&phone, None);
    for link in [&added, &removed] {
        ana.say(&append_link(link)).await;
        assert!(matches!(
            ana.hear().await,
            Some(RelayMsg::LinkStored { .. })
        ));
    }
    let stranger = Device::new("mallory");
    let known = &home.parties[0].device;
    let cases = [
        (SpaceId([9; 32]), known.id(), &known.auth),
        (home.id(), stranger.id(), &stranger.auth),
        (home.id(), known.id(), &stranger.auth),
        (home.id(), phone.id(), &phone.auth),
        (home.id(), DeviceId::ZERO, &known.auth),
    ];
    for (space, device, auth) in cases {
        let mut client = Client::stranger(&relay).await;
        let start = Instant::now();
        client.say_login(space, device, auth).await;
        assert_eq!(client.refusal().await, Refusal::NotAdmitted);
        assert!(start.elapsed().as_millis() >= 150, "too quick an answer");
    }
}

#[tokio::test]
async fn a_session_ends_when_its_device_is_revoked() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = Device::new("ana's phone");
    let added = home.parties[0].add(&phone);
    ana.say(&append_link(&added)).await;
    ana.hear().await.unwrap();
    home.parties[0].append(&added);
    let mut thief = Client::member(&relay, &home, &phone).await;
    let mut author = home.author(&phone);
    let last = thief.keep(&mut author, b"before").await;

    let removed = home.parties[0].revoke(&phone, Some(name(&last)));
    ana.say(&append_link(&removed)).await;
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkStored { .. })
    ));
    assert!(thief.hear_removal().await.contains(&removed));

    // What it wrote up to the cut-off may still be filled in by others; later things may not.
    ana.say(&append(&last)).await;
    assert_eq!(ana.hear().await, Some(RelayMsg::Stored(name(&last))));
    let late = author.write(b"after");
    ana.say(&append(&late)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::NotStored(name(&late), Refusal::Revoked))
    );
}

#[tokio::test]
async fn the_words_may_fetch_and_recover_and_nothing_else() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let party = &home.parties[0];
    let mut author = home.author(&party.device);
    let kept = ana.keep(&mut author, b"kept").await;

    let mut words = Client::stranger(&relay).await;
    words
        .say_login(home.id(), DeviceId::ZERO, &party.login)
        .await;
    words.welcome().await;
    words
        .subscribe(&home, ajar_protocol::Frontier::default())
        .await;
    assert_eq!(words.hear_envelope().await.id(), kept.id());
    assert_eq!(words.hear().await, Some(RelayMsg::CaughtUp));
    let forged = author.write(b"by the words");
    words.say(&append(&forged)).await;
    assert_eq!(
        words.hear().await,
        Some(RelayMsg::NotStored(name(&forged), Refusal::NotAdmitted))
    );
    let laptop = Device::new("ana's new laptop");
    words.say(&append_link(&party.add(&laptop))).await;
    assert!(matches!(
        words.hear().await,
        Some(RelayMsg::LinkNotStored {
            reason: Refusal::NotAdmitted,
            ..
        })
    ));
    words.say(&append_link(&party.recover(&laptop))).await;
    assert!(matches!(
        words.hear().await,
        Some(RelayMsg::LinkStored { seq: 1, .. })
    ));
    Client::member(&relay, &home, &laptop).await;
}
