//! Load on the real binary over loopback, for targets P1, P2 and P8: time until the other sees
//! an envelope, durable appends a second, memory of idle devices. Figures are to be read as
//! ratios to what the same machine does at the same time.
//!
//! `cargo bench -p ajar-relay`; `AJAR_BENCH_IDLE` sets the number of idle devices (1000).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "a measuring program, with the client of the tests"
)]

#[path = "../tests/relay/client.rs"]
mod client;
#[path = "../tests/relay/people.rs"]
mod people;
#[path = "../tests/relay/server.rs"]
mod server;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ajar_protocol::address::RelayAddress;
use ajar_protocol::client_msg::Credential;
use ajar_protocol::relay_msg::RelayMsg;
use quinn::Endpoint;

use crate::client::Client;
use crate::people::{Home, append};

struct Relay {
    child: Child,
    address: RelayAddress,
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Relay {
    fn start(data: &Path) -> Self {
        let run = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ajar-relay"));
            command.args(words).env("AJAR_RELAY_DATA", data);
            command.env("AJAR_RELAY_LOG", "warn");
            command
        };
        assert!(run(&["init"]).output().unwrap().status.success());
        let limits = "[limits]\nconnections_per_address = 20000\nconnections = 20000\n\
                      spaces_per_claim = 100000\nupload_burst_bytes = 2000000000\n\
                      upload_bytes_per_second = 2000000000\n";
        std::fs::write(data.join("relay.toml"), limits).unwrap();
        let ready = data.join("ready.json");
        let file = ready.to_str().unwrap();
        let child = run(&["serve", "--listen", "127.0.0.1:0", "--ready-file", file])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !ready.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let invited = run(&["invite"]).output().unwrap().stdout;
        let address = String::from_utf8(invited).unwrap().parse().unwrap();
        Self { child, address }
    }

    async fn client(&self, from: &Endpoint, home: &Home, party: usize) -> Client {
        let to = format!("127.0.0.1:{}", self.address.port).parse().unwrap();
        let mut client = Client::from(from, to, self.address.key).await;
        let claim = Credential::Claim(self.address.claim.unwrap());
        client.found(home, &home.parties[party].device, claim).await;
        client
    }

    fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn endpoint() -> Endpoint {
    Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn percentile(sorted: &[Duration], p: usize) -> Duration {
    sorted[(sorted.len() - 1) * p / 100]
}

/// Ana writes, Ben sees it, Ana hears that it is durable; one after another.
async fn latency(relay: &Relay) {
    let home = Home::shared("ana", "ben");
    let mut ana = relay.client(&endpoint(), &home, 0).await;
    let mut ben = relay.client(&endpoint(), &home, 1).await;
    ben.subscribe(&home, ajar_protocol::Frontier::default())
        .await;
    assert_eq!(ben.hear().await, Some(RelayMsg::CaughtUp));
    let mut author = home.author(&home.parties[0].device);
    let (mut seen, mut stored) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        let envelope = author.write(&[0; 1024]);
        let start = Instant::now();
        ana.say(&append(&envelope)).await;
        ben.hear_envelope().await;
        seen.push(start.elapsed());
        assert!(matches!(ana.hear().await, Some(RelayMsg::Stored(_))));
        stored.push(start.elapsed());
    }
    for (what, mut times) in [("seen by the other", seen), ("durable", stored)] {
        times.sort();
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        println!("{what}: p50 {p50:?}, p99 {p99:?}");
    }
}

/// `producers` devices in spaces of their own, `window` envelopes of 1 KiB under way each.
async fn throughput(relay: &Relay, producers: usize, window: usize, each: usize) {
    let from = endpoint();
    let mut ready = Vec::new();
    for n in 0..producers {
        let home = Home::private(&format!("producer {producers} {window} {n}"));
        let client = relay.client(&from, &home, 0).await;
        let mut author = home.author(&home.parties[0].device);
        let frames: Vec<Vec<u8>> = (0..each)
            .map(|_| append(&author.write(&[0; 1024])).to_frame())
            .collect();
        ready.push((client, frames));
    }
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (mut client, frames) in ready {
        tasks.push(tokio::spawn(async move {
            let mut heard = 0;
            for (sent, frame) in frames.iter().enumerate() {
                client.send.write_all(frame).await.unwrap();
                if sent + 1 - heard >= window {
                    assert!(matches!(client.hear().await, Some(RelayMsg::Stored(_))));
                    heard += 1;
                }
            }
            while heard < frames.len() {
                assert!(matches!(client.hear().await, Some(RelayMsg::Stored(_))));
                heard += 1;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let total = producers * each;
    let rate = total as f64 / start.elapsed().as_secs_f64();
    println!("{producers} producers, window {window}: {rate:.0} durable appends a second");
}

async fn idle(relay: &Relay, devices: usize) {
    let from = endpoint();
    let warm = Home::private("warm");
    let _warm = relay.client(&from, &warm, 0).await;
    let before = relay.rss_kib();
    let mut clients = Vec::new();
    for n in 0..devices {
        let home = Home::private(&format!("idle {n}"));
        let mut client = relay.client(&from, &home, 0).await;
        client
            .subscribe(&home, ajar_protocol::Frontier::default())
            .await;
        assert_eq!(client.hear().await, Some(RelayMsg::CaughtUp));
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (relay.rss_kib() - before) as f64 / devices as f64;
    println!("{devices} idle devices: {each:.1} KiB each");
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let idle_devices = std::env::var("AJAR_BENCH_IDLE").ok();
    let idle_devices = idle_devices.and_then(|n| n.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let relay = Relay::start(dir.path());
        idle(&relay, idle_devices).await;
        latency(&relay).await;
        throughput(&relay, 1, 1, 2000).await;
        throughput(&relay, 16, 4, 1000).await;
        throughput(&relay, 256, 4, 100).await;
    });
}
