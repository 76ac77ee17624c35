//! Sessions as the hot path needs them: one look-up gives everything that a relay is checked against.
//!
//! A request is believed to name a session that the grid of sessions has at this height before the chain is asked; who asks, how often
//! and what is remembered of refusals is [`portico_session_cache`]'s. What is the servicer's own is here: seats of its suppliers, meters,
//! prices, windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use portico_client::{ChainError, RelayChain};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::session::{self, Session, SessionHeader};
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{Address, Height, ServiceId, Upokt, difficulty, relay};
use portico_session_cache::{
    self as session_cache, Bounds, Cache, Grid, Head, Held, Question, Reader, WhenFull,
};
use tokio::sync::OnceCell;

use crate::fees::SessionFees;
use crate::lifecycle::remembered::late;
use crate::metrics::Metrics;
use crate::relay::served::Serving;
use crate::session::error::SessionError;
use crate::session::meter::{Costs, Meter, Prices, budget, cost_per_leaf};
use crate::session::record::{CountSnapshot, Sending, SessionRecord, Windows};
use crate::session::stage::Stage;
use crate::session::tree::{SessionTree, SessionTrees};
use crate::session::unpaid::Unpaid;

/// Time for all that is asked of the chain about one session.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A session on chain, with what was derived from it once.
#[derive(Debug)]
pub(crate) struct SessionInfo {
    pub(crate) header: SessionHeader,
    pub(crate) end: Height,
    pub(crate) windows: Windows,
    ring: Mutex<Ring>,
    pub(crate) target_hash: [u8; 32],
    application: Address,
    service: ServiceId,
    start: Height,
    prices: Prices,
    /// Time of the newest block when the chain was asked for the session, in milliseconds since 1970.
    asked_at_ms: u64,
    /// Our suppliers in the session.
    suppliers: BTreeMap<Address, SessionSupplier>,
}

/// Addresses whose keys may be in a ring, as of a height.
#[derive(Debug)]
struct Ring {
    members: Arc<BTreeSet<Address>>,
    asked_at: Height,
}

/// One of our suppliers in a session.
#[derive(Debug)]
pub(crate) struct SessionSupplier {
    pub(crate) meter: Arc<Meter>,
    /// Opened on disk by the recorder, for the first relay that is verified.
    pub(crate) tree: OnceCell<Arc<SessionTree>>,
}

impl Held for SessionInfo {
    fn id(&self) -> &str {
        &self.header.session_id
    }

    fn start(&self) -> Height {
        self.start
    }

    fn end(&self) -> Height {
        self.end
    }

    fn grace_end(&self) -> Height {
        self.windows.grace_end
    }
}

/// The sessions in use.
pub(crate) struct Sessions {
    cache: Cache<InfoReader>,
    grid: Grid<dyn RelayChain>,
    head: Head<dyn RelayChain>,
}

/// Configuration of the sessions.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) serving: Arc<Serving>,
    pub(crate) max_sessions: usize,
    pub(crate) metered: bool,
}

/// Reads sessions as [`SessionInfo`]s.
pub(crate) struct InfoReader {
    rules: Rules,
    trees: Arc<SessionTrees>,
    metrics: Arc<Metrics>,
    chain: Arc<dyn RelayChain>,
}

impl Sessions {
    pub(crate) fn new(
        chain: Arc<dyn RelayChain>,
        trees: Arc<SessionTrees>,
        rules: Rules,
        metrics: Arc<Metrics>,
    ) -> Self {
        let bounds = Bounds {
            max_pairs: rules.max_sessions,
            // A session that is forgotten forgets what its meters reserved.
            when_full: WhenFull::Refuse,
            failure_pause: Duration::ZERO,
        };
        let (head, grid) = (Head::new(Arc::clone(&chain)), Grid::new(Arc::clone(&chain)));
        let followed = chain.head();
        let reader = InfoReader {
            rules,
            trees,
            metrics,
            chain,
        };
        Self {
            cache: Cache::over(reader, followed, bounds),
            grid,
            head,
        }
    }

    /// Newest committed height.
    pub(crate) fn height(&self) -> Height {
        self.head.followed()
    }

    /// The session that `header` names, active or within its grace period now, with equal header fields.
    pub(crate) async fn find(
        &self,
        header: &SessionHeader,
        application: Address,
        service: &ServiceId,
    ) -> Result<Arc<SessionInfo>, SessionError> {
        let start = Height(header.session_start_block_height);
        let end = Height(header.session_end_block_height);
        let height = self.height_for(start).await?;
        let found = match self.cache.containing(&application, service, start) {
            Some(found) => found,
            None => {
                let accepted = async {
                    let accepted = self.grid.accepts(start, end, height).await;
                    accepted.map_err(SessionError::Chain)
                };
                if !in_time(accepted).await? {
                    return Err(not_active(header, height));
                }
                let asked = self.cache.at(&application, service, height.min(end)).await;
                asked.map_err(SessionError::from)?
            }
        };
        if let Some(field) = relay::header_difference(header, &found.header) {
            return Err(SessionError::Header(field));
        }
        if height > found.windows.grace_end {
            return Err(not_active(header, height));
        }
        Ok(found)
    }

    /// The height that a request for a session from `start` on is checked at: a gateway may know of a block before the followed head does.
    async fn height_for(&self, start: Height) -> Result<Height, SessionError> {
        let followed = self.height();
        if start <= followed || !self.may_begin(start) {
            return Ok(followed);
        }
        in_time(async { self.head.at(start).await.map_err(SessionError::Chain) }).await
    }

    /// Waits until the followed head is at `height`.
    pub(crate) async fn reach(&self, height: Height) {
        self.head.reach(height).await;
    }

    /// Whether the grid of sessions, as far as it is known, has one from here on.
    pub(crate) fn may_begin(&self, start: Height) -> bool {
        self.grid.may_begin(start)
    }

    /// Drops sessions that no relay can belong to any more.
    pub(crate) fn expire(&self, height: Height) {
        self.cache.prune(height);
    }

    /// Asks for the application again, once per block: a gateway may have been delegated to since the session was looked up.
    pub(crate) async fn renewed_ring(&self, session: &SessionInfo) -> Option<Arc<BTreeSet<Address>>> {
        let height = self.height();
        {
            let mut ring = lock(&session.ring);
            if ring.asked_at >= height {
                return None;
            }
            ring.asked_at = height;
        }
        let asking = async {
            let application = self.cache.reader().chain.application(&session.application).await;
            application.map_err(SessionError::Chain)
        };
        let application = in_time(asking).await.ok()?;
        let members = Arc::new(relay::ring_addresses(&application, session.end));
        lock(&session.ring).members = Arc::clone(&members);
        Some(members)
    }
}

#[async_trait]
impl Reader for InfoReader {
    type Session = SessionInfo;

    async fn read(&self, question: &Question) -> Result<SessionInfo, session_cache::SessionError> {
        self.metrics.lookup();
        let unanswered = |source| session_cache::SessionError::Chain {
            application: question.application,
            service: question.service.clone(),
            source,
        };
        let asking = async {
            let (application, service) = (question.application, question.service.clone());
            let session = self
                .chain
                .session(&application, &service, question.height)
                .await?;
            let info = self.info(session, application, service).await;
            // There is a session: what cannot be said of it is a failure, whatever the chain calls it.
            info.map_err(|error| ChainError::Internal(error.to_string()))
        };
        let answer = tokio::time::timeout(LOOKUP_TIMEOUT, asking).await;
        answer.unwrap_or_else(|_| Err(late())).map_err(unanswered)
    }
}

impl InfoReader {
    async fn info(
        &self,
        session: Session,
        application: Address,
        service: ServiceId,
    ) -> Result<SessionInfo, ChainError> {
        let malformed = |what: &str| ChainError::Internal(format!("session without {what}"));
        let header = session.header.ok_or_else(|| malformed("header"))?;
        let staked = session.application.ok_or_else(|| malformed("application"))?;
        let start = Height(header.session_start_block_height);
        let end = Height(header.session_end_block_height);
        // All at once: where each answer takes its time, one after the other they would take too long.
        let (at_start, at_end, compute_units_per_relay, difficulty, session_params) = tokio::try_join!(
            self.chain.shared_params(Some(start)),
            self.chain.shared_params(Some(end)),
            self.chain.compute_units_per_relay(&service, start),
            self.chain.difficulty(&service, start),
            self.session_params(),
        )?;
        let prices = Prices {
            compute_units_per_relay,
            compute_units_to_tokens_multiplier: at_start.compute_units_to_tokens_multiplier,
            compute_unit_cost_granularity: at_start.compute_unit_cost_granularity,
        };
        let target_hash = difficulty
            .target_hash
            .try_into()
            .unwrap_or(difficulty::BASE_TARGET);
        let max = session_params.map(|session| {
            let suppliers = session.num_suppliers_per_session;
            session_budget(&staked, suppliers, &at_end)
        });
        let costs = Costs {
            leaf: cost_per_leaf(&prices, &target_hash),
            relay: prices.cost_per_relay(),
        };
        let mut suppliers = BTreeMap::new();
        for supplier in &session.suppliers {
            let Ok(address) = supplier.operator_address.parse::<Address>() else {
                continue;
            };
            if self.rules.serving.is_active(&address) {
                suppliers.insert(
                    address,
                    self.session_supplier(&header.session_id, address, costs, max),
                );
            }
        }
        let members = Arc::new(relay::ring_addresses(&staked, end));
        let head = self.chain.head().borrow().clone();
        let ring = Mutex::new(Ring {
            members,
            asked_at: head.height,
        });
        let windows = Windows::new(&at_end, end);
        Ok(SessionInfo {
            header,
            end,
            windows,
            ring,
            target_hash,
            application,
            service,
            start,
            prices,
            asked_at_ms: head.time_ms,
            suppliers,
        })
    }

    /// Asked for when relays are metered.
    async fn session_params(&self) -> Result<Option<session::Params>, ChainError> {
        match self.rules.metered {
            true => self.chain.session_params().await.map(Some),
            false => Ok(None),
        }
    }

    fn session_supplier(
        &self,
        session_id: &str,
        supplier: Address,
        costs: Costs,
        max: Option<u128>,
    ) -> SessionSupplier {
        let tree = self.trees.find(session_id, &supplier);
        let leaves = tree.as_ref().map_or(0, |tree| {
            u64::try_from(tree.leaves().set.len()).unwrap_or(u64::MAX)
        });
        let unpaid = tree.as_ref().map_or(0, |tree| {
            tree.counts.snapshot().unpaid_by.of(Unpaid::OverServiced)
        });
        let meter = Meter::with(costs, max, leaves, unpaid);
        SessionSupplier {
            meter,
            tree: OnceCell::new_with(tree),
        }
    }
}

/// What an application pays one of `suppliers` suppliers for one session, at most.
fn session_budget(application: &Application, suppliers: u64, params: &Params) -> u128 {
    let amount = |coin: Option<&Coin>| {
        let amount = coin.and_then(|coin| Upokt::try_from(coin).ok());
        amount.unwrap_or_default().0
    };
    let stake = amount(application.stake.as_ref());
    let limit = amount(application.per_session_spend_limit.as_ref());
    budget(stake, limit, suppliers, params)
}

impl SessionInfo {
    /// Addresses whose keys may be in a ring.
    pub(crate) fn ring(&self) -> Arc<BTreeSet<Address>> {
        Arc::clone(&lock(&self.ring).members)
    }

    /// Our supplier at `supplier`; errs when it is not in the session.
    pub(crate) fn supplier(&self, supplier: &Address) -> Result<&SessionSupplier, SessionError> {
        self.suppliers
            .get(supplier)
            .ok_or(SessionError::Supplier(*supplier))
    }

    /// A record for the session of `supplier`, as its first verified relay opens it.
    pub(crate) fn record(&self, supplier: Address) -> SessionRecord {
        SessionRecord {
            application: self.application,
            service: self.service.clone(),
            session_id: self.header.session_id.clone(),
            start: self.start,
            end: self.end,
            supplier,
            compute_units_per_relay: self.prices.compute_units_per_relay,
            target_hash: self.target_hash,
            compute_units_to_tokens_multiplier: self.prices.compute_units_to_tokens_multiplier,
            compute_unit_cost_granularity: self.prices.compute_unit_cost_granularity,
            windows: self.windows,
            stage: Stage::Open,
            seal: None,
            claim: Sending::default(),
            claimed_on_chain: false,
            proof: Sending::default(),
            proof_required: None,
            proved: false,
            settled: None,
            counts: CountSnapshot::default(),
            final_height: None,
            deleted_leaves: None,
            damaged_leaves: 0,
            opened_at_ms: self.asked_at_ms,
            slashed: Upokt(0),
            fees: SessionFees::default(),
        }
    }
}

fn not_active(header: &SessionHeader, height: Height) -> SessionError {
    let (start, end) = (header.session_start_block_height, header.session_end_block_height);
    SessionError::NotActive {
        start,
        end,
        height: height.0,
    }
}

/// A chain that does not answer in time is one that is away.
async fn in_time<T>(asking: impl Future<Output = Result<T, SessionError>>) -> Result<T, SessionError> {
    let answer = tokio::time::timeout(LOOKUP_TIMEOUT, asking).await;
    answer.map_err(|_| SessionError::Chain(late()))?
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
