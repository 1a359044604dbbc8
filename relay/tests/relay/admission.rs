//! How spaces become known: claims, permits, and what a stranger can do with neither.

use ajar_protocol::auth::permit;
use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_relay::claims::Claims;
use ajar_relay::storage::{Store, StoreError};

use crate::client::{Client, ana_at_home};
use crate::people::{Device, Home, append_link};
use crate::server::{TestRelay, generous};

async fn refused(relay: &TestRelay, home: &Home, credential: Credential) -> Refusal {
    let mut client = Client::stranger(relay).await;
    client.introduce(home, credential).await;
    client.refusal().await
}

#[tokio::test]
async fn one_claim_admits_a_couple_and_no_fourth_space() {
    let relay = TestRelay::start().await;
    let claim = relay.claim(3);
    let homes = [
        Home::private("ana"),
        Home::private("ben"),
        Home::shared("ana with ben", "ben with ana"),
    ];
    for home in &homes {
        let device = &home.parties[0].device;
        Client::founder(&relay, home, device, Credential::Claim(claim)).await;
    }
    let fourth = Home::private("mallory");
    assert_eq!(
        refused(&relay, &fourth, Credential::Claim(claim)).await,
        Refusal::BadCredential
    );
    assert_eq!(relay.store.spaces().unwrap().len(), 3);

    // The couple itself may present it again, for instance when an answer was lost.
    for home in &homes {
        let device = &home.parties[0].device;
        Client::founder(&relay, home, device, Credential::Claim(claim)).await;
    }
    // And a store that is lost does not make it good again.
    relay.store.wipe();
    assert_eq!(
        refused(&relay, &fourth, Credential::Claim(claim)).await,
        Refusal::BadCredential
    );
}

#[tokio::test]
async fn a_claim_is_not_used_up_by_a_space_that_is_known() {
    let relay = TestRelay::start().await;
    let claim = relay.claim(2);
    let home = Home::private("ana");
    for _ in 0..3 {
        let device = &home.parties[0].device;
        Client::founder(&relay, &home, device, Credential::Claim(claim)).await;
    }
    let other = Home::private("ben");
    let device = &other.parties[0].device;
    Client::founder(&relay, &other, device, Credential::Claim(claim)).await;
}

#[tokio::test]
async fn two_spaces_at_once_cannot_share_the_last_use_of_a_claim() {
    let relay = TestRelay::start().await;
    let claim = Credential::Claim(relay.claim(1));
    let homes = [Home::private("ana"), Home::private("mallory")];
    let mut clients = Vec::new();
    for home in &homes {
        let mut client = Client::stranger(&relay).await;
        client.introduce(home, claim).await;
        assert!(matches!(client.hear().await, Some(RelayMsg::Admitted(_))));
        clients.push(client);
    }
    for (client, home) in clients.iter_mut().zip(&homes) {
        client.say(&append_link(&home.links()[0])).await;
    }
    assert!(matches!(
        clients[0].hear().await,
        Some(RelayMsg::LinkStored { .. })
    ));
    assert_eq!(clients[1].refusal().await, Refusal::BadCredential);
}

#[tokio::test]
async fn a_relay_that_lost_its_disk_readmits_by_permit_with_devices_and_all() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = Device::new("ana's phone");
    let added = home.parties[0].add(&phone);
    ana.say(&append_link(&added)).await;
    ana.hear().await.unwrap();
    home.parties[0].append(&added);
    let mut author = home.author(&phone);
    let mut with_phone = Client::member(&relay, &home, &phone).await;
    let kept = with_phone.keep(&mut author, b"kept").await;

    relay.store.wipe();
    let relay = relay.restart().await;
    let mut client = Client::stranger(&relay).await;
    let device = &home.parties[0].device;
    client.say_login(home.id(), device.id(), &device.auth).await;
    assert_eq!(client.refusal().await, Refusal::NotAdmitted);

    let mut probe = TestRelay::start().await;
    let forged = {
        let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        Credential::Permit(permit(&key, &home.id()))
    };
    assert_eq!(refused(&relay, &home, forged).await, Refusal::BadCredential);
    probe = probe.restart().await;
    drop(probe);

    let mut ana = Client::stranger(&relay).await;
    ana.found(&home, device, Credential::Permit(own_permit(&relay, &home)))
        .await;
    // Ana's laptop fills in what her phone wrote.
    ana.say(&crate::people::append(&kept)).await;
    assert_eq!(
        ana.hear().await,
        Some(RelayMsg::Stored(crate::people::name(&kept)))
    );
    Client::member(&relay, &home, &phone).await;
}

/// The permit as a device would have kept it: what the relay said at admission. The seed is
/// read from the key file, as the relay does.
fn own_permit(relay: &TestRelay, home: &Home) -> [u8; 64] {
    let text = std::fs::read_to_string(relay.data.key_file()).unwrap();
    let seed = data_encoding::HEXLOWER
        .decode(text.trim().as_bytes())
        .unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&seed.try_into().unwrap());
    assert_eq!(key.verifying_key().to_bytes(), relay.identity().public());
    permit(&key, &home.id())
}

#[tokio::test]
async fn guessing_claims_is_refused_and_then_limited() {
    let mut limits = generous();
    limits.bad_introductions_per_hour = 2;
    let relay = TestRelay::with(limits).await;
    let home = Home::private("mallory");
    for guess in 0..2 {
        assert_eq!(
            refused(&relay, &home, Credential::Claim([guess; 16])).await,
            Refusal::BadCredential
        );
    }
    let good = Credential::Claim(relay.claim(1));
    assert_eq!(refused(&relay, &home, good).await, Refusal::RateLimited);
}

#[tokio::test]
async fn a_genesis_that_the_other_party_did_not_sign_uses_up_nothing() {
    let relay = TestRelay::start().await;
    let claim = relay.claim(1);
    let mut home = Home::shared("ana", "ben");
    let bytes = home.genesis.encode();
    let mut forged = bytes.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut client = Client::stranger(&relay).await;
    client
        .say(&ClientMsg::Introduce {
            genesis: forged,
            credential: Credential::Claim(claim),
        })
        .await;
    for link in home.links() {
        client.say(&append_link(&link)).await;
    }
    assert!(matches!(client.hear().await, Some(RelayMsg::Admitted(_))));
    assert_eq!(client.refusal().await, Refusal::Violation);
    assert_eq!(relay.store.spaces().unwrap(), []);
    // With the parties in the wrong order nothing is gathered either.
    home.parties.reverse();
    let device = home.parties[0].device.clone();
    Client::founder(&relay, &home, &device, Credential::Claim(claim)).await;
}

#[tokio::test]
async fn an_admission_that_could_not_be_written_leaves_the_claim_good() {
    let relay = TestRelay::start().await;
    let claim = relay.claim(1);
    let home = Home::private("ana");
    relay.store.set_fault(Some(StoreError::DiskFull));
    let mut client = Client::stranger(&relay).await;
    client.introduce(&home, Credential::Claim(claim)).await;
    client.say(&append_link(&home.links()[0])).await;
    assert!(matches!(client.hear().await, Some(RelayMsg::Admitted(_))));
    assert_eq!(client.refusal().await, Refusal::DiskFull);
    relay.store.set_fault(None);
    let device = &home.parties[0].device;
    Client::founder(&relay, &home, device, Credential::Claim(claim)).await;
    let hash = ajar_relay::claims::claim_hash(&claim);
    assert_eq!(Claims::of(&relay.data).spaces(&hash).unwrap(), None);
}
