//! What every back end must do, as one suite: [`run`] on an empty store, then [`still_there`] on
//! the same store, reopened if it can be.

use std::sync::mpsc;

use ajar_protocol::{BlobId, DeviceId, EnvelopeId, EnvelopeType, PartyId, SpaceId};

use super::{Blob, Head, Store, StoreError, Write};

const SPACE: SpaceId = SpaceId([1; 32]);
/// Differs from [`SPACE`] in its last byte only.
const NEIGHBOUR: SpaceId = {
    let mut id = [1; 32];
    id[31] = 2;
    SpaceId(id)
};
const TRIMMED: SpaceId = SpaceId([3; 32]);
const ANA: DeviceId = DeviceId([7; 32]);
const BEN: DeviceId = DeviceId([8; 32]);
const PARTY: PartyId = PartyId([9; 32]);
const NEIGHBOURS: PartyId = PartyId([10; 32]);
const CLAIM: [u8; 32] = [5; 32];
const LOGIN: [u8; 32] = [6; 32];

fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<(), StoreError> {
    let (tell, told) = mpsc::channel();
    store.commit(
        writes,
        Box::new(move |result| tell.send(result).expect("the suite waits for it")),
    );
    told.recv().expect("a store always calls back")
}

fn text(device: DeviceId, counter: u64) -> Vec<u8> {
    format!("{device:?} {counter}").into_bytes()
}

fn envelope(space: SpaceId, device: DeviceId, counter: u64) -> Write {
    typed(space, device, counter, EnvelopeType::Changes)
}

fn typed(space: SpaceId, device: DeviceId, counter: u64, kind: EnvelopeType) -> Write {
    Write::Envelope {
        space,
        counter,
        kind,
        head: head(device, counter),
        bytes: text(device, counter),
    }
}

fn blob(byte: u8, party: u8, length: u64) -> Blob {
    Blob {
        id: BlobId([byte; 32]),
        party,
        length,
    }
}

fn head(device: DeviceId, counter: u64) -> Head {
    let mut id = [0; 32];
    id.split_at_mut(8).0.copy_from_slice(&counter.to_be_bytes());
    Head {
        device,
        counter,
        id: EnvelopeId(id),
        bytes: counter * 100,
    }
}

/// Fills an empty store and checks each answer.
///
/// # Panics
/// When the store breaks its contract.
pub fn run(store: &dyn Store) {
    assert_eq!(store.genesis(&SPACE), Ok(None), "empty: no genesis");
    assert_eq!(store.heads(&SPACE), Ok(Vec::new()), "empty: no heads");
    assert_eq!(store.claim_uses(&CLAIM), Ok(None), "empty: no claim");
    assert_eq!(store.login(&LOGIN), Ok(None), "empty: no login");
    assert_eq!(store.logins_complete(), Ok(false), "empty: nobody said so");
    let link = |seq: u64| Write::Link {
        space: SPACE,
        party: PARTY,
        seq,
        bytes: seq.to_be_bytes().to_vec(),
    };
    let admission = vec![
        Write::Genesis {
            space: SPACE,
            bytes: b"genesis".to_vec(),
        },
        link(0),
        link(1),
        Write::Login {
            login: LOGIN,
            space: SPACE,
        },
        Write::ClaimUses {
            claim: CLAIM,
            uses: 1,
        },
    ];
    commit(store, admission).expect("an admission is one commit");
    commit(store, vec![envelope(SPACE, BEN, 1)]).expect("Ben's first");
    commit(
        store,
        vec![envelope(SPACE, ANA, 1), envelope(SPACE, ANA, 2)],
    )
    .expect("two at once");
    commit(store, vec![envelope(NEIGHBOUR, ANA, 1)]).expect("another space");
    // Counter 256 follows 255 in number and in bytes.
    for counter in 2..=256 {
        let kind = match counter {
            250 => EnvelopeType::Snapshot,
            n if n % 100 == 0 => EnvelopeType::Epoch,
            _ => EnvelopeType::Changes,
        };
        commit(store, vec![typed(SPACE, BEN, counter, kind)]).expect("more of Ben's");
    }
    let epochs = [3, 4].map(|counter| typed(SPACE, ANA, counter, EnvelopeType::Epoch));
    commit(store, epochs.to_vec()).expect("Ana's epochs in one commit");
    commit(
        store,
        vec![Write::ClaimUses {
            claim: CLAIM,
            uses: 2,
        }],
    )
    .expect("a second use");
    let elsewhere = Write::Login {
        login: LOGIN,
        space: NEIGHBOUR,
    };
    commit(store, vec![elsewhere]).expect("a key that another space has already");
    commit(store, vec![Write::LoginsComplete]).expect("a word about the index");
    trim(store);
    outrank(store, &link);
    keep_blobs(store);
    still_there(store);
}

/// Links 2 to 5 come, then another link 2, which outranks them, with one that follows it; and a
/// party of which only GENESIS stays. All of a kind within one commit, where the order counts.
fn outrank(store: &dyn Store, link: &dyn Fn(u64) -> Write) {
    let more = (2..=5).map(link).collect();
    commit(store, more).expect("more links");
    let unlink = |party, from, to| Write::Unlink {
        space: SPACE,
        party,
        from,
        to,
    };
    let new = |seq| Write::Link {
        space: SPACE,
        party: PARTY,
        seq,
        bytes: b"by the words".to_vec(),
    };
    commit(store, vec![new(2), unlink(PARTY, 3, 6), new(3)]).expect("what outranks them");
    let other = |seq| Write::Link {
        space: SPACE,
        party: NEIGHBOURS,
        seq,
        bytes: b"of the other party".to_vec(),
    };
    let later = vec![other(0), other(1), other(2), unlink(NEIGHBOURS, 1, 3)];
    commit(store, later).expect("links that are voided in the commit they come in");
}

/// What a trim of a third space does.
fn trim(store: &dyn Store) {
    assert_eq!(store.trim(&TRIMMED), Ok(None), "empty: no record");
    for (counter, kind) in [
        (1, EnvelopeType::Epoch),
        (2, EnvelopeType::Changes),
        (3, EnvelopeType::Burn),
        (4, EnvelopeType::Changes),
    ] {
        commit(store, vec![typed(TRIMMED, ANA, counter, kind)]).expect("Ana's");
    }
    let record = |text: &[u8], heads| Write::Trim {
        space: TRIMMED,
        record: text.to_vec(),
        heads,
    };
    commit(store, vec![record(b"old", vec![head(BEN, 9)])]).expect("a record");
    commit(store, vec![record(b"record", Vec::new())]).expect("a newer one");
    assert_eq!(store.trimming(), Ok(vec![TRIMMED]));
    let forget = Write::Forget {
        space: TRIMMED,
        counters: vec![2, 3],
        head: Head {
            bytes: 7,
            ..head(ANA, 4)
        },
    };
    let burn = store.specials(&TRIMMED, EnvelopeType::Burn, 0, 9);
    let unlist = Write::Unlist {
        space: TRIMMED,
        kind: EnvelopeType::Burn,
        special: burn.expect("a list").first().copied().expect("one"),
    };
    commit(store, vec![forget, unlist]).expect("a deletion");
    commit(store, vec![Write::Trimmed { space: TRIMMED }]).expect("an end");
    store.reclaim().expect("room can be given back");
}

/// Blobs come in parts, become whole, are stored and deleted.
fn keep_blobs(store: &dyn Store) {
    let files = store.files();
    let id = BlobId([1; 32]);
    assert_eq!(files.begin(&SPACE, &id), Ok((0, false)), "empty: no part");
    assert_eq!(files.list(&SPACE, false), Ok(Vec::new()), "empty: no file");
    files.write(&SPACE, &id, 0, b"0123456789").expect("a part");
    files.write(&SPACE, &id, 4, b"abc").expect("on from 4");
    assert_eq!(
        files.begin(&SPACE, &id),
        Ok((7, false)),
        "a part ends with what came"
    );
    assert_eq!(files.read(&SPACE, &id, false, 3, 3), Ok(b"3ab".to_vec()));
    assert_eq!(files.read(&SPACE, &id, false, 7, 3), Ok(Vec::new()));
    assert_eq!(
        files.read(&SPACE, &id, true, 0, 1),
        Err(StoreError::Damaged),
        "it is not whole"
    );
    files.finish(&SPACE, &id).expect("it is whole now");
    assert_eq!(
        files.begin(&SPACE, &id),
        Ok((7, true)),
        "whole without a record"
    );
    files.finish(&SPACE, &id).expect("once more");
    let write = |blob, space| Write::Blob { space, blob };
    let (first, second, gone) = (blob(1, 0, 7), blob(2, 1, 5), blob(3, 1, 5));
    commit(store, vec![write(first, SPACE), write(gone, SPACE)]).expect("two");
    commit(store, vec![write(second, SPACE)]).expect("of the other party");
    commit(store, vec![write(gone, NEIGHBOUR)]).expect("of another space");
    let unblob = Write::Unblob {
        space: SPACE,
        blob: gone,
    };
    commit(store, vec![unblob]).expect("a deletion");
    // A part that is given up, and one that stays.
    for byte in [3, 2] {
        let id = BlobId([byte; 32]);
        files.write(&SPACE, &id, 0, b"part").expect("a part");
    }
    for _ in 0..2 {
        files.remove(&SPACE, &gone.id, false).expect("gone or not");
    }
}

/// Checks that blobs and the index of envelopes that are not CHANGES are there.
fn others_still_there(store: &dyn Store) {
    let specials = |kind, from, most| {
        let found = store.specials(&SPACE, kind, from, most);
        found.expect("the index can be read")
    };
    let epochs = specials(EnvelopeType::Epoch, 0, 9);
    let named: Vec<_> = epochs.iter().map(|it| (it.device, it.counter)).collect();
    assert_eq!(named, [(BEN, 100), (BEN, 200), (ANA, 3), (ANA, 4)]);
    let mut from = 0;
    for epoch in &epochs {
        assert_eq!(specials(EnvelopeType::Epoch, from, 1), [*epoch], "a page");
        from = epoch.arrival + 1;
    }
    assert_eq!(specials(EnvelopeType::Epoch, from, 9), []);
    assert_eq!(specials(EnvelopeType::Snapshot, 0, 9).len(), 1);
    assert_eq!(specials(EnvelopeType::Endorse, 0, 9), []);
    assert_eq!(store.specials_indexed(&SPACE), Ok(true));
    let counters = |from, to, most| store.counters(&SPACE, &BEN, from, to, most);
    assert_eq!(counters(254, 300, 2), Ok(vec![254, 255]));
    assert_eq!(counters(255, 255, 9), Ok(vec![255]));
    assert_eq!(counters(9, 8, 9), Ok(Vec::new()));

    assert_eq!(store.trim(&TRIMMED), Ok(Some(b"record".to_vec())));
    assert_eq!(store.trimming(), Ok(Vec::new()));
    assert_eq!(store.counters(&TRIMMED, &ANA, 1, 9, 9), Ok(vec![1, 4]));
    let left = Head {
        bytes: 7,
        ..head(ANA, 4)
    };
    assert_eq!(store.heads(&TRIMMED), Ok(vec![left, head(BEN, 9)]));
    let listed = |kind| store.specials(&TRIMMED, kind, 0, 9).map(|all| all.len());
    assert_eq!(listed(EnvelopeType::Burn), Ok(0));
    assert_eq!(listed(EnvelopeType::Epoch), Ok(1));

    assert_eq!(store.blobs(&SPACE), Ok(vec![blob(1, 0, 7), blob(2, 1, 5)]));
    assert_eq!(store.blobs(&NEIGHBOUR), Ok(vec![blob(3, 1, 5)]));
    let one = |byte| store.blob(&SPACE, &BlobId([byte; 32]));
    assert_eq!(one(1), Ok(Some(blob(1, 0, 7))));
    assert_eq!(one(3), Ok(None), "deleted");
    let files = store.files();
    assert_eq!(
        files.read(&SPACE, &BlobId([1; 32]), true, 0, 99),
        Ok(b"0123abc".to_vec())
    );
    let parts = files.list(&SPACE, true).expect("parts can be listed");
    let parts: Vec<_> = parts.iter().map(|it| (it.blob, it.length)).collect();
    assert_eq!(parts, [(BlobId([2; 32]), 4)]);
    assert_eq!(files.list(&SPACE, false).map(|all| all.len()), Ok(2));
    assert_eq!(files.spaces(), Ok(vec![SPACE]));
}

/// Checks that all that [`run`] stored is there.
///
/// # Panics
/// When the store breaks its contract.
pub fn still_there(store: &dyn Store) {
    assert_eq!(store.genesis(&SPACE), Ok(Some(b"genesis".to_vec())));
    assert_eq!(store.genesis(&NEIGHBOUR), Ok(None), "never introduced");
    assert_eq!(store.spaces(), Ok(vec![SPACE]));
    assert_eq!(store.spaces_beginning(1), Ok(vec![SPACE]));
    assert_eq!(store.spaces_beginning(2), Ok(Vec::new()));
    assert_eq!(
        store.link(&SPACE, &PARTY, 1),
        Ok(Some(1u64.to_be_bytes().to_vec()))
    );
    let link = |party, seq| store.link(&SPACE, party, seq);
    for seq in [2, 3] {
        assert_eq!(link(&PARTY, seq), Ok(Some(b"by the words".to_vec())));
    }
    for seq in [4, 5, 6] {
        assert_eq!(link(&PARTY, seq), Ok(None), "voided, or never there");
    }
    let only = Ok(Some(b"of the other party".to_vec()));
    assert_eq!(
        link(&NEIGHBOURS, 0),
        only,
        "another party loses its own only"
    );
    assert_eq!(link(&NEIGHBOURS, 1), Ok(None), "voided");
    assert_eq!(store.login(&LOGIN), Ok(Some(SPACE)), "the first one stays");
    assert_eq!(store.login(&CLAIM), Ok(None), "no such login");
    assert_eq!(store.logins_complete(), Ok(true));
    assert_eq!(
        store.heads(&SPACE),
        Ok(vec![head(ANA, 4), head(BEN, 256)]),
        "the newest head of each device, of this space only"
    );
    assert_eq!(store.heads(&NEIGHBOUR), Ok(vec![head(ANA, 1)]));
    for (device, last) in [(ANA, 4), (BEN, 256)] {
        for counter in 1..=last {
            assert_eq!(
                store.envelope(&SPACE, &device, counter),
                Ok(Some(text(device, counter)))
            );
        }
        assert_eq!(store.envelope(&SPACE, &device, last + 1), Ok(None));
    }
    let at = |device, counter| {
        store
            .arrival(&SPACE, &device, counter)
            .expect("arrivals can be read")
            .expect("the envelope is there")
    };
    assert!(at(BEN, 1) < at(ANA, 1), "arrival is across devices");
    assert!(at(ANA, 1) < at(ANA, 2), "and within one commit");
    assert!(at(ANA, 2) < at(BEN, 2));
    assert_eq!(store.arrival(&SPACE, &BEN, 257), Ok(None));
    assert_eq!(store.claim_uses(&CLAIM), Ok(Some(2)));
    others_still_there(store);
}
