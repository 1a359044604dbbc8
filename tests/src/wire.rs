//! A wire between devices and their relay, on which every packet is counted and kept.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One packet as it was on the wire.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Whether a device sent it.
    pub by_device: bool,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Everything that was on a wire.
type Kept = Arc<Mutex<Vec<Datagram>>>;

/// A wire to a relay: it carries datagrams both ways and counts those that devices send.
pub struct Wire {
    port: u16,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    kept: Kept,
}

impl Wire {
    /// Lays a wire to the relay of this address.
    #[must_use]
    pub fn to(address: &str) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = front.local_addr().unwrap().port();
        let relay: SocketAddr = format!("127.0.0.1:{}", port_of(address)).parse().unwrap();
        let wire = Self {
            port,
            sent: Arc::default(),
            over: Arc::default(),
            kept: Kept::default(),
        };
        let (sent, over) = (Arc::clone(&wire.sent), Arc::clone(&wire.over));
        let kept = Arc::clone(&wire.kept);
        front
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        std::thread::spawn(move || carry(&front, relay, &sent, &over, &kept));
        wire
    }

    /// The same address, by this wire.
    #[must_use]
    pub fn address(&self, address: &str) -> String {
        let from = format!("127.0.0.1:{}#", port_of(address));
        let here = address.replace(&from, &format!("127.0.0.1:{}#", self.port));
        assert_ne!(here, address);
        here
    }

    /// Datagrams that devices have sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Every packet so far, both ways.
    #[must_use]
    pub fn captured(&self) -> Vec<Datagram> {
        self.kept.lock().unwrap().clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn port_of(address: &str) -> &str {
    let place = address.split('#').next().unwrap();
    place.rsplit(':').next().unwrap()
}

fn carry(
    front: &UdpSocket,
    relay: SocketAddr,
    sent: &AtomicU64,
    over: &Arc<AtomicBool>,
    kept: &Kept,
) {
    let mut buffer = [0; 1 << 16];
    let mut devices: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    while !over.load(Ordering::SeqCst) {
        let Ok((length, device)) = front.recv_from(&mut buffer) else {
            continue;
        };
        sent.fetch_add(1, Ordering::SeqCst);
        keep(kept, true, &buffer[..length]);
        let back = devices.entry(device).or_insert_with(|| {
            let back = UdpSocket::bind("127.0.0.1:0").unwrap();
            back.connect(relay).unwrap();
            back.set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let answers = back.try_clone().unwrap();
            let (front, over) = (front.try_clone().unwrap(), Arc::clone(over));
            let kept = Arc::clone(kept);
            std::thread::spawn(move || answer(&answers, &front, device, &over, &kept));
            back
        });
        // A datagram may be lost.
        let _ = back.send(&buffer[..length]);
    }
}

fn answer(back: &UdpSocket, front: &UdpSocket, device: SocketAddr, over: &AtomicBool, kept: &Kept) {
    let mut buffer = [0; 1 << 16];
    while !over.load(Ordering::SeqCst) {
        if let Ok(length) = back.recv(&mut buffer) {
            keep(kept, false, &buffer[..length]);
            let _ = front.send_to(&buffer[..length], device);
        }
    }
}

fn keep(kept: &Kept, by_device: bool, bytes: &[u8]) {
    let bytes = bytes.to_vec();
    kept.lock().unwrap().push(Datagram { by_device, bytes });
}
