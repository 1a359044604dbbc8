//! Rates: how often one address may do something, and how fast one connection may upload.
//! Time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses remembered per rate; a flood from more of them is refused until old ones expire.
const ADDRESSES: usize = 16_384;

/// What counts as one address: an IPv4 address, or the /64 network of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network([u8; 8]);

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        let mut out = [0; 8];
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                // 0::/16 holds no real IPv6 network, so the two kinds cannot meet.
                let (_, low) = out.split_at_mut(4);
                low.copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => out.copy_from_slice(ip.octets().split_at(8).0),
        }
        Self(out)
    }
}

/// Counts events per address in windows of fixed length.
#[derive(Debug)]
pub(crate) struct Windows {
    length: Duration,
    limit: u32,
    counts: HashMap<Network, (Instant, u32)>,
}

impl Windows {
    pub(crate) fn new(length: Duration, limit: u32) -> Self {
        Self {
            length,
            limit,
            counts: HashMap::new(),
        }
    }

    /// Counts one event; `false` when it is over the limit.
    pub(crate) fn allow(&mut self, from: Network, now: Instant) -> bool {
        if self.counts.len() >= ADDRESSES && !self.counts.contains_key(&from) {
            let length = self.length;
            self.counts
                .retain(|_, (since, _)| now.saturating_duration_since(*since) < length);
            if self.counts.len() >= ADDRESSES {
                return false;
            }
        }
        let (since, count) = self.counts.entry(from).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= self.length {
            (*since, *count) = (now, 0);
        }
        if *count >= self.limit {
            return false;
        }
        *count += 1;
        true
    }

    /// Whether another event would be allowed, without counting it.
    pub(crate) fn would_allow(&self, from: Network, now: Instant) -> bool {
        self.counts.get(&from).is_none_or(|(since, count)| {
            *count < self.limit || now.saturating_duration_since(*since) >= self.length
        })
    }
}

/// A token bucket: how long an upload has to wait.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            tokens: f64::from(burst),
            at: now,
        }
    }

    /// Takes `bytes` and says how long to wait before taking more.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.tokens -= f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn one_address_is_stopped_and_another_is_not() {
        let start = Instant::now();
        let mut windows = Windows::new(HOUR, 2);
        let ana = Network::from(IpAddr::from([192, 0, 2, 1]));
        let ben = Network::from(IpAddr::from([192, 0, 2, 2]));
        assert!(windows.allow(ana, start) && windows.allow(ana, start));
        assert!(!windows.would_allow(ana, start));
        assert!(!windows.allow(ana, start + HOUR / 2));
        assert!(windows.allow(ben, start));
        assert!(windows.allow(ana, start + HOUR));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_mapped_addresses_as_ipv4() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_flood_from_many_addresses_does_not_grow_the_table() {
        let start = Instant::now();
        let mut windows = Windows::new(HOUR, 1);
        for n in 0..u32::try_from(ADDRESSES + 1000).unwrap() {
            windows.allow(Network::from(IpAddr::from(n.to_be_bytes())), start);
        }
        assert_eq!(windows.counts.len(), ADDRESSES);
        let late = Network::from(IpAddr::from([203, 0, 113, 9]));
        assert!(!windows.allow(late, start));
        assert!(windows.allow(late, start + HOUR));
    }

    #[test]
    fn a_bucket_lets_a_burst_pass_then_averages() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 5000, start);
        assert_eq!(bucket.take(5000, start), Duration::ZERO);
        assert_eq!(bucket.take(2000, start), Duration::from_secs(2));
        assert_eq!(
            bucket.take(0, start + Duration::from_secs(2)),
            Duration::ZERO
        );
    }
}
