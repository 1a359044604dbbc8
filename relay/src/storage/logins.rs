//! The index of recovery logins for data folders that were written before there was one: built
//! once, a few spaces at a time.

use ajar_protocol::{Link, LinkBody, SpaceGenesis, SpaceId};

use super::{Store, StoreError, Write, commit_now};

/// Logins of one commit.
const COMMIT: usize = 256;

/// Builds the index unless it is complete. Blocks for storage. A space that is damaged is passed
/// over: its devices bring it again.
///
/// # Errors
/// [`StoreError`]; what was indexed until then stays, and the next start tries again.
pub(crate) fn build(store: &dyn Store) -> Result<(), StoreError> {
    if store.logins_complete()? {
        return Ok(());
    }
    let (mut spaces, mut damaged) = (0u64, 0u64);
    let mut writes = Vec::new();
    for byte in 0..=u8::MAX {
        for space in store.spaces_beginning(byte)? {
            if spaces == 0 {
                tracing::info!("building the index of recovery logins");
            }
            spaces += 1;
            match logins(store, &space) {
                Ok(found) => {
                    writes.extend(found.into_iter().map(|login| Write::Login { login, space }));
                }
                Err(StoreError::Damaged) => damaged += 1,
                Err(other) => return Err(other),
            }
            if writes.len() >= COMMIT {
                commit_now(store, std::mem::take(&mut writes))?;
            }
        }
    }
    writes.push(Write::LoginsComplete);
    commit_now(store, writes)?;
    if spaces > 0 {
        tracing::info!(spaces, damaged, "the index of recovery logins is built");
    }
    Ok(())
}

/// The login keys in force in a space. Its chains were checked when they came, and are again when
/// somebody enters.
fn logins(store: &dyn Store, space: &SpaceId) -> Result<Vec<[u8; 32]>, StoreError> {
    let genesis = store.genesis(space)?.ok_or(StoreError::Damaged)?;
    let genesis = SpaceGenesis::parse(&genesis).map_err(|_| StoreError::Damaged)?;
    let mut found = Vec::new();
    for party in genesis.parties() {
        let mut login = None;
        let mut seq = 0;
        while let Some(bytes) = store.link(space, &party, seq)? {
            let link = Link::parse(&bytes).map_err(|_| StoreError::Damaged)?;
            if let LinkBody::Genesis { root, .. } | LinkBody::RootReplace { root, .. } = &link.body
            {
                login = Some(root.login);
            }
            seq += 1;
        }
        found.push(login.ok_or(StoreError::Damaged)?);
    }
    Ok(found)
}
