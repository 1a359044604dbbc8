//! The words against a device: a link that the root signed takes the place of device-signed ones.

use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::{Envelope, Frontier, Link};
use ajar_relay::storage::{Store, StoreError};

use crate::client::{Client, ana_at_home};
use crate::people::{Device, Home, Party, append, append_link};
use crate::server::{TestRelay, until_waiting};

/// Ana's laptop is stolen. The thief removes her phone, adds a computer, and leaves the space.
struct Theft {
    /// As it was before.
    home: Home,
    /// As the thief made it.
    grown: Home,
    phone: Device,
    computer: Device,
    /// The stolen laptop, connected.
    thief: Client,
}

impl Theft {
    async fn happens(relay: &TestRelay) -> Self {
        let (mut home, mut thief) = ana_at_home(relay).await;
        let phone = Device::new("ana's phone");
        let added = home.parties[0].add(&phone);
        thief.keep_link(&added).await;
        home.parties[0].append(&added);
        let mut grown = home.clone();
        let computer = Device::new("the thief's computer");
        let party = &mut grown.parties[0];
        let steps = [
            |party: &Party| party.revoke(&Device::new("ana's phone"), None),
            |party: &Party| party.add(&Device::new("the thief's computer")),
            |party: &Party| party.leave(),
        ];
        for step in steps {
            let link = step(party);
            thief.keep_link(&link).await;
            party.append(&link);
        }
        Self {
            home,
            grown,
            phone,
            computer,
            thief,
        }
    }

    /// The words bring a new laptop and revoke the stolen one.
    fn answer(&self, laptop: &Device) -> Link {
        let party = &self.home.parties[0];
        party.recover_without(laptop, &[&party.device])
    }
}

#[tokio::test]
async fn the_words_void_what_a_thief_did_with_a_stolen_laptop() {
    let relay = TestRelay::start().await;
    let mut theft = Theft::happens(&relay).await;
    let stolen = theft.home.parties[0].device.clone();
    let (mut ben, _) = Client::reader(&relay, &theft.grown, &theft.home.parties[1].device).await;
    let mut computer = Client::member(&relay, &theft.grown, &theft.computer).await;
    let mut author = theft.home.author(&theft.computer);
    let planted = computer.keep(&mut author, b"planted").await;
    assert_eq!(ben.hear_envelope().await.id(), planted.id());
    let removed = Client::device_refused(&relay, &theft.home, &theft.phone).await;
    assert_eq!(removed, Refusal::NotAdmitted);

    let (mut words, _) = Client::with_words(&relay, &theft.home.parties[0].login).await;
    let laptop = Device::new("ana's new laptop");
    let answer = theft.answer(&laptop);
    words.keep_link(&answer).await;

    // Ben hears it though he has more links than that; both of the thief's are told and shown out.
    assert_eq!(ben.hear_link().await, answer);
    for client in [&mut theft.thief, &mut computer] {
        assert!(client.hear_removal().await.contains(&answer));
    }
    for device in [&stolen, &theft.computer] {
        let refused = Client::device_refused(&relay, &theft.home, device).await;
        assert_eq!(refused, Refusal::NotAdmitted);
    }
    // What the thief voided counts again, and what the thief planted is nobody's.
    Client::member(&relay, &theft.home, &theft.phone).await;
    let mut home = theft.home.clone();
    home.parties[0].append(&answer);
    let mut ana = Client::member(&relay, &home, &laptop).await;
    let kept = ana.keep(&mut home.author(&laptop), b"mine").await;
    assert_eq!(ben.hear_envelope().await.id(), kept.id());
    let more = author.write(b"more of it");
    assert_eq!(ana.envelope_refused(&more).await, Refusal::NotAdmitted);
    let (_, came) = Client::reader(&relay, &home, &home.parties[1].device).await;
    assert_eq!(came, [kept]);
    let stored = relay.store.envelope(&home.id(), &theft.computer.id(), 1);
    assert_eq!(stored.unwrap().as_deref(), Some(planted.as_bytes()));

    // Links that follow reach Ben, and a second one of the words too.
    let tablet = home.parties[0].recover(&Device::new("ana's tablet"));
    ana.keep_link(&tablet).await;
    assert_eq!(ben.hear_link().await, tablet);
}

#[tokio::test]
async fn what_a_voided_device_wrote_is_not_counted_in_the_welcome() {
    let relay = TestRelay::start().await;
    let theft = Theft::happens(&relay).await;
    let mut computer = Client::member(&relay, &theft.grown, &theft.computer).await;
    let mut author = theft.home.author(&theft.computer);
    computer.keep(&mut author, b"planted").await;
    let login = &theft.home.parties[0].login;
    let (mut words, _) = Client::with_words(&relay, login).await;
    let laptop = Device::new("ana's new laptop");
    words.keep_link(&theft.answer(&laptop)).await;

    for restarts in 0..2 {
        let mut ana = Client::stranger(&relay).await;
        ana.say_login(theft.home.id(), laptop.id(), &laptop.auth)
            .await;
        let (chains, frontier) = ana.welcome().await;
        assert_eq!(chains, [3, 1], "restarts: {restarts}");
        assert_eq!(frontier, Frontier::default(), "restarts: {restarts}");
    }
}

#[tokio::test]
async fn after_a_restart_nothing_of_the_voided_links_is_left() {
    let relay = TestRelay::start().await;
    let theft = Theft::happens(&relay).await;
    let login = &theft.home.parties[0].login;
    let (mut words, _) = Client::with_words(&relay, login).await;
    let laptop = Device::new("ana's new laptop");
    let answer = theft.answer(&laptop);
    words.keep_link(&answer).await;
    drop(words);

    let relay = relay.restart().await;
    let mut home = theft.home.clone();
    home.parties[0].append(&answer);
    for device in [&home.parties[0].device, &theft.computer] {
        let refused = Client::device_refused(&relay, &home, device).await;
        assert_eq!(refused, Refusal::NotAdmitted);
    }
    let mut ana = Client::member(&relay, &home, &laptop).await;
    ana.say(&ClientMsg::Subscribe {
        chains: Vec::new(),
        frontier: Frontier::default(),
    })
    .await;
    for link in home.links() {
        assert_eq!(ana.hear_link().await, link);
    }
    assert_eq!(ana.hear().await, Some(RelayMsg::CaughtUp));
    // The places of the voided ones are free for others.
    for name in ["ana's tablet", "ana's watch"] {
        let link = home.parties[0].recover(&Device::new(name));
        ana.keep_link(&link).await;
        home.parties[0].append(&link);
    }
    let relay = relay.restart().await;
    let device = Device::new("ana's watch");
    Client::member(&relay, &home, &device).await;
}

#[tokio::test]
async fn a_full_disk_while_replacing_leaves_the_chain_as_it_was() {
    let relay = TestRelay::start().await;
    let mut theft = Theft::happens(&relay).await;
    let login = theft.home.parties[0].login.clone();
    let (mut words, _) = Client::with_words(&relay, &login).await;
    let (mut ben, _) = Client::reader(&relay, &theft.grown, &theft.home.parties[1].device).await;
    let laptop = Device::new("ana's new laptop");
    let answer = theft.answer(&laptop);

    relay.store.pause();
    relay.store.set_fault(Some(StoreError::DiskFull));
    words.say(&append_link(&answer)).await;
    until_waiting(&relay).await;
    // Whoever comes now is told what is durable.
    let party = &theft.home.parties[1];
    let mut late = Client::stranger(&relay).await;
    late.say_login(theft.home.id(), party.device.id(), &party.device.auth)
        .await;
    assert_eq!(late.welcome().await.0, [5, 1]);
    late.say(&ClientMsg::Subscribe {
        chains: Vec::new(),
        frontier: Frontier::default(),
    })
    .await;
    for link in theft.grown.links() {
        assert_eq!(late.hear_link().await, link);
    }
    assert_eq!(late.hear().await, Some(RelayMsg::CaughtUp));
    relay.store.resume();
    assert!(matches!(
        words.hear().await,
        Some(RelayMsg::LinkNotStored {
            seq: 2,
            reason: Refusal::DiskFull,
            ..
        })
    ));
    Client::member(&relay, &theft.grown, &theft.computer).await;
    assert!(ben.hears_nothing().await);
    assert!(theft.thief.hears_nothing().await);
    let in_vain = Client::device_refused(&relay, &theft.home, &laptop).await;
    assert_eq!(in_vain, Refusal::NotAdmitted);

    relay.store.set_fault(None);
    words.keep_link(&answer).await;
    for client in [&mut ben, &mut late] {
        assert_eq!(client.hear_link().await, answer);
    }
    assert!(theft.thief.hear_removal().await.contains(&answer));
    Client::member(&relay, &theft.home, &laptop).await;
}

#[tokio::test]
async fn a_link_of_a_device_and_one_of_the_words_race_for_a_place() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let party = &home.parties[0];
    let (mut words, _) = Client::with_words(&relay, &party.login).await;
    let by_device = party.add(&Device::new("ana's phone"));
    let laptop = Device::new("ana's new laptop");
    let by_words = party.recover(&laptop);

    // The device is a moment earlier. The words cannot void what storage does not hold yet.
    relay.store.pause();
    ana.say(&append_link(&by_device)).await;
    until_waiting(&relay).await;
    assert_eq!(words.link_refused(&by_words).await, Refusal::Unavailable);
    relay.store.resume();
    assert!(matches!(
        ana.hear().await,
        Some(RelayMsg::LinkStored { seq: 1, .. })
    ));
    // The next try wins, whatever else the device puts on top before.
    let mut grown = party.clone();
    grown.append(&by_device);
    ana.keep_link(&grown.add(&Device::new("ana's tablet")))
        .await;
    // Not with a key that stands in the other chain.
    let foreign = party.recover(&home.parties[1].device);
    assert_eq!(words.link_refused(&foreign).await, Refusal::Violation);
    words.keep_link(&by_words).await;
    // The device that lost stays connected, and starts again from there.
    ana.subscribe(&home, Frontier::default()).await;
    assert_eq!(ana.hear_link().await, by_words);
    assert_eq!(ana.hear().await, Some(RelayMsg::CaughtUp));
    assert_eq!(ana.link_refused(&by_device).await, Refusal::Conflict);
    let mut after = party.clone();
    after.append(&by_words);
    let again = after.add(&Device::new("ana's phone"));
    ana.keep_link(&again).await;

    // A link of the words is nobody's to void: not a device's, and not theirs.
    let other = party.recover(&Device::new("another laptop"));
    assert_eq!(words.link_refused(&other).await, Refusal::Conflict);
    Client::member(&relay, &home, &laptop).await;
}

#[tokio::test]
async fn replaced_words_void_nothing() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let before = home.parties[0].clone();
    let phone = before.add(&Device::new("ana's phone"));
    ana.keep_link(&phone).await;
    home.parties[0].append(&phone);
    let (replaced, after) = home.parties[0].replace_words("ana's new words");
    ana.keep_link(&replaced).await;
    // A thief with a device and the old words, in every place there is.
    let computer = Device::new("the thief's computer");
    let places = [&before, &home.parties[0]];
    for place in places {
        let link = place.recover(&computer);
        assert_eq!(ana.link_refused(&link).await, Refusal::Conflict);
    }
    let next = Party {
        root: before.root.clone(),
        ..after.clone()
    };
    let link = next.recover(&computer);
    assert_eq!(ana.link_refused(&link).await, Refusal::NotAdmitted);
    // The new words go on from there.
    let laptop = Device::new("ana's new laptop");
    ana.keep_link(&after.recover(&laptop)).await;
    Client::member(&relay, &home, &laptop).await;
}

#[tokio::test]
async fn what_the_words_signed_reaches_a_relay_that_was_kept_from_it_by_any_device() {
    let relay = TestRelay::start().await;
    let theft = Theft::happens(&relay).await;
    // Another relay has what the words signed; Ben's device brings it, with a link that follows.
    let mut home = theft.home.clone();
    let laptop = Device::new("ana's new laptop");
    let answer = theft.answer(&laptop);
    home.parties[0].append(&answer);
    home.parties[0].device = laptop.clone();
    let tablet = Device::new("ana's tablet");
    let more = home.parties[0].add(&tablet);
    let (mut ben, _) = Client::reader(&relay, &theft.grown, &home.parties[1].device).await;
    for link in [&answer, &more] {
        ben.say(&append_link(link)).await;
    }
    for seq in [2, 3] {
        let heard = ben.hear().await;
        assert!(
            matches!(heard, Some(RelayMsg::LinkStored { seq: s, .. }) if s == seq),
            "{heard:?}"
        );
    }
    home.parties[0].append(&more);
    let relay = relay.restart().await;
    Client::member(&relay, &home, &tablet).await;
    // Also on introduction, when the space is known already.
    let again = TestRelay::start().await;
    let claim = Credential::Claim(again.claim(1));
    let device = &theft.home.parties[0].device;
    Client::founder(&again, &theft.grown, device, claim).await;
    Client::founder(&again, &home, &laptop, claim).await;
    Client::member(&again, &home, &tablet).await;
}

#[tokio::test]
async fn envelopes_of_devices_that_were_voided_and_added_again_reach_everybody() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let before = home.parties[0].clone();
    let devices = ["ana's phone", "ana's tablet"].map(Device::new);
    let mut early = Vec::new();
    for device in &devices {
        let added = home.parties[0].add(device);
        ana.keep_link(&added).await;
        home.parties[0].append(&added);
        let mut client = Client::member(&relay, &home, device).await;
        early.push(client.keep(&mut home.author(device), b"early").await);
    }
    let (mut words, _) = Client::with_words(&relay, &before.login).await;
    let recovered = before.recover(&Device::new("ana's new laptop"));
    words.keep_link(&recovered).await;
    home.parties[0] = before;
    home.parties[0].append(&recovered);

    // Ben comes while nobody names the two, with a long chain of which the end is void.
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut chains = home.positions();
    chains[0].next = 10;
    ben.say(&ClientMsg::Subscribe {
        chains,
        frontier: Frontier::default(),
    })
    .await;
    assert_eq!(ben.hear_link().await, recovered);
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
    // Both come back in one commit.
    relay.store.pause();
    let mut author = home.author(&home.parties[0].device);
    ana.say(&append(&author.write(b"first"))).await;
    until_waiting(&relay).await;
    for device in &devices {
        let again = home.parties[0].add(device);
        ana.say(&append_link(&again)).await;
        home.parties[0].append(&again);
    }
    assert!(ana.hears_nothing().await, "all is under way");
    relay.store.resume();
    let mut links = Vec::new();
    let mut came = Vec::new();
    while links.len() < 2 || came.len() < 3 {
        match ben.hear().await {
            Some(RelayMsg::Link(bytes)) => links.push(Link::parse(&bytes).unwrap()),
            Some(RelayMsg::Envelope(bytes)) => {
                let envelope = Envelope::parse(&bytes).unwrap();
                // The live one may come twice.
                if !came.contains(&envelope) {
                    came.push(envelope);
                }
            }
            other => panic!("expected links and envelopes, heard {other:?}"),
        }
    }
    assert_eq!(links, home.parties[0].chain.links()[2..]);
    assert!(early.iter().all(|envelope| came.contains(envelope)));
}
