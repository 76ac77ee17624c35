//! What becomes of each signed message: admitted before its backend is asked, recorded before it leaves.
//!
//! A relay with one answer is one message, and so is each message of a WebSocket's node: counted, metered and paid alone. An event stream is one
//! admission and one recording, whatever the number of its messages.

use std::sync::Arc;
use std::time::Duration;

use portico_config::servicer::{Durability, MeterConfig};
use portico_net::budget::Room;
use portico_protocol::relay::MinedRelay;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::{Address, difficulty};
use portico_relay::refusal::Reason;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::metrics::Metrics;
use crate::relay::refusal::Refusal;
use crate::relay::writer::{Appended, Slot, Writer};
use crate::session::lookup::{SessionInfo, SessionSupplier};
use crate::session::meter::Reservation;
use crate::session::tree::{InFlight, SessionTree, SessionTrees, count};
use crate::session::unpaid::{RecentUnpaid, Unpaid};

/// Longest wait for a place in the writer's queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens sessions on disk, and hands signed messages to the leaf writer.
pub(crate) struct Recorder {
    trees: Arc<SessionTrees>,
    log: Arc<dyn LeafLog>,
    writer: Arc<Writer>,
    metrics: Arc<Metrics>,
    recent: Arc<RecentUnpaid>,
    /// What applications are served for nothing whose budget is used up, by session and supplier in upokt; 0 when they are refused.
    max_unpaid: u128,
}

/// What one message needs while it is in progress: a place in the writer's queue and one in the session's budget.
#[derive(Debug)]
pub(crate) struct Reserved {
    slot: Slot,
    /// For the bytes of the leaf, until they are written.
    room: Room,
    /// `None` beyond the budget, when the operator chose to serve anyway.
    budget: Option<Reservation>,
}

/// A message that may be signed: its session is open on disk and stays so until the message is recorded or dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    reserved: Reserved,
    tree: Arc<SessionTree>,
    in_flight: InFlight,
    target_hash: [u8; 32],
}

/// An admission without a place in the writer's queue: of a stream, whose leaf is written when it ends.
#[derive(Debug)]
pub(crate) struct Parked {
    room: Room,
    budget: Option<Reservation>,
    tree: Arc<SessionTree>,
    in_flight: InFlight,
    target_hash: [u8; 32],
}

impl Admission {
    /// Counts that the relay is refused for want of an answer to record.
    pub(crate) fn unanswered(&self, error: impl Into<Refusal>) -> Refusal {
        let refusal = error.into();
        self.tree.counts.unanswered(refusal.reason());
        refusal
    }

    /// Gives the place in the queue back, until [`Recorder::unpark`].
    pub(crate) fn park(self) -> Parked {
        let Reserved {
            slot: _,
            room,
            budget,
        } = self.reserved;
        Parked {
            room,
            budget,
            tree: self.tree,
            in_flight: self.in_flight,
            target_hash: self.target_hash,
        }
    }
}

impl Parked {
    /// Counts that the relay had no answer to record.
    pub(crate) fn unanswered(&self, reason: Reason) {
        self.tree.counts.unanswered(reason);
    }
}

/// A message that was signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) request: &'a RelayRequest,
    pub(crate) response: &'a RelayResponse,
    /// Status of the backend.
    pub(crate) status: u16,
    pub(crate) durability: Durability,
}

impl Recorder {
    pub(crate) fn new(
        trees: Arc<SessionTrees>,
        log: Arc<dyn LeafLog>,
        writer: Arc<Writer>,
        metrics: Arc<Metrics>,
        recent: Arc<RecentUnpaid>,
        config: MeterConfig,
    ) -> Self {
        let bound = config.max_unpaid_upokt.map_or(u128::MAX, u128::from);
        Self {
            trees,
            log,
            writer,
            metrics,
            recent,
            max_unpaid: if config.over_servicing { bound } else { 0 },
        }
    }

    /// A place for one message in the writer's queue, where it holds `room`, and in the budget of `supplier`.
    pub(crate) fn reserve(&self, supplier: &SessionSupplier, room: Room) -> Result<Reserved, Refusal> {
        let slot = self.writer.slot().ok_or(Refusal::Overloaded("leaf writer"))?;
        let budget = self.budget(supplier)?;
        Ok(Reserved { slot, room, budget })
    }

    /// A place for one message in the budget of `supplier`; `None` beyond it, when the operator chose to serve anyway. There is none while the
    /// disk takes no leaves: whoever served then would serve for nothing.
    pub(crate) fn budget(&self, supplier: &SessionSupplier) -> Result<Option<Reservation>, Refusal> {
        if self.log.state().refuses() {
            return Err(Refusal::CannotRecord);
        }
        match supplier.meter.reserve() {
            None if !supplier.meter.serve_unpaid(self.max_unpaid) => Err(Refusal::OverServiced),
            budget => Ok(budget),
        }
    }

    /// The rest of what a message needs that has its place in the budget. Waits for the writer's queue, [`PATIENCE`] at most: a message of a
    /// WebSocket cannot be refused alone and sent again.
    pub(crate) async fn place(&self, budget: Option<Reservation>, room: Room) -> Result<Reserved, Refusal> {
        let slot = tokio::time::timeout(PATIENCE, self.writer.next_slot()).await;
        let slot = slot.ok().flatten().ok_or(Refusal::Overloaded("leaf writer"))?;
        Ok(Reserved { slot, room, budget })
    }

    /// The admission with a place in the queue again.
    pub(crate) async fn unpark(&self, parked: Parked) -> Result<Admission, Refusal> {
        Ok(Admission {
            reserved: self.place(parked.budget, parked.room).await?,
            tree: parked.tree,
            in_flight: parked.in_flight,
            target_hash: parked.target_hash,
        })
    }

    /// Admits one message of a verified request: from here on its session is not sealed before it.
    pub(crate) async fn admit(
        &self,
        session: &SessionInfo,
        supplier: Address,
        reserved: Reserved,
    ) -> Result<Admission, Refusal> {
        let tree = self.open(session, supplier).await?;
        let in_flight = tree.enter().ok_or(Refusal::Sealed)?;
        count(&tree.counts.validated);
        Ok(Admission {
            reserved,
            tree,
            in_flight,
            target_hash: session.target_hash,
        })
    }

    /// The tree of a supplier in a session, written to disk when this is its first verified relay.
    async fn open(&self, session: &SessionInfo, supplier: Address) -> Result<Arc<SessionTree>, Refusal> {
        let create = || async {
            let index = self.trees.claim_index();
            let (record, log) = (session.record(supplier), Arc::clone(&self.log));
            let write = tokio::task::spawn_blocking(move || {
                log.begin(index, &record)
                    .map(|()| Arc::new(SessionTree::new(index, record)))
            });
            let tree = write
                .await
                .map_err(|e| LeafLogError::Io(std::io::Error::other(e)))??;
            self.trees.insert(Arc::clone(&tree));
            Ok::<_, LeafLogError>(tree)
        };
        let here = session.supplier(&supplier)?;
        Ok(Arc::clone(here.tree.get_or_try_init(create).await?))
    }

    /// Records a signed message. Unless its service is `bounded`, it is on disk when this returns.
    pub(crate) async fn record(&self, admission: Admission, signed: &Signed<'_>) -> Result<(), Refusal> {
        let Admission {
            reserved: Reserved { slot, room, budget },
            tree,
            in_flight,
            target_hash,
        } = admission;
        match earns(signed, budget, &target_hash) {
            Ok((relay, budget)) => {
                count(&tree.counts.applicable);
                let hash = relay.hash;
                let written = slot.append(Arc::clone(&tree), relay, room, budget, in_flight);
                if signed.durability == Durability::Strict {
                    match written.await.map_err(|_| Refusal::Stopping)?? {
                        Appended::Leaf => {}
                        Appended::Duplicate => self.unpaid(&tree, Unpaid::Duplicate, hash),
                    }
                }
            }
            Err((reason, hash)) => self.unpaid(&tree, reason, hash),
        }
        count(&tree.counts.served);
        Ok(())
    }

    fn unpaid(&self, tree: &SessionTree, reason: Unpaid, hash: [u8; 32]) {
        tree.counts.unpaid(reason);
        self.recent.add(hash, tree.index, reason);
        self.metrics.unpaid(reason.name(), &tree.service);
    }
}

/// The relay to record, or why it earns nothing, with its hash.
fn earns(
    signed: &Signed<'_>,
    budget: Option<Reservation>,
    target_hash: &[u8; 32],
) -> Result<(MinedRelay, Reservation), (Unpaid, [u8; 32])> {
    let relay = MinedRelay::new(signed.request, signed.response);
    if signed.status >= 500 {
        return Err((Unpaid::BackendError, relay.hash));
    }
    let Some(budget) = budget else {
        return Err((Unpaid::OverServiced, relay.hash));
    };
    if difficulty::is_applicable(&relay.hash, target_hash) {
        Ok((relay, budget))
    } else {
        Err((Unpaid::Difficulty, relay.hash))
    }
}
