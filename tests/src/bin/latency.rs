//! How long an edit takes from one partner to the other, both connected: from the moment that
//! `change()` returns (durable at Ana) to the event at Ben (durable there).
//!
//! `cargo run --release -p ajar-tests --bin latency -- [EDITS]`
//!
//! Prints the median and the 99th percentile, beside one `fdatasync` of an append on the same
//! disk in the same run: figures of different machines compare only by that.

use std::io::Write;
use std::time::{Duration, Instant};

use ajar_sync::automerge::ROOT;
use ajar_sync::automerge::transaction::Transactable;
use ajar_sync::{
    Builder, Home, Invitation, KdfParams, NewHome, Ownership, Passphrase, SpaceEvent, SpaceKind,
};
use ajar_tests::relay::Relay;

type Failure = Box<dyn std::error::Error>;

fn home(dir: &std::path::Path, name: &str, relay: &str) -> Result<Home, Failure> {
    let new = NewHome {
        name: name.to_owned(),
        device: "laptop".to_owned(),
        relay: Some(relay.parse()?),
    };
    let builder = Builder::new(dir).with_passphrase(Passphrase::new("quiet harbor linen oak")?);
    Ok(builder.with_kdf(KdfParams::FLOOR).create(new)?.0)
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    (at(50), at(99))
}

fn fdatasyncs(dir: &std::path::Path, count: usize) -> Result<Vec<Duration>, Failure> {
    let mut file = std::fs::File::create(dir.join("reference"))?;
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        file.write_all(&[7; 1500])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the report is what this program is for"
)]
async fn main() -> Result<(), Failure> {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(Ok(500), |text| text.parse())?;
    let relay = Relay::start_quiet();
    let address = relay.invite();
    let folder = tempfile::tempdir()?;
    let ana = home(&folder.path().join("ana"), "Ana", &address)?;
    let ben = home(&folder.path().join("ben"), "Ben", &address)?;
    let (tell, told) = tokio::sync::oneshot::channel();
    let show = ana.pair(move |code| drop(tell.send(code)), |_| true);
    let enter = async {
        let invitation: Invitation = told.await?.invitation.parse()?;
        ben.join(&invitation, |_| true).await?;
        Ok::<_, Failure>(())
    };
    let (shown, entered) = tokio::join!(show, enter);
    shown?;
    entered?;
    let (us_ana, us_ben) = (ana.space(SpaceKind::Shared)?, ben.space(SpaceKind::Shared)?);
    us_ana.connect()?;
    us_ben.connect()?;
    us_ana.relay_has_everything().await?;
    us_ben.relay_has_everything().await?;

    let mut events = us_ben.events();
    let document = us_ana.create_document(Ownership::Mine)?;
    let (mut kept, mut seen) = (Vec::new(), Vec::new());
    for number in 0..count {
        let text = format!("{number:0>200}");
        let began = Instant::now();
        let key = format!("line {}", number % 64);
        document.change(move |tx| tx.put(ROOT, key, text))?;
        kept.push(began.elapsed());
        let began = Instant::now();
        while !matches!(
            events.next().await,
            Some(SpaceEvent::Document { here: false, .. })
        ) {}
        seen.push(began.elapsed());
    }
    let (p50, p99) = percentiles(fdatasyncs(folder.path(), count)?);
    println!("fdatasync of 1.5 kB:          p50 {p50:.2?}, p99 {p99:.2?}");
    let (p50, p99) = percentiles(kept);
    println!("change() until durable here:  p50 {p50:.2?}, p99 {p99:.2?}");
    let (p50, p99) = percentiles(seen);
    println!("from there to Ben's event:    p50 {p50:.2?}, p99 {p99:.2?}");
    us_ana.disconnect().await;
    us_ben.disconnect().await;
    Ok(())
}
