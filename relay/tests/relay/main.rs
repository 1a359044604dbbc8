//! The relay seen from outside: a small client of its own over real QUIC on loopback.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod append;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod bootstrap;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod catch_up;
#[cfg(test)]
mod client;
#[cfg(test)]
mod login;
#[cfg(test)]
mod mailbox;
#[cfg(test)]
mod old_folder;
#[cfg(test)]
mod on_disk;
#[cfg(test)]
mod outranking;
#[cfg(test)]
mod people;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod server;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod trim;
