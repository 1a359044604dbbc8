//! Stories of replicas: Ana and Ben write, a relay misbehaves, a member turns hostile, disks
//! fail, and processes die.

#[cfg(test)]
mod amending;
mod bad_seals;
#[cfg(test)]
mod burning;
#[cfg(test)]
mod catalogue_bounds;
#[cfg(test)]
mod catalogue_lists;
#[cfg(test)]
mod catalogue_member;
#[cfg(test)]
mod catalogue_past;
#[cfg(test)]
mod catalogue_relay;
#[cfg(test)]
mod catalogue_snapshots;
#[cfg(test)]
mod comparing;
#[cfg(test)]
mod content;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod craft;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod epochs;
#[cfg(test)]
mod everyday;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_content;
#[cfg(test)]
mod hostile_snapshots;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod linking;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod new_words;
#[cfg(test)]
mod newcomers;
#[cfg(test)]
mod outranking;
#[cfg(test)]
mod outranking_faults;
#[cfg(test)]
mod recovering;
#[cfg(test)]
mod relay_faults;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod repairing;
#[cfg(test)]
mod rogue;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod store_failures;
#[cfg(test)]
mod table;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod theft;
#[cfg(test)]
mod toy_relay;
#[cfg(test)]
mod undoing;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod withheld;
#[cfg(test)]
mod world;
mod wrong_order;
