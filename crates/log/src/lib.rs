//! An append-only, checksummed, fsynced segment log with a sled index that can always be rebuilt.
