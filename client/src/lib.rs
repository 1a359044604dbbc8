//! Ajar: a private, end-to-end encrypted journal for two.
