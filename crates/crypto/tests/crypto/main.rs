//! Stories and golden vectors for `ajar-crypto`, against its public interface only.

#[cfg(test)]
mod blob;
#[cfg(test)]
mod envelope;
#[cfg(test)]
mod epoch;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod pairing;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod vectors;
