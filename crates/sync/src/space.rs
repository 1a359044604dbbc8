//! Handles on spaces.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ajar_engine::evidence::Evidence;
use ajar_engine::outbox::Edit;
use ajar_engine::{DocInfo, Ownership, RowQuery, TableRow};
use ajar_protocol::genesis::SpaceKind;
use ajar_protocol::link::LinkBody;
use ajar_protocol::{DeviceId, DocId, PartyId, SpaceId};
use automerge::transaction::Transaction;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, watch};

use crate::blobs::Blobs;
use crate::clock;
use crate::core::Worker;
use crate::document::{ChangeError, Document};
use crate::driver::{self, Driver};
use crate::error::{ConnectError, Error};
use crate::event::{Connection, Events, SpaceEvent, SpaceReport, Synced};
use crate::home::{Activity, KeyFile, mode};

/// How long a single round waits for what a device does of itself.
const ERRANDS: Duration = Duration::from_secs(20);

/// One change of a batch.
pub struct BatchEdit {
    /// The document; an id that is not known yet creates it.
    pub doc: DocId,
    /// What to do with it.
    #[expect(clippy::type_complexity, reason = "a name for it would be used once")]
    pub apply: Box<dyn FnOnce(&mut Transaction<'_>) -> Result<(), String> + Send>,
}

pub(crate) struct Inner {
    pub(crate) kind: SpaceKind,
    pub(crate) own_party: PartyId,
    pub(crate) partner: Option<PartyId>,
    pub(crate) worker: Worker,
    pub(crate) blobs: Arc<Blobs>,
    /// Wakes what a device does of itself.
    pub(crate) chores: Arc<Notify>,
    /// Gone when the space is locked, whoever still holds a handle.
    pub(crate) keys: Weak<KeyFile>,
    activity: Arc<Activity>,
    /// Told when relay or way of travelling have changed.
    pub(crate) route: watch::Sender<()>,
    /// UDP bytes of all connections that have ended.
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    driver: Mutex<Option<Driver>>,
}

/// A handle on one space of an open home. Cheap to clone; calls go to the thread that owns
/// the replica.
#[derive(Clone)]
pub struct Space {
    inner: Arc<Inner>,
    /// Calls do not count as something that a person does.
    unnoticed: bool,
}

impl Space {
    pub(crate) fn new(
        kind: SpaceKind,
        own_party: PartyId,
        partner: Option<PartyId>,
        worker: Worker,
        (blobs, chores): (Arc<Blobs>, Arc<Notify>),
        keys: &Arc<KeyFile>,
        activity: Arc<Activity>,
    ) -> Self {
        let driver = Mutex::new(None);
        Self {
            inner: Arc::new(Inner {
                kind,
                own_party,
                partner,
                worker,
                blobs,
                chores,
                keys: Arc::downgrade(keys),
                activity,
                route: watch::channel(()).0,
                sent: AtomicU64::new(0),
                received: AtomicU64::new(0),
                driver,
            }),
            unnoticed: false,
        }
    }

    /// The same space, for what happens by itself.
    pub(crate) fn unnoticed(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            unnoticed: true,
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The thread, for something that a person does.
    pub(crate) fn worker(&self) -> &Worker {
        if !self.unnoticed {
            self.inner.activity.touch(self.inner.kind);
        }
        &self.inner.worker
    }

    /// Fails when nothing may be written into the space any more.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        let keys = self.inner.keys.upgrade().ok_or(Error::Closed)?;
        if mode::is_left(keys.read(|keys| keys.mode)) {
            return Err(Error::Left);
        }
        Ok(())
    }

    /// Relay or way of travelling have changed: a connection ends, and begins anew if it may.
    pub(crate) fn reroute(&self) {
        let connection = self.inner.worker.connection().borrow().clone();
        if connection != Connection::Off {
            // Nobody is to take the old connection for the new one.
            self.inner.worker.set_connection(Connection::Connecting);
        }
        self.inner.route.send_replace(());
    }

    /// Private or shared.
    #[must_use]
    pub fn kind(&self) -> SpaceKind {
        self.inner.kind
    }

    /// The party of the person whose home this is.
    #[must_use]
    pub fn own_party(&self) -> PartyId {
        self.inner.own_party
    }

    /// The partner's party, in a shared space.
    #[must_use]
    pub fn partner(&self) -> Option<PartyId> {
        self.inner.partner
    }

    /// Id of this device in this space.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn device(&self) -> Result<DeviceId, Error> {
        self.worker().call(|core| core.replica.device())
    }

    /// The device of one's own that a change of one's own list of devices is about, by the place
    /// of its link (as notices give it).
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn device_of_change(&self, seq: u64) -> Result<Option<DeviceId>, Error> {
        self.worker().call(move |core| {
            let place = usize::try_from(seq).ok()?;
            let link = core.replica.own_chain().links().get(place)?;
            match &link.body {
                LinkBody::Genesis { device, .. } => Some(device.id()),
                LinkBody::DeviceAdd(new) | LinkBody::Recover { device: new, .. } => {
                    Some(new.keys.id())
                }
                LinkBody::DeviceRevoke(cutoff) | LinkBody::RevokeAmend(cutoff) => {
                    Some(cutoff.device)
                }
                LinkBody::RootReplace { .. } | LinkBody::Leave(_) | LinkBody::Policy { .. } => None,
            }
        })
    }

    /// Id of the document of that name that belongs to the person or to both. Every device
    /// finds it without a search; it exists from its first change on.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn named_document(&self, ownership: Ownership, name: &str) -> Result<DocId, Error> {
        let name = name.to_owned();
        self.worker()
            .call(move |core| core.replica.named_document_id(ownership, &name))
    }

    /// Id of the partner's own document of that name.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn partners_document(&self, name: &str) -> Result<DocId, Error> {
        let name = name.to_owned();
        self.worker()
            .call(move |core| core.replica.partners_document_id(&name))
    }

    /// Party of a device that was ever in the space.
    #[must_use]
    pub fn party_of_device(&self, device: DeviceId) -> Option<PartyId> {
        self.worker()
            .call(move |core| core.replica.party_of_device(&device))
            .ok()
            .flatten()
    }

    /// Who wrote under an Automerge actor of a document.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn author_of_actor(
        &self,
        doc: DocId,
        actor: &[u8],
    ) -> Result<Option<(DeviceId, PartyId)>, Error> {
        let actor = actor.to_vec();
        self.worker().call(move |core| {
            let device = core.replica.device_of_actor(&doc, &actor)?;
            Some((device, core.replica.party_of_device(&device)?))
        })
    }

    /// A new document. It exists from its first change on.
    ///
    /// # Errors
    /// [`Error::Entropy`], [`Error::Closed`].
    pub fn create_document(&self, ownership: Ownership) -> Result<Document, Error> {
        let id = self.worker().call(move |core| {
            core.replica
                .new_document_id(ownership, &mut clock::entropy())
        })??;
        Ok(self.document(id))
    }

    /// A document by its id.
    #[must_use]
    pub fn document(&self, id: DocId) -> Document {
        Document::new(self.clone(), id)
    }

    /// All documents, in the order in which they came.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`], [`Error::Closed`].
    pub fn documents(&self) -> Result<Vec<DocInfo>, Error> {
        Ok(self.worker().call(|core| core.replica.documents())??)
    }

    /// The documents whose ids are wanted, in the order in which they came; cheaper than all
    /// when few are.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`], [`Error::Closed`].
    pub fn documents_where(
        &self,
        wanted: impl Fn(&DocId) -> bool + Send + 'static,
    ) -> Result<Vec<DocInfo>, Error> {
        Ok(self
            .worker()
            .call(move |core| core.replica.documents_where(wanted))??)
    }

    /// Rows of the table of what there is, those of the greatest `sort` first; none in a home
    /// without [`crate::Builder::with_summarize`]. Loads no document. Makes the table first
    /// where there is none, which takes a while.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn rows(&self, query: RowQuery) -> Result<Vec<TableRow>, Error> {
        Ok(self
            .worker()
            .call(move |core| core.replica.rows(&query))??)
    }

    /// Makes the table anew from all documents. It happens by itself where that is needed.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn rebuild_table(&self) -> Result<(), Error> {
        Ok(self.worker().call(|core| core.replica.rebuild_table())??)
    }

    /// Changes many documents, all or none, durable when it returns; far cheaper than one by
    /// one.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing changed then.
    pub fn change_all(&self, edits: Vec<BatchEdit>) -> Result<(), ChangeError<String>> {
        self.check_writable()?;
        self.worker().call(move |core| {
            let edits = edits
                .into_iter()
                .map(|edit| Edit {
                    doc: edit.doc,
                    apply: edit.apply,
                })
                .collect();
            let outputs = core
                .replica
                .change_all(clock::now(), &mut clock::entropy(), edits)?;
            core.dispatch(outputs);
            Ok(())
        })?
    }

    /// Reads local data of the application: sealed, never synced.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub fn local(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = name.to_owned();
        Ok(self
            .worker()
            .call(move |core| core.replica.local(&name))??)
    }

    /// Keeps local data of the application.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::DiskFull`], [`Error::Closed`].
    pub fn set_local(&self, name: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        let name = name.to_owned();
        Ok(self
            .worker()
            .call(move |core| core.replica.set_local(&name, value))??)
    }

    /// State of the space.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn status(&self) -> Result<SpaceReport, Error> {
        let worker = &self.inner.worker;
        let engine = worker.call(|core| core.replica.status())?;
        Ok(SpaceReport {
            engine,
            connection: worker.connection().borrow().clone(),
        })
    }

    /// Four words to compare with another device in person: the same on both exactly when both
    /// hold the same history and the same devices.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn sync_words(&self) -> Result<[&'static str; 4], Error> {
        Ok(self.worker().call(|core| core.replica.sync_words())??)
    }

    /// Pairs of signed statements that contradict each other, as they came: what a third person
    /// can check. No secret key and nothing readable is in them.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`], [`Error::Closed`].
    pub fn evidence(&self) -> Result<Vec<Evidence>, Error> {
        Ok(self.worker().call(|core| core.replica.evidence())??)
    }

    /// Id of the space, which both people and their relay know it by.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn id(&self) -> Result<SpaceId, Error> {
        self.worker().call(|core| core.replica.space_id())
    }

    /// Removes notices that are no proofs.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub fn dismiss_notices(&self) -> Result<(), Error> {
        Ok(self
            .worker()
            .call(|core| core.replica.dismiss_notices())??)
    }

    /// Events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.inner.worker.events())
    }

    pub(crate) fn lock_driver(&self) -> MutexGuard<'_, Option<Driver>> {
        self.inner
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps in touch with the relay in the background, until [`Self::disconnect`]. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`ConnectError::NoRelay`], [`Error::Closed`]; [`ConnectError::Off`],
    /// [`ConnectError::Paused`] and [`ConnectError::Left`] when the space is not to travel.
    pub fn connect(&self) -> Result<(), Error> {
        let mut driver = self.lock_driver();
        // Under the lock, so that closing and leaving find every driver there ever is.
        if self.worker().is_over() {
            return Err(Error::Closed);
        }
        driver::relay_of(&self.inner)?;
        if driver.as_ref().is_none_or(Driver::is_over) {
            self.worker().set_connection(Connection::Connecting);
            *driver = Some(Driver::start(Arc::downgrade(&self.inner)));
        }
        Ok(())
    }

    /// Tries at once if the last attempt failed and the next one is a while away.
    pub(crate) fn hurry(&self) {
        let driver = self.lock_driver();
        let waiting = matches!(
            &*self.inner.worker.connection().borrow(),
            Connection::Waiting { .. }
        );
        if waiting && let Some(driver) = &*driver {
            self.inner.worker.set_connection(Connection::Connecting);
            driver.wake();
        }
    }

    /// Ends the connection and waits until it has ended.
    pub async fn disconnect(&self) {
        self.hang_up().await;
    }

    /// As [`Self::disconnect`]; returns whether there was a connection, or a try.
    pub(crate) async fn hang_up(&self) -> bool {
        let driver = self.lock_driver().take();
        let was_on = driver.as_ref().is_some_and(|driver| !driver.is_over());
        if let Some(driver) = driver {
            driver.stop().await;
        }
        self.show_off();
        was_on
    }

    /// Shows that no connection is wanted, unless somebody began one meanwhile.
    fn show_off(&self) {
        let driver = self.lock_driver();
        if driver.is_none() {
            self.inner.worker.set_connection(Connection::Off);
        }
    }

    /// One round with the relay: connects if need be, receives everything, delivers
    /// everything. A connection that was there before stays.
    ///
    /// # Errors
    /// [`Error::Undelivered`] with the reason when it did not succeed within `timeout`.
    pub async fn sync(&self, timeout: Duration) -> Result<Synced, Error> {
        let mut events = self.inner.worker.events();
        let visit = self.visit()?;
        let mut changed = BTreeSet::new();
        let settled = tokio::time::timeout(timeout, self.settled());
        tokio::pin!(settled);
        let result = loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => note_changed(&mut changed, event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break Err(Error::Closed),
                },
                settled = &mut settled => break match settled {
                    Ok(result) => result.map_err(Error::Undelivered),
                    Err(_) => Err(Error::Undelivered(self.why_not())),
                },
            }
        };
        // What this device owes others goes along, as long as it does not take long.
        if result.is_ok() {
            self.errands_done(timeout.min(ERRANDS)).await?;
        }
        visit.done().await;
        result?;
        loop {
            match events.try_recv() {
                Ok(event) => note_changed(&mut changed, event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
        let changed = changed.len();
        Ok(Synced { changed })
    }

    /// Connects for a while; a connection that was there before stays.
    pub(crate) fn visit(&self) -> Result<Leave<'_>, Error> {
        let was_off = self.lock_driver().as_ref().is_none_or(Driver::is_over);
        self.connect()?;
        let visit = Leave(was_off.then_some(self));
        self.hurry();
        Ok(visit)
    }

    /// Waits until the relay has confirmed everything held here, and everything it held has
    /// been received. Needs [`Self::connect`] before.
    ///
    /// # Errors
    /// [`Error::Undelivered`] when the relay refuses for good, or nobody is connecting.
    pub async fn relay_has_everything(&self) -> Result<(), Error> {
        self.settled().await.map_err(Error::Undelivered)
    }

    pub(crate) async fn settled(&self) -> Result<(), ConnectError> {
        let mut connection = self.inner.worker.connection();
        loop {
            match &*connection.borrow_and_update() {
                Connection::Online {
                    caught_up: true,
                    delivered: true,
                } => return Ok(()),
                Connection::Waiting { why, .. } if is_final(why) => return Err(why.clone()),
                Connection::Off => return Err(ConnectError::Lost),
                _ => {}
            }
            if connection.changed().await.is_err() {
                return Err(ConnectError::Lost);
            }
        }
    }

    pub(crate) fn why_not(&self) -> ConnectError {
        match &*self.inner.worker.connection().borrow() {
            Connection::Waiting { why, .. } => why.clone(),
            Connection::Online { .. } => ConnectError::Busy,
            _ => ConnectError::TimedOut,
        }
    }

    /// UDP bytes sent and received over all connections of this handle's space that have
    /// ended since the home was opened.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        let inner = &self.inner;
        (
            inner.sent.load(Ordering::Relaxed),
            inner.received.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn close(&self) {
        self.inner.worker.stop();
        // Dropping a driver ends it; after the stop nobody can begin another one.
        drop(self.lock_driver().take());
        self.show_off();
    }
}

/// Ends a connection that was made for a while only, should nobody wait for its end.
pub(crate) struct Leave<'a>(pub(crate) Option<&'a Space>);

impl Leave<'_> {
    /// Ends it and waits until it has ended.
    pub(crate) async fn done(mut self) {
        if let Some(space) = self.0.take() {
            space.disconnect().await;
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(space) = self.0 {
            drop(space.lock_driver().take());
            space.show_off();
        }
    }
}

fn note_changed(changed: &mut BTreeSet<DocId>, event: SpaceEvent) {
    if let SpaceEvent::Document {
        doc, here: false, ..
    } = event
    {
        changed.insert(doc);
    }
}

/// Whether trying again within a moment cannot help.
pub(crate) fn is_final(why: &ConnectError) -> bool {
    matches!(
        why,
        ConnectError::WrongRelay
            | ConnectError::NotAdmitted
            | ConnectError::BadClaim
            | ConnectError::NoRelay
            | ConnectError::Off
            | ConnectError::Paused
            | ConnectError::Left
            | ConnectError::Violation(_)
            | ConnectError::Store(_)
    )
}
