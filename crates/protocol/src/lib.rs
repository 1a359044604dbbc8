//! What is on the wire and what is signed: ids, limits, frames, envelopes, party chains and their verification.
