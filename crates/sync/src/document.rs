//! Documents.

use ajar_engine::outbox;
use ajar_protocol::DocId;
use automerge::Automerge;
use automerge::transaction::Transaction;
use thiserror::Error;

use crate::clock;
use crate::error::Error;
use crate::space::Space;

/// Why a change was not kept; nothing changed then.
#[derive(Debug, Error)]
pub enum ChangeError<E> {
    /// The closure refused.
    #[error("{0}")]
    Refused(E),
    /// It could not be kept.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl<E> From<outbox::ChangeError<E>> for ChangeError<E> {
    fn from(error: outbox::ChangeError<E>) -> Self {
        match error {
            outbox::ChangeError::Refused(error) => Self::Refused(error),
            outbox::ChangeError::Engine(error) => Self::Failed(error.into()),
        }
    }
}

/// A handle on one document of a space. Cheap to clone.
#[derive(Clone)]
pub struct Document {
    space: Space,
    id: DocId,
}

impl Document {
    pub(crate) fn new(space: Space, id: DocId) -> Self {
        Self { space, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DocId {
        self.id
    }

    /// Changes the document in one transaction; the first change creates it. When this
    /// returns, the change is on disk here, whatever happens next. Blocks for as long as the
    /// disk takes.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing changed then.
    pub fn change<T: Send + 'static, E: Send + 'static>(
        &self,
        apply: impl FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ChangeError<E>> {
        self.space.check_writable()?;
        let id = self.id;
        self.space.worker().call(move |core| {
            let (value, outputs) =
                core.replica
                    .change(clock::now(), &mut clock::entropy(), id, apply)?;
            core.dispatch(outputs);
            Ok(value)
        })?
    }

    /// Looks at the document.
    ///
    /// # Errors
    /// [`Error::Misuse`] when there is no such document, [`Error::Damaged`].
    pub fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Automerge) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let id = self.id;
        self.space
            .worker()
            .call(move |core| Ok(look(core.replica.document(&id)?)))?
    }
}
