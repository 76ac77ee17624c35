//! Sessions as the hot path needs them: one look-up gives everything that a relay is checked against.
//!
//! Keyed by (application, service, session start). A request is believed to name a session that the grid of sessions has at this
//! height before the chain is asked; then the chain is asked once, however many relays wait for it, and a refusal is remembered until
//! the next block. So what a stranger can cause is one query per block for each application that he invents, at most
//! [`MAX_LOOKUPS`] at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_client::{Chain, ChainError};
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::session::{Session, SessionHeader};
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{Address, Height, ServiceId, Upokt, difficulty, relay};
use tokio::sync::{OnceCell, Semaphore};

use crate::metrics::Metrics;
use crate::session::head::Head;
use crate::session::meter::{Meter, Prices, budget};
use crate::session::record::{CountSnapshot, Sending, SessionRecord, Windows};
use crate::session::stage::Stage;
use crate::session::tree::{SessionTree, SessionTrees};

/// Sessions asked of the chain at a time.
const MAX_LOOKUPS: usize = 32;

/// Time for all that is asked of the chain about one session.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no session to serve in.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// No session of the current grid has these heights, or it is over.
    #[error("session {start}..{end} is neither active nor within its grace period at height {height}")]
    NotActive { start: i64, end: i64, height: i64 },
    /// The chain has no such session.
    #[error("the chain has no such session: {0}")]
    Unknown(ChainError),
    /// The chain could not be asked.
    #[error("the chain cannot be asked for the session: {0}")]
    Chain(ChainError),
    /// The header is not the session's.
    #[error("session header differs from the chain's in {0}")]
    Header(&'static str),
    /// The supplier is not in the session.
    #[error("supplier {0} is not in the session")]
    Supplier(Address),
    /// Too many sessions are held or asked for.
    #[error("too many sessions at a time")]
    TooMany,
}

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

type Key = (Address, ServiceId, Height);
type Cell = Arc<OnceCell<Result<Arc<SessionInfo>, SessionError>>>;

/// The sessions in use.
#[derive(Debug)]
pub(crate) struct Sessions<C: ?Sized> {
    entries: Mutex<HashMap<Key, Entry>>,
    params: Mutex<Option<(Height, Arc<Params>)>>,
    head: Head<C>,
    lookups: Semaphore,
    rules: Rules,
    trees: Arc<SessionTrees>,
    metrics: Arc<Metrics>,
    chain: Arc<C>,
}

/// Configuration of the sessions.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) ours: BTreeSet<Address>,
    pub(crate) max_sessions: usize,
    pub(crate) metered: bool,
}

#[derive(Debug)]
struct Entry {
    cell: Cell,
    /// Height at which the look-up began: a refusal counts for this height only.
    asked_at: Height,
    end: Height,
}

impl Entry {
    /// Whether the entry answers a request at `height`: a refusal by the chain does for its block, a chain that was away for nobody.
    fn counts_at(&self, height: Height) -> bool {
        match self.cell.get() {
            None | Some(Ok(_)) => true,
            Some(Err(SessionError::Unknown(_))) => self.asked_at >= height,
            Some(Err(_)) => false,
        }
    }
}

impl<C: Chain + ?Sized> Sessions<C> {
    pub(crate) fn new(chain: Arc<C>, trees: Arc<SessionTrees>, rules: Rules, metrics: Arc<Metrics>) -> Self {
        let (entries, params) = (Mutex::default(), Mutex::default());
        Self {
            entries,
            params,
            head: Head::new(Arc::clone(&chain)),
            lookups: Semaphore::new(MAX_LOOKUPS),
            rules,
            trees,
            metrics,
            chain,
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
        let height = self.height_for(start).await?;
        let key = (application, service.clone(), start);
        let cell = match self.known(&key, height) {
            Some(cell) => cell,
            None => {
                let end = in_time(self.plausible(header, height)).await?;
                self.entry(key, height, end)?
            }
        };
        let found = cell
            .get_or_init(|| in_time(self.ask(application, service, start, height)))
            .await
            .clone()?;
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
        let mut head = self.chain.head();
        // A chain that is gone reaches nothing: who waits has a time-out.
        if head.wait_for(|head| head.height >= height).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the grid of sessions, as far as it is known, has one from here on.
    pub(crate) fn may_begin(&self, start: Height) -> bool {
        let params = lock(&self.params).clone();
        params.is_none_or(|(_, params)| Timing::new(&params).start(start) == start)
    }

    /// Last height of the session, when the grid of sessions has it now or had it within the grace period.
    async fn plausible(&self, header: &SessionHeader, height: Height) -> Result<Height, SessionError> {
        let params = self.params(height).await.map_err(SessionError::Chain)?;
        let timing = Timing::new(&params);
        let start = Height(header.session_start_block_height);
        let end = Height(header.session_end_block_height);
        let on_grid = start.0 > 0 && timing.start(start) == start && timing.end(start) == end;
        let in_time = start <= height && height <= timing.grace_end(start);
        if on_grid && in_time {
            Ok(end)
        } else {
            Err(not_active(header, height))
        }
    }

    /// Shared params, asked for once per block.
    async fn params(&self, height: Height) -> Result<Arc<Params>, ChainError> {
        let cached = lock(&self.params).clone();
        // A request may be checked at a height that the followed head has not reached.
        if let Some((at, params)) = cached
            && (at == height || at.0 == height.0.saturating_add(1))
        {
            return Ok(params);
        }
        let params = Arc::new(self.chain.shared_params(None).await?);
        *lock(&self.params) = Some((height, Arc::clone(&params)));
        Ok(params)
    }

    fn known(&self, key: &Key, height: Height) -> Option<Cell> {
        let entries = lock(&self.entries);
        let entry = entries.get(key)?;
        entry.counts_at(height).then(|| Arc::clone(&entry.cell))
    }

    fn entry(&self, key: Key, height: Height, end: Height) -> Result<Cell, SessionError> {
        let mut entries = lock(&self.entries);
        if entries.len() >= self.rules.max_sessions {
            entries.retain(|_, entry| entry.counts_at(height));
        }
        // Refusals make room for sessions: what is invented may be asked for again, what is real must not wait for the next block.
        if entries.len() >= self.rules.max_sessions {
            entries.retain(|_, entry| !matches!(entry.cell.get(), Some(Err(_))));
        }
        if entries.len() >= self.rules.max_sessions {
            return Err(SessionError::TooMany);
        }
        let new = || Entry {
            cell: Cell::default(),
            asked_at: height,
            end,
        };
        let entry = entries.entry(key).or_insert_with(new);
        if !entry.counts_at(height) {
            *entry = new();
        }
        Ok(Arc::clone(&entry.cell))
    }

    /// Drops sessions that no relay can belong to any more.
    pub(crate) fn expire(&self, height: Height) {
        lock(&self.entries).retain(|_, entry| match entry.cell.get() {
            Some(Ok(info)) => height <= info.windows.grace_end,
            Some(Err(_)) => entry.counts_at(height),
            None => height <= entry.end,
        });
    }

    async fn ask(
        &self,
        application: Address,
        service: &ServiceId,
        start: Height,
        height: Height,
    ) -> Result<Arc<SessionInfo>, SessionError> {
        let _place = self.lookups.acquire().await.map_err(|_| SessionError::TooMany)?;
        self.metrics.lookup();
        let end = Timing::new(&*self.params(height).await.map_err(SessionError::Chain)?).end(start);
        let session = self
            .chain
            .session(&application, service, height.min(end))
            .await
            .map_err(unknown)?;
        let info = self
            .info(session, application, service.clone())
            .await
            .map_err(SessionError::Chain)?;
        Ok(Arc::new(info))
    }

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
        let at_start = self.chain.shared_params(Some(start)).await?;
        let at_end = self.chain.shared_params(Some(end)).await?;
        let prices = Prices {
            compute_units_per_relay: self.chain.compute_units_per_relay(&service, start).await?,
            compute_units_to_tokens_multiplier: at_start.compute_units_to_tokens_multiplier,
            compute_unit_cost_granularity: at_start.compute_unit_cost_granularity,
        };
        let difficulty = self.chain.difficulty(&service, start).await?;
        let target_hash = difficulty
            .target_hash
            .try_into()
            .unwrap_or(difficulty::BASE_TARGET);
        let max = match self.rules.metered {
            true => Some(self.budget(&staked, &at_end).await?),
            false => None,
        };
        let mut suppliers = BTreeMap::new();
        for supplier in &session.suppliers {
            let Ok(address) = supplier.operator_address.parse::<Address>() else {
                continue;
            };
            if self.rules.ours.contains(&address) {
                suppliers.insert(
                    address,
                    self.session_supplier(&header.session_id, address, prices, max),
                );
            }
        }
        let members = Arc::new(relay::ring_addresses(&staked, end));
        let ring = Mutex::new(Ring {
            members,
            asked_at: self.height(),
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
            suppliers,
        })
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
            self.chain
                .application(&session.application)
                .await
                .map_err(SessionError::Chain)
        };
        let application = in_time(asking).await.ok()?;
        let members = Arc::new(relay::ring_addresses(&application, session.end));
        lock(&session.ring).members = Arc::clone(&members);
        Some(members)
    }

    async fn budget(
        &self,
        application: &portico_protocol::wire::pocket::application::Application,
        params: &Params,
    ) -> Result<u128, ChainError> {
        let stake = application
            .stake
            .as_ref()
            .and_then(|coin| Upokt::try_from(coin).ok())
            .unwrap_or_default();
        let session = self.chain.session_params().await?;
        Ok(budget(stake.0, session.num_suppliers_per_session, params))
    }

    fn session_supplier(
        &self,
        session_id: &str,
        supplier: Address,
        prices: Prices,
        max: Option<u128>,
    ) -> SessionSupplier {
        let tree = self.trees.find(session_id, &supplier);
        let leaves = tree.as_ref().map_or(0, |tree| {
            u64::try_from(tree.leaves().set.len()).unwrap_or(u64::MAX)
        });
        let meter = Meter::new(prices.cost_per_relay(), max, leaves);
        SessionSupplier {
            meter,
            tree: OnceCell::new_with(tree),
        }
    }
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
    let late = |_| SessionError::Chain(ChainError::Unavailable("no answer in time".to_owned()));
    tokio::time::timeout(LOOKUP_TIMEOUT, asking).await.map_err(late)?
}

fn unknown(error: ChainError) -> SessionError {
    if error.is_retryable() {
        SessionError::Chain(error)
    } else {
        SessionError::Unknown(error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
