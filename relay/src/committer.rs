//! Writes for all spaces: each has at most one commit under way, all share the store's syncs.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::space::Space;
use crate::storage::{Store, StoreError};

/// Commits and bytes handed to the store at a time; below what its queue takes, so that handing
/// over never waits.
const COMMITS: usize = 512;
const BYTES: usize = 12 << 20;

/// One finished commit.
type Finished = (Arc<Space>, usize, Result<(), StoreError>);

/// Runs until `stop` and until everything accepted by then is settled. Both channels hold at
/// most one entry for each space in use: a space is ready, or under way, or neither.
///
/// # Errors
/// The store's error when it accepts nothing more; sessions have been told by then.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    mut ready: mpsc::UnboundedReceiver<Arc<Space>>,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let (tell, mut told) = mpsc::unbounded_channel::<Finished>();
    let mut waiting: VecDeque<Arc<Space>> = VecDeque::new();
    let (mut commits, mut bytes) = (0usize, 0usize);
    let (mut stopping, mut failing) = (false, false);
    loop {
        while commits < COMMITS && bytes < BYTES {
            let Some(space) = waiting.pop_front() else {
                break;
            };
            let Some((writes, size)) = space.next_commit() else {
                continue;
            };
            commits += 1;
            bytes += size;
            let tell = tell.clone();
            store.commit(
                writes,
                Box::new(move |result| {
                    // Only a committer that is gone does not listen.
                    let _ = tell.send((space, size, result));
                }),
            );
        }
        if stopping && commits == 0 && waiting.is_empty() && ready.is_empty() {
            return Ok(());
        }
        tokio::select! {
            Some(space) = ready.recv() => waiting.push_back(space),
            Some((space, size, result)) = told.recv() => {
                commits -= 1;
                bytes -= size;
                let fatal = match &result {
                    Err(error @ StoreError::Stopped(_)) => Some(error.clone()),
                    _ => None,
                };
                // Said once when it begins and once when it is over, not for every envelope.
                match &result {
                    Err(error) if !failing => {
                        failing = true;
                        tracing::warn!(%error, "nothing can be stored; reading goes on");
                    }
                    Ok(()) if failing => {
                        failing = false;
                        tracing::info!("storing goes on");
                    }
                    _ => {}
                }
                space.settle(result);
                if let Some(error) = fatal {
                    return Err(error);
                }
                waiting.push_back(space);
            }
            _ = &mut stop, if !stopping => stopping = true,
        }
    }
}
