//! The real binary: its commands, its exit codes, its logs, and what survives `kill -9`.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::{ClientMsg, Credential};
use ajar_protocol::relay_msg::RelayMsg;
use ajar_protocol::{Envelope, Frontier};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Client, PATIENCE};
use crate::people::{Home, append};

fn command(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ajar-relay"));
    command.args(words).env_clear();
    command.env("AJAR_RELAY_DATA", data);
    command
}

pub(crate) fn run(data: &Path, words: &[&str]) -> Output {
    command(data, words).output().unwrap()
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A running relay process, killed when the test ends.
pub(crate) struct Process {
    child: Child,
    listen: SocketAddr,
    address: RelayAddress,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(data: &Path, listen: &str) -> Self {
        let file = data.join("ready.json");
        let _ = std::fs::remove_file(&file);
        let file_name = file.to_str().unwrap();
        let child = command(
            data,
            &["serve", "--listen", listen, "--ready-file", file_name],
        )
        .env("AJAR_RELAY_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let start = Instant::now();
        while !file.exists() {
            assert!(start.elapsed() < PATIENCE, "the relay never became ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        Self {
            child,
            listen: ready["listen"].as_str().unwrap().parse().unwrap(),
            address: ready["address"].as_str().unwrap().parse().unwrap(),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::to(self.listen, self.address.key).await
    }

    pub(crate) async fn member(&self, home: &Home) -> (Client, Frontier) {
        let mut client = self.client().await;
        let device = &home.parties[0].device;
        client.say_login(home.id(), device.id(), &device.auth).await;
        let (_, frontier) = client.welcome().await;
        (client, frontier)
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and returns exit code, stdout and stderr.
    pub(crate) fn stop(mut self) -> (i32, String, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (self.child.wait().unwrap().code().unwrap(), out, err)
    }
}

fn invited(data: &Path) -> RelayAddress {
    let (code, out, err) = said(&run(data, &["invite", "--json"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let answer: Value = serde_json::from_str(&out).unwrap();
    answer["address"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn init_serve_invite_stop_and_the_logs_name_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let (code, out, _) = said(&run(data, &["init", "--host", "journal.example.org"]));
    assert_eq!(code, 0);
    let printed: RelayAddress = out.parse().unwrap();
    assert_eq!(
        (printed.host.as_str(), printed.port),
        ("journal.example.org", 4433)
    );
    let (code, _, err) = said(&run(data, &["init"]));
    assert_eq!(code, 1);
    assert!(err.contains("holds a relay already"), "{err}");

    let relay = Process::start(data, "127.0.0.1:0");
    assert_eq!(relay.address.key, printed.key);
    let invitation = invited(data);
    assert_eq!(invitation.without_claim(), printed);
    let claim = Credential::Claim(invitation.claim.unwrap());
    let home = Home::private("ana");
    let mut ana = relay.client().await;
    ana.found(&home, &home.parties[0].device, claim).await;
    let mut author = home.author(&home.parties[0].device);
    let kept = ana.keep(&mut author, b"kept").await;

    let (code, _, err) = said(&run(data, &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, 1);
    assert!(err.contains("another ajar-relay"), "{err}");
    let (code, _, err) = said(&run(data, &["spaces"]));
    assert_eq!(code, 1);
    assert!(err.contains("stop it first"), "{err}");

    let (code, out, err) = relay.stop();
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 1);
    assert!(out.starts_with("ready: listening on 127.0.0.1:"), "{out}");
    assert!(err.contains("a space was admitted"), "{err}");
    let device = home.parties[0].device.id();
    for secret in [
        home.id().to_hex(),
        device.to_hex(),
        kept.id().to_hex(),
        "127.0.0.1".to_owned(),
        invitation.to_string(),
    ] {
        let head: String = secret.chars().take(8).collect();
        assert!(!err.contains(&head), "{head} in {err}");
    }

    let (code, out, _) = said(&run(data, &["spaces", "--json"]));
    assert_eq!(code, 0);
    let spaces: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(spaces[0]["id"], home.id().to_hex());
    assert_eq!(spaces[0]["envelopes"], 1);
    let (code, out, _) = said(&run(data, &["doctor"]));
    assert_eq!(code, 0);
    assert!(out.contains("1 spaces, 0 damaged records"), "{out}");
}

#[test]
fn mistakes_end_with_a_message_and_the_right_code() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let fails = |words: &[&str], expected: i32, part: &str| {
        let (code, _, err) = said(&run(data, words));
        assert_eq!(code, expected, "{err}");
        assert!(err.contains(part), "{err}");
    };
    fails(&["serve"], 1, "ajar-relay init");
    fails(&["invite"], 1, "ajar-relay init");
    fails(&["doctor"], 1, "ajar-relay init");
    assert!(!data.join("db").exists(), "a wrong folder stays untouched");
    fails(&["serve", "--listen", "nowhere"], 2, "--listen");
    fails(&["dance"], 2, "dance");
    assert_eq!(said(&run(data, &["init"])).0, 0);
    fails(&["serve", "--config", "/no/such/file"], 1, "/no/such/file");
    std::fs::write(data.join("relay.toml"), "lisen = \"[::]:1\"").unwrap();
    fails(&["serve"], 1, "unknown field");
    fails(&["config", "check"], 1, "unknown field");
    std::fs::write(data.join("relay.toml"), "[limits]\nmailboxes = 7\n").unwrap();
    let (code, out, _) = said(&run(data, &["config", "check"]));
    assert_eq!(code, 0);
    assert!(out.contains("mailboxes = 7"), "{out}");
    // What is in force, kept as the configuration, is in force again.
    std::fs::write(data.join("relay.toml"), &out).unwrap();
    assert_eq!(said(&run(data, &["config", "check"])).1, out);
    let (code, _, err) = said(&run(data, &["invite", "--json", "--host", "two words"]));
    assert_eq!(code, 1);
    let error: Value = serde_json::from_str(&err).unwrap();
    assert!(error["error"]["message"].is_string());
    assert_eq!(error["error"]["code"], "bad-address");
    assert!(error["error"].as_object().unwrap().contains_key("hint"));
}

#[test]
fn an_invitation_that_only_this_machine_could_use_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(said(&run(data, &["init"])).0, 0);
    let (_, out, err) = said(&run(data, &["invite"]));
    assert!(
        out.parse::<RelayAddress>().is_ok() && err.contains("this machine only"),
        "{err}"
    );
    let (_, out, err) = said(&run(data, &["invite", "--host", "relay.example.org"]));
    assert!(
        out.parse::<RelayAddress>().is_ok() && !err.contains("this machine only"),
        "{err}"
    );
    assert!(err.contains("in quotes"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_core_file_with_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(said(&run(data, &["init"])).0, 0);
    let relay = Process::start(data, "127.0.0.1:0");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let values: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(values[4..6], ["0", "0"], "{core}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(said(&run(data, &["init"])).0, 0);
    let home = Home::private("ana");
    let device = &home.parties[0].device;
    let mut author = home.author(device);
    let mut written: Vec<Envelope> = Vec::new();
    let mut acknowledged = 0;
    let mut relay = Process::start(data, "127.0.0.1:0");
    let claim = Credential::Claim(invited(data).claim.unwrap());
    relay.client().await.found(&home, device, claim).await;
    for round in 0..8u64 {
        let (mut client, frontier) = relay.member(&home).await;
        let stored = usize::try_from(frontier.counter(&device.id())).unwrap();
        assert!(stored >= acknowledged, "{stored} of {acknowledged} left");
        // What is there is what was written, to the last byte.
        client.subscribe(&home, Frontier::default()).await;
        for envelope in &written[..stored] {
            assert_eq!(&client.hear_envelope().await, envelope);
        }
        assert_eq!(client.hear().await, Some(RelayMsg::CaughtUp));

        let until = Instant::now() + Duration::from_millis(40 + 37 * round);
        let Client {
            mut send, mut recv, ..
        } = client;
        while written.len() < stored + 3000 {
            written.push(author.write(&[0; 300]));
        }
        let unsent: Vec<Envelope> = written[stored..].to_vec();
        let sending = tokio::spawn(async move {
            for envelope in &unsent {
                if send.write_all(&append(envelope).to_frame()).await.is_err() {
                    return;
                }
            }
            // Keeps the stream open until the connection is gone.
            let _ = send.stopped().await;
        });
        let mut heard = stored;
        while Instant::now() < until {
            let mut frame = [0; 77];
            let read = tokio::time::timeout_at(until.into(), recv.read_exact(&mut frame)).await;
            let Ok(Ok(())) = read else { break };
            let Ok(RelayMsg::Stored(name)) = RelayMsg::parse(&frame[4..]) else {
                panic!("not stored");
            };
            heard += 1;
            assert_eq!(name.counter, heard as u64, "in order");
        }
        relay.child.kill().unwrap();
        relay.child.wait().unwrap();
        acknowledged = acknowledged.max(heard);
        sending.abort();
        relay = Process::start(data, "127.0.0.1:0");
    }
    let (_, frontier) = relay.member(&home).await;
    let stored = usize::try_from(frontier.counter(&device.id())).unwrap();
    assert!(stored >= acknowledged);
    assert!(acknowledged > 100, "only {acknowledged} were tried");
}

#[tokio::test]
async fn a_lost_db_folder_is_filled_again_by_permit() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(said(&run(data, &["init"])).0, 0);
    let home = Home::private("ana");
    let device = &home.parties[0].device;
    let mut author = home.author(device);
    let relay = Process::start(data, "127.0.0.1:0");
    let mut ana = relay.client().await;
    ana.introduce(&home, Credential::Claim(invited(data).claim.unwrap()))
        .await;
    let Some(RelayMsg::Admitted(permit)) = ana.hear().await else {
        panic!("not admitted");
    };
    ana.say(&ClientMsg::AppendLink(home.links()[0].as_bytes().to_vec()))
        .await;
    ana.say_login(home.id(), device.id(), &device.auth).await;
    ana.hear().await.unwrap();
    ana.welcome().await;
    let kept = ana.keep(&mut author, b"kept").await;
    assert_eq!(relay.stop().0, 0);
    std::fs::remove_dir_all(data.join("db")).unwrap();

    let relay = Process::start(data, "127.0.0.1:0");
    let mut ana = relay.client().await;
    ana.found(&home, device, Credential::Permit(permit)).await;
    ana.say(&append(&kept)).await;
    assert!(matches!(ana.hear().await, Some(RelayMsg::Stored(_))));
}

#[tokio::test]
async fn a_relay_that_was_killed_and_is_back_ends_the_connections_of_its_former_life() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(said(&run(data, &["init"])).0, 0);
    let process = Process::start(data, "127.0.0.1:0");
    let (listen, mut client) = (process.listen.to_string(), process.client().await);
    process.kill();
    let _process = Process::start(data, &listen);
    client.send.write_all(b"is somebody there?").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, client.connection.closed()).await;
    // Not the 30 seconds of silence after which a connection is given up.
    assert_eq!(ended.unwrap(), quinn::ConnectionError::Reset);
}
