//! What a partner may put into a text or a date, and what the other one's program does with it.
//! Numbers are those of the attack catalogue.

use std::net::{TcpListener, UdpSocket};

use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;

fn two(relay: &Relay) -> (Person, Person) {
    let ana = Person::with_home("Ana", &relay.invite());
    let ben = Person::with_home("Ben", &relay.invite());
    pair(&ana, &ben);
    (ana, ben)
}

/// What a person sees, without `--json`.
fn seen(person: &Person, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(ajar_tests::binary("ajar"));
    command
        .args(arguments)
        .env("AJAR_HOME", person.home())
        .env("AJAR_PASSPHRASE", &person.passphrase);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

#[test]
fn t075_a_date_that_is_to_come_is_said_to_be_one_and_the_order_stays() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    for (date, text) in [
        ("9999-12-31", "the end"),
        ("1970-01-01", "the beginning"),
        ("2026-07-01", "a summer"),
    ] {
        let kept = ben.ajar(&["write", "--date", date, "--title", text, text]);
        let id = kept.json()["id"].as_str().unwrap().to_owned();
        let opened = ben.ajar(&["open", &id, "--stage", "room", "--yes"]);
        assert_eq!(opened.code, 0, "{opened:?}");
    }
    ana.sync();
    let list = seen(&ana, &["list", "--us"]);
    let place = |text: &str| list.find(text).expect("it is in the list");
    assert!(place("the end") < place("a summer"), "{list}");
    assert!(place("a summer") < place("the beginning"), "{list}");
    let marked: Vec<&str> = list
        .lines()
        .filter(|line| line.contains("(dated in the future)"))
        .collect();
    assert_eq!(marked.len(), 1, "{list}");
    assert!(marked[0].contains("the end"), "{list}");
    let id = marked[0].split_whitespace().next().unwrap();
    let shown = seen(&ana, &["show", id]);
    assert!(shown.contains("(dated in the future)"), "{shown}");
}

#[test]
fn t082_a_picture_from_elsewhere_in_a_text_is_never_fetched() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let hearing = UdpSocket::bind(listening.local_addr().unwrap()).unwrap();
    for socket in [
        listening.set_nonblocking(true),
        hearing.set_nonblocking(true),
    ] {
        socket.unwrap();
    }
    let sink = format!("http://{}/pixel.png", listening.local_addr().unwrap());
    let text = format!(
        "![a picture]({sink})\n\n<img src=\"{sink}\">\n\n[a link]({sink})\n\n{sink}\n\nend"
    );
    let id = ben.write("pictures", &text);
    let opened = ben.ajar(&["open", &id, "--stage", "room", "--yes"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    ana.sync();
    let list = seen(&ana, &["list", "--us"]);
    let id = list.split_whitespace().next().unwrap();
    assert!(seen(&ana, &["show", id]).contains(&sink));
    assert!(!seen(&ana, &["search", "picture"]).is_empty());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("journal.md");
    let _ = seen(&ana, &["export", out.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&out).unwrap().contains(&sink));
    ana.sync();
    // Nobody has come by.
    assert!(listening.accept().is_err(), "somebody fetched the picture");
    assert!(
        hearing.recv(&mut [0; 16]).is_err(),
        "somebody sent a packet"
    );
}
