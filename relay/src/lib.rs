//! The Ajar relay: stores and forwards ciphertext for two.
