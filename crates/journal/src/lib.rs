//! The journal as Automerge documents: schema, edits and queries.
