//! Encrypted Automerge sync for two: builder, handles, events, driver, sealed store.
