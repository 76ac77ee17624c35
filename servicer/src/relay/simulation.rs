//! Simulated relays: on a timer, each supplier of each service gets a request that this process signed to itself, through the parts of a real
//! one: shape, ring signature, backend, signing, and the check that a gateway makes of the answer.
//!
//! They make no leaf, take no budget and ask the chain nothing: their application does not exist, and no endpoint serves them. What a
//! simulated relay holds of its service's places it gives back as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use portico_config::servicer::SimulationConfig;
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest};
use portico_protocol::{Address, ServiceId, SigningKey, relay};
use portico_relay::Exchange as _;
use prometheus::{IntCounterVec, Opts, Registry};
use prost::Message as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::backend::{BackendError, Probe};
use crate::relay::refusal::Refusal;
use crate::relay::relays::Relays;
use crate::relay::served::{self, KeyState, Served};

/// Least time between two simulated relays of the process: with very many suppliers a round takes longer than the interval.
const LEAST_GAP: Duration = Duration::from_millis(50);
/// Heights of the session that does not exist.
const HEIGHTS: (i64, i64) = (1, 2);

/// What became of simulated relays, for `/ready`.
#[derive(Debug)]
pub(crate) struct Simulated {
    failures: u32,
    outcomes: Mutex<BTreeMap<(ServiceId, Address), Outcome>>,
    relays: IntCounterVec,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    failed: u32,
    step: Step,
}

/// How far a simulated relay came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Request,
    Signature,
    Backend,
    Answer,
    Response,
    Ok,
    /// The service was full: that says nothing about its health.
    Busy,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Signature => "signature",
            Self::Backend => "backend",
            Self::Answer => "answer",
            Self::Response => "response",
            Self::Ok => "ok",
            Self::Busy => "busy",
        }
    }
}

/// A service, a supplier, and what is asked.
type Turn = (ServiceId, Address, Probe);

/// Sends simulated relays.
pub(crate) struct Simulation {
    relays: Arc<Relays>,
    simulated: Arc<Simulated>,
    interval: Duration,
    application: SigningKey,
    ring: Ring,
    members: Arc<BTreeSet<Address>>,
    rng: StdRng,
    sent: u64,
}

impl Simulated {
    /// Registers the series; errs when `registry` holds a servicer already.
    pub(crate) fn new(config: &SimulationConfig, registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "servicer_simulated_relays_total",
            "Simulated relays by service and the step that failed, or ok.",
        );
        let relays = IntCounterVec::new(options, &["service", "outcome"])?;
        registry.register(Box::new(relays.clone()))?;
        Ok(Self {
            failures: config.failures,
            outcomes: Mutex::default(),
            relays,
        })
    }

    /// Which services fail their simulated relays, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut by_service: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
        for ((service, _), outcome) in self.outcomes().iter() {
            if outcome.failed >= self.failures {
                *by_service
                    .entry((service.to_string(), outcome.step.name()))
                    .or_default() += 1;
            }
        }
        let words = |((service, step), suppliers)| {
            format!("simulated relays of service {service} fail at the {step} for {suppliers} suppliers")
        };
        by_service.into_iter().map(words).collect()
    }

    /// Forgets what is no longer sent.
    fn keep(&self, turns: &[Turn]) {
        let sent: BTreeSet<(&ServiceId, &Address)> = turns
            .iter()
            .map(|(service, supplier, _)| (service, supplier))
            .collect();
        self.outcomes()
            .retain(|(service, supplier), _| sent.contains(&(service, supplier)));
    }

    fn came(&self, service: &ServiceId, supplier: Address, step: Step) {
        let labels = [&*service.to_string(), step.name()];
        self.relays.with_label_values(&labels).inc();
        if step == Step::Busy {
            return;
        }
        let mut outcomes = self.outcomes();
        let outcome = outcomes
            .entry((service.clone(), supplier))
            .or_insert(Outcome { failed: 0, step });
        outcome.failed = match step {
            Step::Ok => 0,
            _ => outcome.failed.saturating_add(1),
        };
        outcome.step = step;
        if step != Step::Ok && outcome.failed == self.failures {
            tracing::warn!(
                service = %service,
                supplier = %supplier,
                step = step.name(),
                "simulated relays fail"
            );
        }
    }

    fn outcomes(&self) -> MutexGuard<'_, BTreeMap<(ServiceId, Address), Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulation {
    /// Draws the keys of an application and of its gateway.
    pub(crate) fn new(
        relays: Arc<Relays>,
        simulated: Arc<Simulated>,
        config: &SimulationConfig,
        mut rng: StdRng,
    ) -> Result<Self, portico_protocol::ring::RingError> {
        let application = SigningKey::generate(&mut rng);
        let gateway = SigningKey::generate(&mut rng);
        Ok(Self {
            ring: Ring::new(vec![application.public_key(), gateway.public_key()])?,
            relays,
            simulated,
            interval: Duration::from_millis(config.interval_ms),
            members: Arc::new(BTreeSet::from([application.address(), gateway.address()])),
            application,
            rng,
            sent: 0,
        })
    }

    /// Sends one relay after the other, spread over the interval, until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.relays.serving.changes();
        while !stop.is_cancelled() {
            let turns = turns(&changes.borrow_and_update());
            self.simulated.keep(&turns);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = self.take(&turns) => {}
            }
        }
    }

    /// One turn after the other, for ever.
    async fn take(&mut self, turns: &[Turn]) {
        if turns.is_empty() {
            return std::future::pending().await;
        }
        let count = u32::try_from(turns.len()).unwrap_or(u32::MAX).max(1);
        let gap = (self.interval / count).max(LEAST_GAP);
        for (service, supplier, probe) in turns.iter().cycle() {
            tokio::time::sleep(gap).await;
            let step = match self.relay(service, *supplier, probe).await {
                Ok(()) => Step::Ok,
                Err(step) => step,
            };
            self.simulated.came(service, *supplier, step);
        }
    }

    /// One relay, step by step as [`Relays::serve`] does it.
    async fn relay(&mut self, service: &ServiceId, supplier: Address, probe: &Probe) -> Result<(), Step> {
        self.sent = self.sent.wrapping_add(1);
        let header = SessionHeader {
            application_address: self.application.address().to_string(),
            service_id: service.to_string(),
            session_id: format!("simulated-{}", self.sent),
            session_start_block_height: HEIGHTS.0,
            session_end_block_height: HEIGHTS.1,
        };
        let signed = relay::sign_request(
            &header,
            &supplier.to_string(),
            payload(probe),
            &self.ring,
            &self.application,
            &mut self.rng,
        );
        let bytes: Bytes = signed.map_err(|_| Step::Request)?.encode_to_vec().into();
        let length = bytes.len();
        let decoded = served::decode(bytes).map_err(|_| Step::Request)?;
        let rpc_type = probe.rpc_type.map(|rpc_type| rpc_type.name());
        let request = self.relays.serving.now().accept(decoded, length, rpc_type);
        let request = request.map_err(|_| Step::Request)?;
        let backends = &request.service.backends;
        let busy = |error: &BackendError| match error {
            BackendError::Full(_) | BackendError::NoRoom => Step::Busy,
            _ => Step::Backend,
        };
        let admitted = backends.admit(request.rpc_type, &request.relay.payload).await;
        let admitted = admitted.map_err(|error| busy(&error))?;
        let checked = self
            .relays
            .verifier
            .check(&request.relay, Arc::clone(&self.members))
            .await;
        checked.map_err(|refusal| match refusal {
            Refusal::Stopping => Step::Busy,
            _ => Step::Signature,
        })?;
        let (meta, _) = served::parts(&request.relay).map_err(|_| Step::Request)?;
        let opened = backends.open(admitted, meta, HeaderMap::new()).await;
        let (mut exchange, _places) = opened.map_err(|error| busy(&error))?;
        let message = exchange.next().await.unwrap_or(Err(BackendError::NoMessage));
        let message = message.map_err(|error| busy(&error))?;
        if !(200..300).contains(&message.status) {
            return Err(Step::Answer);
        }
        let response = relay::sign_response(&header, message.payload, &request.key);
        let verified = relay::verify_response(&response, &header, &request.key.public_key());
        verified.map_err(|_| Step::Response)
    }
}

/// What is sent in turn: each question of each service, to each supplier.
fn turns(served: &Served) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (service, of_service) in &served.services {
        for probe in of_service.backends.probes() {
            let active = served
                .keys
                .iter()
                .filter(|(_, held)| held.state == KeyState::Active);
            turns.extend(active.map(|(supplier, _)| (service.clone(), *supplier, probe.clone())));
        }
    }
    turns
}

fn payload(probe: &Probe) -> Bytes {
    let header = |key: &str, value: &str| {
        let header = Header {
            key: key.to_owned(),
            values: vec![value.to_owned()],
        };
        (key.to_owned(), header)
    };
    let request = PokthttpRequest {
        method: probe.method.to_owned(),
        url: probe.path.clone(),
        header: BTreeMap::from([header("Content-Type", "application/json")]),
        body_bz: probe.body.into(),
    };
    request.encode_to_vec().into()
}
