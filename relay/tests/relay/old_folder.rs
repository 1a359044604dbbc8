//! The real binary on a data folder that a relay of the first version wrote.

use std::path::Path;
use std::sync::mpsc;

use ajar_protocol::SpaceId;
use ajar_relay::storage::{LocalStore, Store, Write};

use crate::binary::{Process, run};
use crate::client::Client;
use crate::people::{Device, Home};

/// Stores spaces as the first version did: no login keys, and no word about an index of them.
fn store_as_before(data: &Path, homes: &[Home]) {
    let mut writes = vec![Write::Genesis {
        space: SpaceId([9; 32]),
        bytes: b"damaged".to_vec(),
    }];
    for home in homes {
        let space = home.id();
        writes.push(Write::Genesis {
            space,
            bytes: home.genesis.encode(),
        });
        for party in &home.parties {
            for link in party.chain.links() {
                writes.push(Write::Link {
                    space,
                    party: party.chain.id(),
                    seq: link.seq,
                    bytes: link.as_bytes().to_vec(),
                });
            }
        }
    }
    let store = LocalStore::open(&data.join("db"), &data.join("blobs")).unwrap();
    let (tell, told) = mpsc::channel();
    store.commit(
        writes,
        Box::new(move |result| tell.send(result).expect("we wait for it")),
    );
    told.recv().unwrap().unwrap();
    store.close().unwrap();
}

#[tokio::test]
async fn a_data_folder_from_before_gets_its_index_once_and_keeps_what_the_words_did() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert!(run(data, &["init", "--host", "127.0.0.1"]).status.success());
    let ana = Home::private("ana");
    let mut both = Home::shared("ana with ben", "ben with ana");
    let phone = Device::new("ana's phone");
    let added = both.parties[0].add(&phone);
    let before = both.parties[0].clone();
    both.parties[0].append(&added);
    store_as_before(data, &[ana.clone(), both.clone()]);

    let relay = Process::start(data, "127.0.0.1:0");
    for home in [&ana, &both] {
        for party in &home.parties {
            let mut client = relay.client().await;
            client.say_words(&party.login).await;
            assert_eq!(client.genesis().await, home.genesis);
        }
    }
    let laptop = Device::new("ana's new laptop");
    let recovered = before.recover(&laptop);
    let mut words = relay.client().await;
    words.say_words(&before.login).await;
    words.genesis().await;
    words.welcome().await;
    words.keep_link(&recovered).await;
    let (code, _, err) = relay.stop();
    assert_eq!(code, 0);
    let built = "the index of recovery logins is built spaces=3 damaged=1";
    assert!(err.contains(built), "{err}");

    let relay = Process::start(data, "127.0.0.1:0");
    let mut client = relay.client().await;
    client.say_login(both.id(), laptop.id(), &laptop.auth).await;
    assert_eq!(client.welcome().await.0, [2, 1]);
    let mut client = relay.client().await;
    client.say_login(both.id(), phone.id(), &phone.auth).await;
    client.refusal().await;
    let mut words: Client = relay.client().await;
    words.say_words(&ana.parties[0].login).await;
    assert_eq!(words.genesis().await, ana.genesis);
    let (_, _, err) = relay.stop();
    assert!(!err.contains("index of recovery logins"), "{err}");
}
