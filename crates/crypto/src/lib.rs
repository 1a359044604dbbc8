//! Keys and sealing: envelopes, epochs, pairing, recovery words, vault, padding.
