//! The relay as a whole: opens the store, listens, serves, and stops cleanly.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use ajar_protocol::address::RelayAddress;
use quinn::{Endpoint, TokioRuntime, VarInt};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::claims::Claims;
use crate::config::Config;
use crate::data::{DataDir, DataError};
use crate::identity::Identity;
use crate::relay::Relay;
use crate::storage::{LocalStore, Store, StoreError, logins};
use crate::{committer, connection, tls, transfers, trimmer};

/// Said once the relay listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// UDP address it listens on.
    pub listen: SocketAddr,
    /// Address to hand out, without a claim.
    pub address: RelayAddress,
}

/// Why a relay cannot start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}: {source}; choose another with --listen IP:PORT")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The TLS library refused our key.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Runs a relay with its embedded store until `shutdown` completes. `ready` is told once it
/// listens.
///
/// # Errors
/// [`ServeError`] when it cannot start, or when the disk stops confirming writes.
pub async fn serve(
    config: Config,
    ready: oneshot::Sender<Ready>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let data = DataDir::new(&config.data);
    // Before the store is opened: a wrong folder must stay untouched.
    data.identity()?;
    let (db, blobs) = (data.db(), data.blobs());
    let store = tokio::task::spawn_blocking(move || LocalStore::open(&db, &blobs))
        .await
        .map_err(|e| StoreError::Failed(e.to_string()))??;
    if store.damaged() > 0 {
        tracing::warn!(
            records = store.damaged(),
            "damaged records found; run `ajar-relay doctor`"
        );
    }
    serve_on(config, Arc::new(store), ready, shutdown).await
}

/// Runs a relay on any store; see [`serve`].
///
/// # Errors
/// As [`serve`].
pub async fn serve_on(
    config: Config,
    store: Arc<dyn Store>,
    ready: oneshot::Sender<Ready>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let data = DataDir::new(&config.data);
    let identity = data.identity()?;
    let endpoint = listen(&config, &identity)?;
    let listening = endpoint.local_addr().map_err(|source| ServeError::Listen {
        listen: config.listen,
        source,
    })?;
    let address = config
        .address(&identity, listening)
        .map_err(|e| DataError::Address(e.to_string()))?;
    data.note_bound(listening)?;
    let indexed = Arc::clone(&store);
    let built = tokio::task::spawn_blocking(move || logins::build(indexed.as_ref()))
        .await
        .unwrap_or_else(|e| Err(StoreError::Failed(e.to_string())));
    if let Err(error) = built {
        tracing::warn!(%error, "the index of recovery logins is not complete; the next start tries again");
    }

    let (ready_in, ready_out) = mpsc::unbounded_channel();
    let (trims_in, trims_out) = mpsc::unbounded_channel();
    let relay = Arc::new(Relay::new(
        identity,
        config.limits.clone(),
        Arc::clone(&store),
        Claims::of(&data),
        ready_in,
        trims_in,
    ));
    let (stop_committer, committer_stops) = oneshot::channel();
    let mut committer = tokio::spawn(committer::run(
        Arc::clone(&store),
        ready_out,
        committer_stops,
    ));
    let (stop, stopping) = watch::channel(false);
    let trimmer = tokio::spawn(trimmer::run(
        Arc::clone(&relay),
        trims_out,
        stopping.clone(),
    ));
    let sweeper = tokio::spawn(transfers::keep_swept(Arc::clone(&relay), stopping.clone()));
    let mut connections = JoinSet::new();
    tracing::info!("listening");
    // Whoever started us may not care when.
    let _ = ready.send(Ready {
        listen: listening,
        address,
    });

    let mut shutdown = std::pin::pin!(shutdown);
    let mut broken = None;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            ended = &mut committer => {
                broken = Some(ended.unwrap_or_else(|e| Err(StoreError::Failed(e.to_string()))));
                break;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                if !incoming.remote_address_validated() {
                    // Costs a stranger a round trip and us nothing. It fails only for an
                    // address that was validated.
                    let _ = incoming.retry();
                } else if let Some(slot) = relay.admit_connection(incoming.remote_address().ip()) {
                    let serving =
                        connection::serve(Arc::clone(&relay), incoming, slot, stopping.clone());
                    connections.spawn(serving);
                } else {
                    incoming.refuse();
                }
            }
        }
    }

    tracing::info!("stopping");
    endpoint.set_server_config(None);
    stop.send_replace(true);
    let patience = Duration::from_secs(config.limits.drain_seconds.into()) + Duration::from_secs(3);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(patience, drained).await.is_err() {
        tracing::warn!("some connections did not end in time");
        connections.shutdown().await;
    }
    // It stops between two of its steps.
    let _ = tokio::join!(trimmer, sweeper);
    let result = match broken {
        Some(result) => result,
        None => {
            // It ends once all that was accepted is settled.
            let _ = stop_committer.send(());
            committer
                .await
                .unwrap_or_else(|e| Err(StoreError::Failed(e.to_string())))
        }
    };
    endpoint.close(VarInt::from_u32(0), b"");
    let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    let closed = tokio::task::spawn_blocking(move || store.close())
        .await
        .unwrap_or_else(|e| Err(StoreError::Failed(e.to_string())));
    result?;
    closed?;
    Ok(())
}

fn listen(config: &Config, identity: &Identity) -> Result<Endpoint, ServeError> {
    let server = tls::server_config(identity)?;
    let bound = match UdpSocket::bind(config.listen) {
        // A machine without IPv6 cannot listen on `[::]`; all of IPv4 is what is left.
        Err(_) if config.listen.is_ipv6() && config.listen.ip().is_unspecified() => {
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, config.listen.port()))
        }
        other => other,
    };
    let endpoint = bound.and_then(|socket| {
        let own = tls::endpoint_config(identity);
        Endpoint::new(own, Some(server), socket, Arc::new(TokioRuntime))
    });
    endpoint.map_err(|source| ServeError::Listen {
        listen: config.listen,
        source,
    })
}
