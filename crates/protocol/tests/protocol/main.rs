//! Stories, malformations and golden vectors for `ajar-protocol`, against its public
//! interface only.

#[cfg(test)]
mod address;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod chain_devices;
#[cfg(test)]
mod chain_fork;
#[cfg(test)]
mod chain_root;
#[cfg(test)]
mod content;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod link;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod space;
#[cfg(test)]
mod support;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod vectors_folding;
