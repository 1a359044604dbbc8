//! Every limit of a relay, in one place, each with its default and its reason. All can be set
//! under `[limits]` in `relay.toml`.

use serde::{Deserialize, Serialize};

/// Limits in force. `Default` gives the documented defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time (10,000): bounds memory on a small machine.
    pub connections: u32,
    /// Connections at a time from one IPv4 address or IPv6 /64 network (64): one household or
    /// one flooder, not more.
    pub connections_per_address: u32,
    /// Bytes of envelopes and blobs one space may keep (2 GiB), blobs that are still being uploaded
    /// included: a lifetime of text and a few thousand photos.
    pub bytes_per_space: u64,
    /// Bytes a second one connection may upload, averaged (2 MiB).
    pub upload_bytes_per_second: u32,
    /// Bytes one connection may upload at once before that average holds (16 MiB): a journal
    /// that is filled into an empty relay.
    pub upload_burst_bytes: u32,
    /// Spaces one claim admits (3): each partner's private space and the shared one.
    pub spaces_per_claim: u32,
    /// Introductions with a wrong claim or permit from one address in an hour (20).
    pub bad_introductions_per_hour: u32,
    /// Seconds until a stranger must have said its first whole message (5), and each further one
    /// before login.
    pub login_seconds: u32,
    /// Milliseconds until a login is refused (100, plus up to half of that at random): the same
    /// for every reason.
    pub refusal_milliseconds: u32,
    /// Seconds to finish a frame once begun, and to take something of what is sent (30).
    pub frame_seconds: u32,
    /// Envelopes, links and acknowledgements of one connection that may be under way (256).
    pub appends_in_flight: u32,
    /// Bytes of them for one connection (4 MiB); at least the largest envelope.
    pub append_bytes_in_flight: u32,
    /// Bytes of them for all connections together (64 MiB).
    pub append_bytes_in_flight_total: u32,
    /// Bytes of live envelopes that wait for one slow reader (2 MiB) before it is sent back to
    /// reading from storage.
    pub live_queue_bytes: u32,
    /// Transfers of blobs at a time for one connection (4): as many photos as one sees at once.
    pub blob_transfers_per_connection: u32,
    /// Transfers of blobs at a time for one space (16): four devices that fetch at once.
    pub blob_transfers_per_space: u32,
    /// Transfers of blobs at a time in all (256): a buffer of 64 KiB and a file each.
    pub blob_transfers: u32,
    /// Hours that an upload which was cut is kept, to go on from there (168: a week away).
    pub blob_part_hours: u32,
    /// Mailboxes open at a time (64).
    pub mailboxes: u32,
    /// Mailboxes one address may open in an hour (10).
    pub mailbox_opens_per_hour: u32,
    /// Mailboxes one address may try to join in an hour (30).
    pub mailbox_joins_per_hour: u32,
    /// Milliseconds that a mailbox lives (600,000: ten minutes).
    pub mailbox_milliseconds: u32,
    /// Seconds that a clean stop waits for connections to finish (10).
    pub drain_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 64,
            bytes_per_space: 2 << 30,
            upload_bytes_per_second: 2 << 20,
            upload_burst_bytes: 16 << 20,
            spaces_per_claim: 3,
            bad_introductions_per_hour: 20,
            login_seconds: 5,
            refusal_milliseconds: 100,
            frame_seconds: 30,
            appends_in_flight: 256,
            append_bytes_in_flight: 4 << 20,
            append_bytes_in_flight_total: 64 << 20,
            live_queue_bytes: 2 << 20,
            blob_transfers_per_connection: 4,
            blob_transfers_per_space: 16,
            blob_transfers: 256,
            blob_part_hours: 168,
            mailboxes: 64,
            mailbox_opens_per_hour: 10,
            mailbox_joins_per_hour: 30,
            mailbox_milliseconds: 600_000,
            drain_seconds: 10,
        }
    }
}

impl Limits {
    /// Checks that the limits leave room for one of everything the protocol allows.
    ///
    /// # Errors
    /// A sentence that names the limit and its smallest value.
    pub fn check(&self) -> Result<(), String> {
        let envelope = u32::try_from(ajar_protocol::limits::FRAME).unwrap_or(u32::MAX);
        let rows = [
            ("connections", self.connections, 1),
            ("connections_per_address", self.connections_per_address, 1),
            (
                "upload_bytes_per_second",
                self.upload_bytes_per_second,
                1024,
            ),
            ("upload_burst_bytes", self.upload_burst_bytes, envelope),
            ("spaces_per_claim", self.spaces_per_claim, 1),
            (
                "blob_transfers_per_connection",
                self.blob_transfers_per_connection,
                1,
            ),
            ("blob_transfers_per_space", self.blob_transfers_per_space, 1),
            ("blob_transfers", self.blob_transfers, 1),
            ("blob_part_hours", self.blob_part_hours, 1),
            ("login_seconds", self.login_seconds, 1),
            ("frame_seconds", self.frame_seconds, 1),
            ("appends_in_flight", self.appends_in_flight, 1),
            (
                "append_bytes_in_flight",
                self.append_bytes_in_flight,
                envelope,
            ),
            (
                "append_bytes_in_flight_total",
                self.append_bytes_in_flight_total,
                envelope,
            ),
        ];
        for (name, value, least) in rows {
            if value < least {
                return Err(format!("limits.{name} is {value}; the least is {least}"));
            }
        }
        Ok(())
    }
}
