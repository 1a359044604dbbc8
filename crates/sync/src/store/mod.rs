//! The store of one space on disk: `ajar-log` underneath, sealed segment by segment.

mod sealed;

pub(crate) use sealed::SealedStore;
