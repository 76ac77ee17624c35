//! Ring signatures of requests.
//!
//! A ring seen before verifies by tables in tens of microseconds, where the request is; the hop to another thread would cost more. A new one
//! takes ten times as long, and a large payload is hashed longer still: they go to the blocking pool, at most one per processor at a time, so
//! that a burst of new rings delays other new rings and not the sockets, timers and block events that share the async workers. Those who wait
//! hold a place among the relays in progress, so the line is bounded. The same pool builds the tables, after the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_net::large::LARGE;
use portico_protocol::Address;
use portico_protocol::relay;
use portico_protocol::ring::build_tables;
use portico_protocol::wire::pocket::service::RelayRequest;
use tokio::sync::{Semaphore, oneshot};

use crate::relay::refusal::Refusal;

/// Tables that are built after one signature, some 0.2 ms each: those of a ring of two and its image, with a few to spare.
const TABLES_AT_ONCE: usize = 8;

/// The pool for ring signatures.
#[derive(Debug)]
pub(crate) struct Verifier {
    pool: Arc<Semaphore>,
}

impl Verifier {
    /// Verifies at most `threads` signatures at a time.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            pool: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Verifies the ring signature of a request, whose keys must all be of `ring`.
    pub(crate) async fn check(
        &self,
        request: &Arc<RelayRequest>,
        ring: Arc<BTreeSet<Address>>,
    ) -> Result<(), Refusal> {
        if request.payload.len() < LARGE && relay::is_signature_warm(request) {
            return relay::verify_request_signature(request, &ring).map_err(Refusal::Signature);
        }
        let pool = Arc::clone(&self.pool);
        let place = pool.acquire_owned().await.map_err(|_| Refusal::Stopping)?;
        let relay = Arc::clone(request);
        let (told, outcome) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // Who asked may be gone.
            let _ = told.send(relay::verify_request_signature(&relay, &ring));
            build_tables(TABLES_AT_ONCE);
            drop(place);
        });
        outcome
            .await
            .map_err(|_| Refusal::Stopping)?
            .map_err(Refusal::Signature)
    }
}
