//! Twelve words and nothing else: the relay finds the space by their login key.

use std::time::Instant;

use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{DeviceId, Frontier, SpaceId};
use ajar_relay::storage::{Store, StoreError};
use ed25519_dalek::SigningKey;

use crate::client::{Client, ana_at_home};
use crate::people::{Device, Home, Party};
use crate::server::{TestRelay, generous};

async fn ana_alone(relay: &TestRelay) -> (Home, Client) {
    let home = Home::private("ana");
    let claim = Credential::Claim(relay.claim(1));
    let ana = Client::founder(relay, &home, &home.parties[0].device, claim).await;
    (home, ana)
}

#[tokio::test]
async fn the_words_alone_find_the_space_fetch_everything_and_bring_a_new_device() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_alone(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let kept = [
        ana.keep(&mut author, b"one").await,
        ana.keep(&mut author, b"two").await,
    ];
    drop(ana);

    let party = &home.parties[0];
    let mut words = Client::stranger(&relay).await;
    // In one flight, as nothing is known: no chains, no frontier.
    words.say_words(&party.login).await;
    words
        .say(&ClientMsg::Subscribe {
            chains: Vec::new(),
            frontier: Frontier::default(),
        })
        .await;
    let told = words.hear().await;
    assert_eq!(told, Some(RelayMsg::Genesis(home.genesis.encode())));
    let (chains, frontier) = words.welcome().await;
    assert_eq!((chains, frontier), (vec![1], author.frontier()));
    assert_eq!(words.hear_link().await, home.links()[0]);
    for envelope in &kept {
        assert_eq!(words.hear_envelope().await.id(), envelope.id());
    }
    assert_eq!(words.hear().await, Some(RelayMsg::CaughtUp));

    let laptop = Device::new("ana's new laptop");
    words
        .keep_link(&party.recover_without(&laptop, &[&party.device]))
        .await;
    assert!(words.hears_nothing().await, "the words stay welcome");
    let mut ana = Client::member(&relay, &home, &laptop).await;
    let mut author = home.author(&laptop);
    ana.keep(&mut author, b"from the new laptop").await;
    let lost = Client::device_refused(&relay, &home, &party.device).await;
    assert_eq!(lost, Refusal::NotAdmitted);
}

#[tokio::test]
async fn each_partner_finds_the_space_of_both_by_the_own_words() {
    let relay = TestRelay::start().await;
    let (home, _ana) = ana_at_home(&relay).await;
    for (own, other) in [(0, 1), (1, 0)] {
        let (own, other) = (&home.parties[own], &home.parties[other]);
        let (mut words, genesis) = Client::with_words(&relay, &own.login).await;
        assert_eq!(genesis, home.genesis);
        // For the own party only.
        let laptop = Device::new("a laptop");
        let refused = words.link_refused(&other.recover(&laptop)).await;
        assert_eq!(refused, Refusal::NotAdmitted);
    }
}

#[tokio::test]
async fn unknown_words_and_keys_that_are_no_login_keys_hear_what_every_stranger_hears() {
    let mut limits = generous();
    limits.refusal_milliseconds = 150;
    let relay = TestRelay::with(limits).await;
    let (home, _ana) = ana_at_home(&relay).await;
    let party = &home.parties[0];
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let cases = [
        (DeviceId::ZERO, &stranger),
        (DeviceId::ZERO, &party.device.auth),
        (DeviceId::ZERO, &party.root),
        (party.device.id(), &party.device.auth),
        (party.device.id(), &party.login),
    ];
    for (device, key) in cases {
        let mut client = Client::stranger(&relay).await;
        let start = Instant::now();
        client.say_login(SpaceId::ZERO, device, key).await;
        assert_eq!(client.refusal().await, Refusal::NotAdmitted);
        assert!(start.elapsed().as_millis() >= 150, "too quick an answer");
    }
}

#[tokio::test]
async fn replaced_words_find_nothing_any_more_and_the_new_ones_do() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_alone(&relay).await;
    let old = &home.parties[0];
    let (link, new) = old.replace_words("ana's new words");
    assert_eq!(
        Client::words_refused(&relay, &new.login).await,
        Refusal::NotAdmitted
    );
    ana.keep_link(&link).await;
    assert_eq!(
        Client::words_refused(&relay, &old.login).await,
        Refusal::NotAdmitted
    );
    assert_eq!(Client::with_words(&relay, &new.login).await.1, home.genesis);

    let relay = relay.restart().await;
    assert_eq!(
        Client::words_refused(&relay, &old.login).await,
        Refusal::NotAdmitted
    );
    assert_eq!(Client::with_words(&relay, &new.login).await.1, home.genesis);
}

#[tokio::test]
async fn somebody_with_the_old_words_is_shown_out_when_they_are_replaced() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_alone(&relay).await;
    let old = &home.parties[0];
    let (mut finder, _) = Client::with_words(&relay, &old.login).await;
    let (link, _) = old.replace_words("ana's new words");
    ana.keep_link(&link).await;
    assert_eq!(finder.hear_removal().await.last(), Some(&link));
    assert!(ana.hears_nothing().await, "the device stays");
}

/// Whoever has seen the login key in a chain can name it in a chain of theirs: nothing proves that
/// they hold it.
#[tokio::test]
async fn nobody_leads_the_words_of_others_to_a_space_of_theirs() {
    let relay = TestRelay::start().await;
    let (home, _ana) = ana_alone(&relay).await;
    let login = &home.parties[0].login;
    let trap = Home::private_of(Party::with_login("mallory", login.clone()));
    let claim = Credential::Claim(relay.claim(1));
    Client::founder(&relay, &trap, &trap.parties[0].device, claim).await;
    assert_eq!(Client::with_words(&relay, login).await.1, home.genesis);

    // Nor by new words in a chain of theirs.
    let relay = relay.restart().await;
    let mallory = Home::private("mallory again");
    let claim = Credential::Claim(relay.claim(1));
    let party = &mallory.parties[0];
    let mut client = Client::founder(&relay, &mallory, &party.device, claim).await;
    // Seeds are names here, so new words of this name have Ana's keys.
    let (link, stolen) = party.replace_words("ana");
    assert_eq!(stolen.login.to_bytes(), login.to_bytes());
    client.keep_link(&link).await;
    assert_eq!(Client::with_words(&relay, login).await.1, home.genesis);
}

#[tokio::test]
async fn the_words_find_a_space_that_an_older_relay_stored() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let (link, replaced) = home.parties[0].replace_words("ana's new words");
    ana.keep_link(&link).await;
    relay.store.forget_logins();
    let ben = &home.parties[1];
    assert_eq!(
        Client::words_refused(&relay, &ben.login).await,
        Refusal::NotAdmitted
    );

    let relay = relay.restart().await;
    assert_eq!(relay.store.logins_complete(), Ok(true));
    for login in [&ben.login, &replaced.login] {
        assert_eq!(Client::with_words(&relay, login).await.1, home.genesis);
    }
    let old = &home.parties[0].login;
    assert_eq!(
        Client::words_refused(&relay, old).await,
        Refusal::NotAdmitted
    );
    assert_eq!(relay.store.login(&old.verifying_key().to_bytes()), Ok(None));
}

#[tokio::test]
async fn a_full_disk_delays_the_index_and_not_the_devices() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    drop(ana);
    let party = &home.parties[0];
    relay.store.forget_logins();
    relay.store.set_fault(Some(StoreError::DiskFull));
    let relay = relay.restart().await;
    Client::member(&relay, &home, &party.device).await;
    assert_eq!(
        Client::words_refused(&relay, &party.login).await,
        Refusal::NotAdmitted
    );
    relay.store.set_fault(None);
    let relay = relay.restart().await;
    Client::with_words(&relay, &party.login).await;
}
