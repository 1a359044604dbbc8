//! Trims: who may ask for them, what goes and what stays, and what those get who are behind.

use std::time::Duration;

use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::link::signed_message;
use ajar_protocol::relay_msg::{Refusal, RelayMsg};
use ajar_protocol::trim::{TrimRecord, TrimStatement};
use ajar_protocol::{
    DeviceId, Envelope, EnvelopeId, EnvelopeType, Frontier, Position, SpaceId, label, limits,
};
use ajar_relay::storage::{Store, Write};
use ed25519_dalek::Signer;

use crate::client::{Client, ana_at_home};
use crate::people::{Author, Device, Home, append, name};
use crate::server::{TestRelay, generous};

/// A record, signed by these devices.
pub(crate) fn record(statement: &TrimStatement, signers: &[&Device]) -> Vec<u8> {
    let hash = statement.hash();
    let sign = |device: &&Device| {
        let signature = device.sign.sign(&signed_message(label::RELAY_CMD, &hash));
        (device.id(), signature.to_bytes())
    };
    let mut signatures: Vec<_> = signers.iter().map(sign).collect();
    signatures.sort_unstable();
    let record = TrimRecord {
        statement: statement.clone(),
        signatures,
    };
    record.encode()
}

pub(crate) fn statement(
    space: SpaceId,
    snapshot: &Envelope,
    cover: &[Frontier],
    retired: &[&Envelope],
) -> TrimStatement {
    let rows = cover.iter().flat_map(Frontier::rows);
    let mut retired: Vec<(DeviceId, u64)> = retired
        .iter()
        .map(|epoch| (epoch.header().device, epoch.header().counter))
        .collect();
    retired.sort_unstable();
    TrimStatement {
        space,
        snapshot: name(snapshot),
        cover: rows.map(|(device, row)| (*device, *row)).collect(),
        retired,
    }
}

/// What Ana and Ben have written, and the statement of the snapshot that covers it.
struct Written {
    by_ana: Author,
    by_ben: Author,
    /// In the order of writing.
    epochs: Vec<Envelope>,
    folded: Vec<Envelope>,
    snapshot: Envelope,
    after: Vec<Envelope>,
    statement: TrimStatement,
}

impl Written {
    /// Two epochs each, of which Ana's first is retired, some entries, and a snapshot by Ana that
    /// both endorse.
    fn new(home: &Home) -> Self {
        let mut by_ana = home.author(&home.parties[0].device);
        let mut by_ben = home.author(&home.parties[1].device);
        let (mut epochs, mut folded) = (Vec::new(), Vec::new());
        for round in 0..2 {
            for author in [&mut by_ana, &mut by_ben] {
                epochs.push(author.write_as(EnvelopeType::Epoch, &[round; 50]));
                for kind in [
                    EnvelopeType::Changes,
                    EnvelopeType::Snapshot,
                    EnvelopeType::Endorse,
                    EnvelopeType::Burn,
                    EnvelopeType::Changes,
                ] {
                    folded.push(author.write_as(kind, &[round; 100]));
                }
            }
        }
        let cover = [by_ana.frontier(), by_ben.frontier()];
        let snapshot = by_ana.write_as(EnvelopeType::Snapshot, b"all of it");
        let after = vec![
            by_ana.write_as(EnvelopeType::Endorse, b"mine"),
            by_ben.write_as(EnvelopeType::Endorse, b"mine too"),
        ];
        let statement = statement(home.id(), &snapshot, &cover, &[&epochs[0]]);
        Self {
            by_ana,
            by_ben,
            epochs,
            folded,
            snapshot,
            after,
            statement,
        }
    }

    fn all(&self) -> Vec<&Envelope> {
        let mut all: Vec<&Envelope> = self.epochs.iter().chain(&self.folded).collect();
        all.sort_by_key(|it| (it.header().device, it.header().counter));
        all.push(&self.snapshot);
        all.extend(&self.after);
        all
    }

    fn signed(&self, home: &Home) -> Vec<u8> {
        let signers = home.parties.iter().map(|party| &party.device);
        record(&self.statement, &signers.collect::<Vec<_>>())
    }

    fn id(&self) -> EnvelopeId {
        self.snapshot.id()
    }

    fn frontier(&self) -> Frontier {
        let rows = [self.by_ana.frontier(), self.by_ben.frontier()];
        let rows = rows.iter().flat_map(Frontier::rows);
        rows.map(|(device, row)| (*device, *row)).collect()
    }
}

impl Client {
    async fn keep_all(&mut self, envelopes: &[&Envelope]) {
        for envelope in envelopes {
            self.keep_envelope(envelope).await;
        }
    }

    async fn trim(&mut self, record: Vec<u8>) -> Result<EnvelopeId, (EnvelopeId, Refusal)> {
        self.say(&ClientMsg::Trim(record)).await;
        match self.hear().await {
            Some(RelayMsg::TrimStored(id)) => Ok(id),
            Some(RelayMsg::TrimNotStored(id, reason)) => Err((id, reason)),
            other => panic!("expected a word on the trim, heard {other:?}"),
        }
    }

    /// Subscribes from too far behind.
    async fn hear_trimmed(&mut self, home: &Home, from: Frontier, record: &[u8]) {
        self.subscribe(home, from).await;
        assert_eq!(self.hear().await, Some(RelayMsg::Trimmed(record.to_vec())));
        assert!(self.hears_nothing().await);
    }
}

/// Counters of a device in storage.
fn counters(relay: &TestRelay, home: &Home, author: &Author) -> Vec<u64> {
    let device = author.device.id();
    relay
        .store
        .counters(&home.id(), &device, 1, 999, 999)
        .unwrap()
}

async fn until_trimmed(relay: &TestRelay) {
    for _ in 0..1000 {
        if relay.store.trimming().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the trim does not end");
}

#[tokio::test]
async fn what_a_snapshot_covers_goes_and_those_who_are_behind_are_told() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut written = Written::new(&home);
    ana.keep_all(&written.all()).await;
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    let bytes = |of: &[&Envelope]| of.iter().map(|it| it.as_bytes().len() as u64).sum::<u64>();
    let held = || -> u64 {
        let heads = relay.store.heads(&home.id()).unwrap();
        heads.iter().map(|head| head.bytes).sum()
    };
    assert_eq!(held(), bytes(&written.all()));
    let signed = written.signed(&home);
    assert_eq!(ana.trim(signed.clone()).await, Ok(written.id()));
    until_trimmed(&relay).await;
    // Epochs stay, but for the retired one; what came after the cover stays.
    assert_eq!(counters(&relay, &home, &written.by_ana), [7, 13, 14]);
    assert_eq!(counters(&relay, &home, &written.by_ben), [1, 7, 13]);
    // In the order in which they came.
    let mut left = written.all();
    left.retain(|it| !written.folded.contains(it) && **it != written.epochs[0]);
    assert_eq!(held(), bytes(&left));
    let ids: Vec<EnvelopeId> = left.iter().map(|it| it.id()).collect();
    let listed = |kind| relay.store.specials(&home.id(), kind, 0, 99).unwrap().len();
    assert_eq!(listed(EnvelopeType::Burn), 0);
    assert_eq!(listed(EnvelopeType::Snapshot), 1);
    assert_eq!(listed(EnvelopeType::Endorse), 2);
    assert_eq!(listed(EnvelopeType::Epoch), 3);

    // Ben, who was there all the time, notices nothing.
    let live = ana.keep(&mut written.by_ana, b"and on").await;
    assert_eq!(ben.hear_envelope().await.id(), live.id());
    // Somebody from a year ago, and after a restart the same.
    let mut relay = relay;
    for _ in 0..2 {
        let mut late = Client::member(&relay, &home, &home.parties[1].device).await;
        late.hear_trimmed(&home, Frontier::default(), &signed).await;
        let (heard, came) = late.bootstrap().await;
        assert_eq!(heard, Some(signed.clone()));
        let came: Vec<EnvelopeId> = came.iter().map(Envelope::id).collect();
        assert_eq!(came, ids);
        late.subscribe(&home, written.statement.cover.clone()).await;
        for _ in 0..4 {
            late.hear_envelope().await;
        }
        assert_eq!(late.hear().await, Some(RelayMsg::CaughtUp));
        // What is folded in counts as stored, and the same record too.
        for envelope in [&written.folded[0], &written.epochs[0], &written.epochs[1]] {
            late.keep_envelope(envelope).await;
        }
        assert_eq!(late.trim(signed.clone()).await, Ok(written.id()));
        assert_eq!(counters(&relay, &home, &written.by_ana), [7, 13, 14, 15]);
        relay = relay.restart().await;
    }
}

#[tokio::test]
async fn only_both_parties_together_trim_and_only_what_is_true() {
    let relay = TestRelay::start().await;
    let (mut home, mut ana) = ana_at_home(&relay).await;
    let phone = Device::new("ana's phone");
    let link = home.parties[0].add(&phone);
    ana.keep_link(&link).await;
    home.parties[0].append(&link);
    let written = Written::new(&home);
    ana.keep_all(&written.all()).await;
    let (a, b) = (&home.parties[0].device, &home.parties[1].device);
    let mallory = Device::new("mallory");
    let link = home.parties[0].revoke(&phone, None);
    ana.keep_link(&link).await;

    let id = written.id();
    let good = &written.statement;
    for signers in [vec![a], vec![b], vec![b, &phone], vec![a, b, &mallory]] {
        let refused = ana.trim(record(good, &signers)).await;
        assert_eq!(refused, Err((id, Refusal::NotAdmitted)));
    }
    let mut forged = phone.clone();
    forged.public = a.public;
    let refused = ana.trim(record(good, &[&forged, b])).await;
    assert_eq!(refused, Err((id, Refusal::Violation)));

    let other_id = |statement: &TrimStatement, device: &Device, counter| {
        let mut other = statement.clone();
        let id = EnvelopeId([9; 32]);
        other.cover.set(device.id(), Position { counter, id });
        other
    };
    let mut elsewhere = good.clone();
    elsewhere.space = SpaceId([8; 32]);
    let mut stranger = good.clone();
    let position = good.cover.of(&a.id()).unwrap();
    stranger.cover.set(mallory.id(), position);
    let mut wrong_snapshot = good.clone();
    wrong_snapshot.snapshot.id = EnvelopeId([9; 32]);
    for (statement, reason) in [
        // Another envelope at the head, below it, and where the snapshot stands.
        (other_id(good, b, 12), Refusal::Conflict),
        (other_id(good, b, 5), Refusal::Conflict),
        (wrong_snapshot, Refusal::Conflict),
        // More than is here.
        (other_id(good, b, 20), Refusal::Gap),
        (elsewhere, Refusal::NotAdmitted),
        (stranger, Refusal::NotAdmitted),
    ] {
        let id = statement.snapshot.id;
        let refused = ana.trim(record(&statement, &[a, b])).await;
        assert_eq!(refused, Err((id, reason)), "{statement:?}");
    }
    let (mut words, _) = Client::with_words(&relay, &home.parties[0].login).await;
    let refused = words.trim(written.signed(&home)).await;
    assert_eq!(refused, Err((id, Refusal::NotAdmitted)));
    assert_eq!(relay.store.trim(&home.id()), Ok(None));
    assert_eq!(ana.trim(written.signed(&home)).await, Ok(id));

    // From now on only more may be covered.
    let mut less = good.clone();
    let first = Position {
        counter: 1,
        id: written.epochs[1].id(),
    };
    less.cover.set(b.id(), first);
    let mut same = good.clone();
    same.snapshot = name(&written.after[1]);
    for statement in [less, same] {
        let id = statement.snapshot.id;
        let refused = ana.trim(record(&statement, &[a, b])).await;
        assert_eq!(refused, Err((id, Refusal::Conflict)));
    }
}

#[tokio::test]
async fn records_that_are_none_end_the_session_and_no_memory_is_taken_for_huge_ones() {
    let relay = TestRelay::start().await;
    let (home, ana) = ana_at_home(&relay).await;
    drop(ana);
    let huge = vec![1; limits::TRIM + 1];
    for bytes in [Vec::new(), vec![0; 200], vec![1; 500], huge] {
        let mut ana = Client::member(&relay, &home, &home.parties[0].device).await;
        ana.say(&ClientMsg::Trim(bytes)).await;
        assert_eq!(ana.refusal().await, Refusal::Violation);
    }
}

#[tokio::test]
async fn an_empty_relay_is_filled_from_the_record_on() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut written = Written::new(&home);
    // Somebody who waits with nothing.
    let (mut ben, _) = Client::reader(&relay, &home, &home.parties[1].device).await;
    let signed = written.signed(&home);
    // All in one flight.
    ana.say(&ClientMsg::Trim(signed.clone())).await;
    let mut said = Vec::new();
    for envelope in written.epochs[1..].iter().rev() {
        said.push(envelope);
    }
    said.push(&written.snapshot);
    said.extend(&written.after);
    for envelope in &said {
        ana.say(&append(envelope)).await;
    }
    assert_eq!(ana.hear().await, Some(RelayMsg::TrimStored(written.id())));
    for envelope in &said {
        let heard = ana.hear().await;
        assert_eq!(heard, Some(RelayMsg::Stored(name(envelope))));
    }
    // Again, by two at once, and what is not needed.
    ana.keep_all(&said).await;
    ana.keep_all(&[&written.epochs[0], &written.folded[3]])
        .await;
    until_trimmed(&relay).await;
    assert_eq!(counters(&relay, &home, &written.by_ana), [7, 13, 14]);
    // Another epoch in the place of one.
    let mut twin = home.author(&home.parties[1].device);
    let fork = twin.write_as(EnvelopeType::Epoch, b"another");
    assert_eq!(ana.envelope_refused(&fork).await, Refusal::Conflict);
    // At the edge only the right one.
    let mut edge = written.by_ben.clone();
    edge.counter = 11;
    let edge = edge.write(b"not what was covered");
    assert_eq!(ana.envelope_refused(&edge).await, Refusal::Conflict);

    // Whoever was live is told at once.
    let heard = loop {
        match ben.hear().await {
            Some(RelayMsg::Envelope(_)) => {}
            other => break other,
        }
    };
    assert_eq!(heard, Some(RelayMsg::Trimmed(signed.clone())));
    let (heard, came) = ben.bootstrap().await;
    assert_eq!(heard, Some(signed));
    assert_eq!(came.len(), 6);
    ben.subscribe(&home, written.frontier()).await;
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
    let live = ana.keep(&mut written.by_ana, b"and on").await;
    assert_eq!(ben.hear_envelope().await.id(), live.id());
    // The same after it was loaded again.
    drop((ana, ben));
    let relay = relay.restart().await;
    let mut ana = Client::member(&relay, &home, &home.parties[0].device).await;
    ana.keep(&mut written.by_ben, b"from Ben").await;
    ana.keep_all(&said).await;
}

#[tokio::test]
async fn a_trim_that_the_disk_does_not_take_leaves_everything_as_it_was() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let written = Written::new(&home);
    let full = ajar_relay::storage::StoreError::DiskFull;
    relay.store.set_fault(Some(full));
    let refused = ana.trim(written.signed(&home)).await;
    assert_eq!(refused, Err((written.id(), Refusal::DiskFull)));
    relay.store.set_fault(None);
    // It is an empty relay as before.
    assert_eq!(ana.envelope_refused(&written.snapshot).await, Refusal::Gap);
    ana.keep_all(&written.all()).await;
    assert_eq!(ana.trim(written.signed(&home)).await, Ok(written.id()));
}

#[tokio::test]
async fn a_death_in_the_middle_of_deletions_is_made_up_for_at_the_next_start() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let written = Written::new(&home);
    ana.keep_all(&written.all()).await;
    let store = std::sync::Arc::clone(&relay.store);
    drop(ana);
    let device = home.parties[0].device.id();
    let head = store.heads(&home.id()).unwrap().into_iter();
    let mut head = head.clone().find(|head| head.device == device).unwrap();
    head.bytes -= written.folded[0].as_bytes().len() as u64;
    let died = vec![
        Write::Trim {
            space: home.id(),
            record: written.signed(&home),
            heads: Vec::new(),
        },
        Write::Forget {
            space: home.id(),
            counters: vec![2],
            head,
        },
    ];
    let relay = relay
        .restart_after(|| store.commit(died, Box::new(|done| done.unwrap())))
        .await;
    until_trimmed(&relay).await;
    assert_eq!(counters(&relay, &home, &written.by_ana), [7, 13, 14]);
    assert_eq!(counters(&relay, &home, &written.by_ben), [1, 7, 13]);
    assert!(store.reclaimed() > 0);
    let heads = store.heads(&home.id()).unwrap();
    let left = [
        &written.epochs[1],
        &written.epochs[2],
        &written.epochs[3],
        &written.snapshot,
        &written.after[0],
        &written.after[1],
    ];
    let left: u64 = left.iter().map(|it| it.as_bytes().len() as u64).sum();
    assert_eq!(heads.iter().map(|head| head.bytes).sum::<u64>(), left);
}

#[tokio::test]
async fn a_catch_up_that_a_trim_overtakes_has_no_silent_gap() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    let mut written = Vec::new();
    for round in 0..60 {
        written.push(ana.keep(&mut author, &vec![round; 100_000]).await);
    }
    let cover = author.frontier();
    let snapshot = author.write_as(EnvelopeType::Snapshot, b"all");
    ana.keep_envelope(&snapshot).await;
    let mut slow = Client::with_window(&relay, 50_000).await;
    let device = &home.parties[1].device;
    slow.say_login(home.id(), device.id(), &device.auth).await;
    slow.welcome().await;
    slow.subscribe(&home, Frontier::default()).await;
    assert_eq!(slow.hear_envelope().await.id(), written[0].id());
    let statement = statement(home.id(), &snapshot, &[cover], &[]);
    let both = [&home.parties[0].device, device];
    let signed = record(&statement, &both);
    assert_eq!(ana.trim(signed.clone()).await, Ok(snapshot.id()));
    until_trimmed(&relay).await;
    let mut next = 1;
    loop {
        match slow.hear().await {
            Some(RelayMsg::Envelope(bytes)) => {
                let came = Envelope::parse(&bytes).unwrap();
                assert_eq!(came.id(), written[next].id(), "in order, without a gap");
                next += 1;
            }
            Some(RelayMsg::Trimmed(heard)) => {
                assert_eq!(heard, signed);
                break;
            }
            other => panic!("expected envelopes or the trim, heard {other:?}"),
        }
    }
    assert!(next < written.len(), "it was overtaken");
    assert!(slow.hears_nothing().await);
    // What it is told in its place is enough to go on.
    let (_, came) = slow.bootstrap().await;
    assert_eq!(came.len(), 1);
    slow.subscribe(&home, author.frontier()).await;
    assert_eq!(slow.hear().await, Some(RelayMsg::CaughtUp));
}

#[tokio::test]
async fn a_trim_gives_back_what_the_quota_had_taken() {
    let relay = TestRelay::with(ajar_relay::Limits {
        bytes_per_space: 50_000,
        ..generous()
    })
    .await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let mut author = home.author(&home.parties[0].device);
    for round in 0..4 {
        ana.keep(&mut author, &vec![round; 10_000]).await;
    }
    let cover = author.frontier();
    let snapshot = author.write_as(EnvelopeType::Snapshot, b"all");
    ana.keep_envelope(&snapshot).await;
    let large = author.clone().write(&vec![0; 20_000]);
    assert_eq!(ana.envelope_refused(&large).await, Refusal::Quota);
    let statement = statement(home.id(), &snapshot, &[cover], &[]);
    let both = [&home.parties[0].device, &home.parties[1].device];
    ana.trim(record(&statement, &both)).await.unwrap();
    until_trimmed(&relay).await;
    ana.keep(&mut author, &vec![0; 40_000]).await;
}

/// Ana with a phone that has written five entries, covered by a snapshot of hers.
async fn with_phone(relay: &TestRelay) -> (Home, Home, Client, Device, Author, Author, Vec<u8>) {
    let (before, mut ana) = ana_at_home(relay).await;
    let mut home = before.clone();
    let phone = Device::new("ana's phone");
    let link = home.parties[0].add(&phone);
    ana.keep_link(&link).await;
    home.parties[0].append(&link);
    let mut by_phone = home.author(&phone);
    let mut by_ana = home.author(&home.parties[0].device);
    for _ in 0..5 {
        ana.keep(&mut by_phone, b"from the phone").await;
        ana.keep(&mut by_ana, b"from the laptop").await;
    }
    let cover = [by_ana.frontier(), by_phone.frontier()];
    let snapshot = by_ana.write_as(EnvelopeType::Snapshot, b"all");
    ana.keep_envelope(&snapshot).await;
    let statement = statement(home.id(), &snapshot, &cover, &[]);
    let both = [&home.parties[0].device, &home.parties[1].device];
    let signed = record(&statement, &both);
    ana.trim(signed.clone()).await.unwrap();
    until_trimmed(relay).await;
    (before, home, ana, phone, by_ana, by_phone, signed)
}

#[tokio::test]
async fn a_device_that_the_words_void_takes_its_row_out_of_the_next_record_only() {
    let relay = TestRelay::start().await;
    let (before, _, ana, phone, mut by_ana, by_phone, signed) = with_phone(&relay).await;
    // The words outrank the link by which the phone came.
    let laptop = Device::new("ana's new laptop");
    let mut home = before;
    let recovered = home.parties[0].recover(&laptop);
    let (mut words, _) = Client::with_words(&relay, &home.parties[0].login).await;
    words.keep_link(&recovered).await;
    home.parties[0].append(&recovered);
    drop((ana, words));

    // Its row holds nobody back who knows the others' envelopes.
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    ben.subscribe(&home, by_ana.frontier()).await;
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
    ben.hear_trimmed(&home, Frontier::default(), &signed).await;
    let refused = ben.envelope_refused(&by_phone.clone().write(b"more")).await;
    assert_eq!(refused, Refusal::NotAdmitted);

    // The next record does without it, and cannot name it.
    let mut ana = Client::member(&relay, &home, &laptop).await;
    ana.keep(&mut by_ana, b"goes on").await;
    let cover = [by_ana.frontier()];
    let snapshot = by_ana.write_as(EnvelopeType::Snapshot, b"again");
    ana.keep_envelope(&snapshot).await;
    let both = [&laptop, &home.parties[1].device];
    let named = statement(
        home.id(),
        &snapshot,
        &[by_phone.frontier(), cover[0].clone()],
        &[],
    );
    let refused = ana.trim(record(&named, &both)).await;
    assert_eq!(refused, Err((snapshot.id(), Refusal::NotAdmitted)));
    let signed_by_phone = statement(home.id(), &snapshot, &cover, &[]);
    let refused = ana
        .trim(record(&signed_by_phone, &[&phone, &laptop, both[1]]))
        .await;
    assert_eq!(refused, Err((snapshot.id(), Refusal::NotAdmitted)));
    let stored = ana.trim(record(&signed_by_phone, &both)).await;
    assert_eq!(stored, Ok(snapshot.id()));
    until_trimmed(&relay).await;
    let relay = relay.restart().await;
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    ben.subscribe(&home, by_ana.frontier()).await;
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
}

#[tokio::test]
async fn a_cut_below_the_floor_moves_no_floor() {
    let relay = TestRelay::start().await;
    let (_, mut home, mut ana, phone, mut by_ana, by_phone, signed) = with_phone(&relay).await;
    // Only the first of the phone's envelopes is to count; all five are folded in.
    let mut again = home.author(&phone);
    let first = again.write(b"from the phone");
    let second = again.write(b"from the phone");
    let link = home.parties[0].revoke(&phone, Some(name(&first)));
    ana.keep_link(&link).await;
    home.parties[0].append(&link);
    ana.keep_envelope(&first).await;
    assert_eq!(ana.envelope_refused(&second).await, Refusal::Revoked);
    let more = by_phone.clone().write(b"more");
    assert_eq!(ana.envelope_refused(&more).await, Refusal::Revoked);
    let mut ben = Client::member(&relay, &home, &home.parties[1].device).await;
    let mut from = by_ana.frontier();
    let id = first.id();
    from.set(phone.id(), Position { counter: 1, id });
    ben.hear_trimmed(&home, from.clone(), &signed).await;
    // The next record keeps the row as it was.
    ana.keep(&mut by_ana, b"goes on").await;
    let (mine, phones) = (by_ana.frontier(), by_phone.frontier());
    let snapshot = by_ana.write_as(EnvelopeType::Snapshot, b"again");
    ana.keep_envelope(&snapshot).await;
    let both = [&home.parties[0].device, &home.parties[1].device];
    let less = statement(home.id(), &snapshot, &[mine.clone(), from], &[]);
    let refused = ana.trim(record(&less, &both)).await;
    assert_eq!(refused, Err((snapshot.id(), Refusal::Conflict)));
    let kept = statement(home.id(), &snapshot, &[mine, phones], &[]);
    assert_eq!(ana.trim(record(&kept, &both)).await, Ok(snapshot.id()));
}

#[tokio::test]
async fn a_relay_that_has_only_a_part_asks_for_the_rest() {
    let relay = TestRelay::start().await;
    let (home, mut ana) = ana_at_home(&relay).await;
    let written = Written::new(&home);
    ana.keep_all(&written.all()).await;
    ana.trim(written.signed(&home)).await.unwrap();
    // A second relay that heard of Ana's first only.
    let second = TestRelay::start().await;
    let claim = Credential::Claim(second.claim(1));
    let mut ana = Client::founder(&second, &home, &home.parties[0].device, claim).await;
    ana.keep_envelope(&written.epochs[0]).await;
    let refused = ana.trim(written.signed(&home)).await;
    assert_eq!(refused, Err((written.id(), Refusal::Gap)));
}
