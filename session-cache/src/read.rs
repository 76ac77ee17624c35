//! Reading a session from the chain, with everything that relaying in it needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use portico_client::{Accounts, ChainError, ModuleParams, RelayChain, Sessions};
use portico_protocol::relay::ring_gateways;
use portico_protocol::ring::Ring;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::session::{Session, SessionHeader};
use portico_protocol::wire::pocket::shared::{RpcType, Supplier};
use portico_protocol::{Address, Height, PublicKey, ServiceId};
use tracing::warn;

use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::reader::{Bounds, Question, Reader, WhenFull};
use crate::{Endpoint, SessionError, SessionView, SupplierView};

/// Public keys remembered. An account's key never changes, so they do not expire; when full, all are forgotten and read again.
const MAX_KEYS: usize = 65_536;
/// Accounts of one session that are read at the same time.
const KEY_READS: usize = 16;

/// Pairs of application and service that a [`SessionCache`] remembers; when full, the one unused for longest makes room.
pub const MAX_ENTRIES: usize = 4_096;
/// How long a failure is remembered that may pass by itself (the chain cannot be reached).
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// The sessions of a role that signs relays and verifies their answers.
pub type SessionCache = Cache<ViewReader>;

/// Reads sessions as [`SessionView`]s.
pub struct ViewReader {
    chain: Arc<dyn RelayChain>,
    keys: PublicKeys,
}

impl SessionCache {
    /// An empty cache over `chain`. Its metrics carry the label `role` and err when `registry` already has them with that role.
    pub fn new(
        chain: Arc<dyn RelayChain>,
        role: &str,
        registry: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        let bounds = Bounds {
            max_pairs: MAX_ENTRIES,
            when_full: WhenFull::Evict,
            failure_pause: FAILURE_PAUSE,
        };
        let head = chain.head();
        let keys = PublicKeys::default();
        let metrics = Metrics::new(role, registry)?;
        Ok(Self::counted(ViewReader { chain, keys }, head, bounds, metrics))
    }

    /// Why the chain was not reached yet; `None` once it was.
    #[must_use]
    pub fn unreached(&self) -> Option<String> {
        self.reader().chain.unreached()
    }
}

#[async_trait]
impl Reader for ViewReader {
    type Session = SessionView;

    async fn read(&self, question: &Question) -> Result<SessionView, SessionError> {
        read(self.chain.as_ref(), &self.keys, question).await
    }
}

impl Question {
    fn chain(&self, source: ChainError) -> SessionError {
        SessionError::Chain {
            application: self.application,
            service: self.service.clone(),
            source,
        }
    }
}

/// Asks for a session and completes it with keys and params.
async fn read(
    chain: &(impl Sessions + ModuleParams + Accounts + ?Sized),
    keys: &PublicKeys,
    question: &Question,
) -> Result<SessionView, SessionError> {
    let fault = |source| question.chain(source);
    let session = chain
        .session(&question.application, &question.service, question.height)
        .await
        .map_err(fault)?;
    let header = check(question, &session)?.clone();
    let (start, end) = (
        Height(header.session_start_block_height),
        Height(header.session_end_block_height),
    );
    let params = chain.shared_params(Some(start)).await.map_err(fault)?;
    let ring = ring(chain, keys, question, &session, end).await?;
    let suppliers = suppliers(chain, keys, question, &session.suppliers).await?;
    let grace_end = Timing::new(&params).grace_end(start).max(end);
    let (application, service) = (question.application, question.service.clone());
    Ok(SessionView {
        application,
        service,
        header,
        start,
        end,
        grace_end,
        suppliers,
        ring,
        params,
        session,
    })
}

/// The header, if it is what was asked for.
fn check<'a>(question: &Question, session: &'a Session) -> Result<&'a SessionHeader, SessionError> {
    let malformed = |text: String| SessionError::Malformed(text);
    let header = session
        .header
        .as_ref()
        .ok_or_else(|| malformed("it has no header".into()))?;
    portico_protocol::session::validate_header(header).map_err(|error| malformed(error.to_string()))?;
    if header.application_address != question.application.to_string()
        || header.service_id != question.service.as_str()
    {
        return Err(malformed(format!(
            "it is of {} for {}",
            header.application_address, header.service_id
        )));
    }
    let blocks = header.session_start_block_height..=header.session_end_block_height;
    if question.height > Height(0) && !blocks.contains(&question.height.0) {
        return Err(malformed(format!(
            "blocks {blocks:?} do not contain height {}",
            question.height
        )));
    }
    Ok(header)
}

/// Keys of the application and of those of its gateways that have one; the application's twice when it has no gateway.
async fn ring(
    chain: &(impl Accounts + ?Sized),
    keys: &PublicKeys,
    question: &Question,
    session: &Session,
    end: Height,
) -> Result<Ring, SessionError> {
    let missing =
        || SessionError::Malformed("it does not say which application and gateways sign".to_owned());
    let application = session.application.as_ref().ok_or_else(missing)?;
    let fault = |source| question.chain(source);
    let own = keys.of(chain, &question.application).await.map_err(fault)?;
    let own = own.ok_or(SessionError::NoPublicKey(question.application))?;
    let mut members = vec![own];
    for gateway in ring_gateways(application, end) {
        match keys.of(chain, &gateway).await.map_err(fault)? {
            Some(key) => members.push(key),
            None => warn!(%gateway, "gateway left out of the ring: the chain knows no public key of it"),
        }
    }
    if members.len() == 1 {
        members.push(own);
    }
    Ok(Ring::new(members)?)
}

/// The suppliers whose answers can be verified, in session order.
async fn suppliers(
    chain: &(impl Accounts + ?Sized),
    keys: &PublicKeys,
    question: &Question,
    suppliers: &[Supplier],
) -> Result<Vec<SupplierView>, SessionError> {
    let reads: Vec<_> = suppliers
        .iter()
        .map(|supplier| view(chain, keys, &question.service, supplier))
        .collect();
    let views: Vec<Option<SupplierView>> = stream::iter(reads)
        .buffered(KEY_READS)
        .try_collect()
        .await
        .map_err(|source| question.chain(source))?;
    Ok(views.into_iter().flatten().collect())
}

async fn view(
    chain: &(impl Accounts + ?Sized),
    keys: &PublicKeys,
    service: &ServiceId,
    supplier: &Supplier,
) -> Result<Option<SupplierView>, ChainError> {
    let Ok(operator) = supplier.operator_address.parse::<Address>() else {
        warn!(
            supplier = supplier.operator_address,
            "supplier left out: not an address"
        );
        return Ok(None);
    };
    let Some(public_key) = keys.of(chain, &operator).await? else {
        warn!(supplier = %operator, "supplier left out: the chain knows no public key of it");
        return Ok(None);
    };
    let staked = supplier
        .services
        .iter()
        .filter(|config| config.service_id == service.as_str());
    let endpoints = staked
        .flat_map(|config| &config.endpoints)
        .filter_map(|endpoint| {
            let rpc_type = RpcType::try_from(endpoint.rpc_type).ok()?;
            Some(Endpoint {
                url: endpoint.url.clone(),
                rpc_type,
            })
        })
        .collect();
    Ok(Some(SupplierView {
        operator,
        operator_text: operator.to_string(),
        public_key,
        endpoints,
    }))
}

/// Public keys of accounts that were read once.
#[derive(Debug, Default)]
pub(crate) struct PublicKeys(Mutex<BTreeMap<Address, PublicKey>>);

impl PublicKeys {
    /// Key of the account; `None` when the chain has no such account or it never signed. That is not remembered: it may sign any time.
    async fn of(
        &self,
        chain: &(impl Accounts + ?Sized),
        address: &Address,
    ) -> Result<Option<PublicKey>, ChainError> {
        let known = self.lock().get(address).copied();
        if known.is_some() {
            return Ok(known);
        }
        let key = match chain.account(address).await {
            Ok(account) => account.public_key,
            Err(ChainError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let key = key.filter(|key| key.address() == *address);
        if let Some(key) = key {
            self.remember(*address, key);
        }
        Ok(key)
    }

    fn remember(&self, address: Address, key: PublicKey) {
        let mut keys = self.lock();
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert(address, key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, PublicKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
