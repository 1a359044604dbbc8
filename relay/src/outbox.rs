//! What waits to be sent to one session: live envelopes and links, bounded in bytes. A reader
//! that is too slow loses its queue and is sent back to reading from storage, so nothing is
//! lost and nothing grows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ajar_protocol::client_msg::ChainPosition;
use ajar_protocol::relay_msg::Refusal;
use ajar_protocol::{DeviceId, Frontier, PartyId};
use tokio::sync::Notify;

/// What one queued item costs beside its bytes.
const ITEM: usize = 96;

/// How far a session holds chains and envelopes, by its own word and by what it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    pub(crate) links: BTreeMap<PartyId, u64>,
    pub(crate) counters: BTreeMap<DeviceId, u64>,
}

impl Cursor {
    pub(crate) fn new(chains: &[ChainPosition], frontier: &Frontier) -> Self {
        Self {
            links: chains.iter().map(|at| (at.party, at.next)).collect(),
            counters: frontier
                .rows()
                .map(|(device, row)| (*device, row.counter))
                .collect(),
        }
    }

    pub(crate) fn passed(&mut self, what: &What) {
        match what {
            What::Envelope(device, counter) => {
                let held = self.counters.entry(*device).or_default();
                *held = (*held).max(*counter);
            }
            What::Link(party, seq) => {
                let next = self.links.entry(*party).or_default();
                *next = (*next).max(seq.saturating_add(1));
            }
            What::Outranking(party, seq) => {
                self.links.insert(*party, seq.saturating_add(1));
            }
        }
    }
}

/// Names what an item is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Envelope(DeviceId, u64),
    Link(PartyId, u64),
    /// A link that stands in the place of another one, and nothing behind it.
    Outranking(PartyId, u64),
}

/// One thing to send; without a frame it only says that the session holds it already.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) what: What,
    pub(crate) frame: Option<Arc<[u8]>>,
}

/// What the session's writer has to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Nothing now.
    Wait,
    /// Catch up from here and say when done.
    Subscribe(Cursor),
    /// Send what a device needs that cannot go on from its frontier.
    Bootstrap,
    /// The queue overflowed: catch up from the writer's own cursor.
    Again,
    /// Send these.
    Items(Vec<Item>),
    /// Finish, with this refusal if any.
    Close(Option<Refusal>),
    /// Send the links that are lacking, then finish: one of them ended the membership.
    Expel,
}

#[derive(Clone, Copy, Debug)]
enum Closing {
    Close(Option<Refusal>),
    Expel,
}

#[derive(Debug)]
enum Request {
    Subscribe(Cursor),
    Bootstrap,
}

#[derive(Debug, Default)]
struct State {
    live: bool,
    overflowed: bool,
    /// What was asked for, at most one of a kind.
    requests: VecDeque<Request>,
    queue: VecDeque<Item>,
    bytes: usize,
    /// From where the session lacks links, whatever its cursor says: an outranking one did not
    /// get into the queue or was dropped with it. A row for each party at most.
    rewound: BTreeMap<PartyId, u64>,
    closing: Option<Closing>,
}

impl State {
    /// Remembers what a catch-up by the cursor alone would leave out.
    fn missed(&mut self, what: &What) {
        if let What::Outranking(party, seq) = what {
            let from = self.rewound.entry(*party).or_insert(*seq);
            *from = (*from).min(*seq);
        }
    }

    fn drop_queue(&mut self) {
        while let Some(item) = self.queue.pop_front() {
            self.missed(&item.what);
        }
        self.bytes = 0;
    }

    fn overflow(&mut self) {
        self.drop_queue();
        self.live = false;
        self.overflowed = true;
    }
}

/// The queue of one session.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    work: Notify,
    closed: Notify,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            work: Notify::new(),
            closed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the writer to catch up from here.
    pub(crate) fn subscribe(&self, cursor: Cursor) {
        self.ask(Request::Subscribe(cursor));
    }

    /// Asks the writer for a bootstrap. Several that wait are one.
    pub(crate) fn bootstrap(&self) {
        self.ask(Request::Bootstrap);
    }

    /// Of a kind only the last one is answered.
    fn ask(&self, request: Request) {
        let mut state = self.lock();
        let kind = std::mem::discriminant(&request);
        state
            .requests
            .retain(|other| std::mem::discriminant(other) != kind);
        state.requests.push_back(request);
        drop(state);
        self.work.notify_one();
    }

    /// From now on items are queued; what was queued before is covered by the catch-up. Returns
    /// from where links have to be sent again, whatever the cursor says.
    pub(crate) fn go_live(&self) -> BTreeMap<PartyId, u64> {
        let mut state = self.lock();
        state.drop_queue();
        state.live = true;
        state.overflowed = false;
        std::mem::take(&mut state.rewound)
    }

    /// From now on nothing is queued, until [`Self::go_live`]; returns as that does.
    pub(crate) fn fall_silent(&self) -> BTreeMap<PartyId, u64> {
        let mut state = self.lock();
        state.drop_queue();
        state.live = false;
        state.overflowed = false;
        std::mem::take(&mut state.rewound)
    }

    /// Sends the session back to reading from storage.
    pub(crate) fn again(&self) {
        let mut state = self.lock();
        if state.live {
            state.overflow();
            drop(state);
            self.work.notify_one();
        }
    }

    /// Drops what is queued; returns as [`Self::go_live`].
    pub(crate) fn abandon(&self) -> BTreeMap<PartyId, u64> {
        let mut state = self.lock();
        state.drop_queue();
        std::mem::take(&mut state.rewound)
    }

    /// Queues an item, if the session is live.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.lock();
        if !state.live {
            return state.missed(&item.what);
        }
        let size = ITEM + item.frame.as_ref().map_or(0, |frame| frame.len());
        if state.bytes + size > self.limit && !state.queue.is_empty() {
            state.overflow();
            state.missed(&item.what);
        } else {
            state.bytes += size;
            state.queue.push_back(item);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Ends the session; the first reason counts.
    pub(crate) fn close(&self, reason: Option<Refusal>) {
        self.end(Closing::Close(reason));
    }

    /// Ends the session of somebody who is no member any more.
    pub(crate) fn expel(&self) {
        self.end(Closing::Expel);
    }

    fn end(&self, how: Closing) {
        self.lock().closing.get_or_insert(how);
        self.work.notify_one();
        self.closed.notify_one();
    }

    /// Takes the next work, items up to about `most` bytes.
    pub(crate) fn take(&self, most: usize) -> Work {
        let mut state = self.lock();
        match state.closing {
            Some(Closing::Close(reason)) => return Work::Close(reason),
            Some(Closing::Expel) => return Work::Expel,
            None => {}
        }
        match state.requests.pop_front() {
            Some(Request::Subscribe(cursor)) => return Work::Subscribe(cursor),
            Some(Request::Bootstrap) => return Work::Bootstrap,
            None => {}
        }
        if state.overflowed {
            return Work::Again;
        }
        let mut items = Vec::new();
        let mut taken = 0;
        while taken < most
            && let Some(item) = state.queue.pop_front()
        {
            let size = ITEM + item.frame.as_ref().map_or(0, |frame| frame.len());
            taken += size;
            state.bytes = state.bytes.saturating_sub(size);
            items.push(item);
        }
        if items.is_empty() {
            Work::Wait
        } else {
            Work::Items(items)
        }
    }

    /// Waits until there may be work.
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    /// Waits until [`Self::close`].
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTY: PartyId = PartyId([2; 32]);

    fn link(what: What) -> Item {
        Item { what, frame: None }
    }

    #[test]
    fn a_link_that_outranks_is_sent_however_the_queue_is_lost() {
        let outbox = Outbox::new(1000);
        // Before the subscription.
        outbox.push(link(What::Outranking(PARTY, 5)));
        assert_eq!(outbox.go_live().get(&PARTY), Some(&5));
        // Sent from the queue: nothing is left to send, and the cursor goes back.
        outbox.push(link(What::Outranking(PARTY, 3)));
        let Work::Items(items) = outbox.take(1000) else {
            panic!("it was queued");
        };
        let mut cursor = Cursor::default();
        cursor.passed(&What::Link(PARTY, 8));
        cursor.passed(&items[0].what);
        assert_eq!(cursor.links.get(&PARTY), Some(&4));
        assert_eq!(outbox.go_live().get(&PARTY), None);
        // Dropped with the queue, one after the other, and when it overflows.
        outbox.push(link(What::Outranking(PARTY, 3)));
        outbox.push(link(What::Outranking(PARTY, 7)));
        outbox.push(item(1, 900));
        assert!(matches!(outbox.take(9), Work::Again));
        outbox.push(link(What::Outranking(PARTY, 4)));
        assert_eq!(outbox.go_live().get(&PARTY), Some(&3));
        // Dropped because the session ends.
        outbox.push(link(What::Outranking(PARTY, 6)));
        outbox.expel();
        assert!(matches!(outbox.take(1000), Work::Expel));
        assert_eq!(outbox.abandon().get(&PARTY), Some(&6));
    }

    fn item(counter: u64, bytes: usize) -> Item {
        Item {
            what: What::Envelope(DeviceId([1; 32]), counter),
            frame: Some(vec![0; bytes].into()),
        }
    }

    #[test]
    fn a_slow_reader_is_sent_back_to_storage_and_costs_no_more_memory() {
        let outbox = Outbox::new(1000);
        outbox.push(item(1, 100));
        assert!(matches!(outbox.take(9), Work::Wait), "not live yet");
        outbox.go_live();
        for counter in 1..100 {
            outbox.push(item(counter, 100));
            assert!(outbox.lock().bytes <= 1000);
        }
        assert!(matches!(outbox.take(9), Work::Again));
        outbox.go_live();
        outbox.push(item(100, 100));
        assert!(matches!(outbox.take(9), Work::Items(items) if items.len() == 1));
        assert_eq!(outbox.lock().bytes, 0);
    }

    #[test]
    fn one_envelope_above_the_limit_still_gets_through() {
        let outbox = Outbox::new(1000);
        outbox.go_live();
        outbox.push(item(1, 5000));
        assert!(matches!(outbox.take(9), Work::Items(_)));
    }
}
