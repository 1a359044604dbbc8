//! One replica without I/O: chains, epochs, inbox, outbox, frontier and documents.
