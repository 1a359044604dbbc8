//! End-to-end tests of Ajar with real binaries, real QUIC and real disks.
