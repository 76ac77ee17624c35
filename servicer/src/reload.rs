//! Another configuration in place of the present one, while relays go on with what they began with.
//!
//! Keys and services can be exchanged; everything else needs a restart. A reload is done as a whole or not at all: it is planned first, and what
//! cannot be done refuses the rest. A key that is no longer named goes on claiming and proving what it served, and is let go of afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use portico_config::servicer::ServicerConfig;
use portico_protocol::{Address, ServiceId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backend::{self, Backends};
use crate::configured::{service, service_share, supplier_keys};
use crate::error::ServicerError;
use crate::relay::served::{HeldKey, KeyState, Served, ServedService, Serving};
use crate::session::tree::SessionTrees;

/// Where a servicer's configuration comes from. Errors are words for the operator.
pub trait ConfigSource: Send + Sync {
    /// Reads it anew.
    ///
    /// # Errors
    /// When it cannot be read or is wrong.
    fn read(&self) -> Result<ServicerConfig, String>;

    /// Is called before `next` is put in place, and not for a plan.
    ///
    /// # Errors
    /// When it must not be put in place.
    fn accept(&self, next: &ServicerConfig) -> Result<(), String> {
        let _ = next;
        Ok(())
    }
}

impl<F: Fn() -> Result<ServicerConfig, String> + Send + Sync> ConfigSource for F {
    fn read(&self) -> Result<ServicerConfig, String> {
        self()
    }
}

/// What a reload changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadPlan {
    /// Suppliers and services that change, in the order of the configuration's keys.
    pub changes: Vec<Change>,
    /// Keys of the configuration that differ and need a restart: with any of them nothing is changed.
    pub needs_restart: Vec<String>,
}

/// One change of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `supplier pokt1…` or `service eth`.
    pub what: String,
    /// What becomes of it, in words.
    pub becomes: String,
}

/// What is asked of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadAction {
    /// Say what would change.
    Plan,
    /// Change it.
    Apply,
    /// Go back to the configuration before the last reload.
    Undo,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The process was not started from a file.
    #[error("this servicer was not started from a configuration file")]
    NoFile,
    /// The file is wrong, or what it says must not be put in place.
    #[error("{0}")]
    Refused(String),
    /// What differs needs a restart.
    #[error("{} cannot change while the servicer runs: restart it, or take the change back", .0.join(", "))]
    NeedsRestart(Vec<String>),
    /// There was no reload, or it was undone.
    #[error("there is no earlier configuration to go back to")]
    NothingToUndo,
    /// A key or a URL is not usable.
    #[error(transparent)]
    Config(#[from] ServicerError),
}

/// Puts configurations in place.
pub(crate) struct Reloader {
    serving: Arc<Serving>,
    shared: backend::Shared,
    trees: Arc<SessionTrees>,
    configs: Mutex<Configs>,
    source: OnceLock<Box<dyn ConfigSource>>,
}

struct Configs {
    now: ServicerConfig,
    before: Option<ServicerConfig>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

impl Reloader {
    /// `shared` is what `config`'s services were made with.
    pub(crate) fn new(
        config: ServicerConfig,
        serving: Arc<Serving>,
        shared: backend::Shared,
        trees: Arc<SessionTrees>,
    ) -> Self {
        Self {
            serving,
            shared,
            trees,
            configs: Mutex::new(Configs {
                now: config,
                before: None,
            }),
            source: OnceLock::new(),
        }
    }

    /// Where the configuration is read from; only the first call counts.
    pub(crate) fn read_from(&self, source: Box<dyn ConfigSource>) {
        let _ = self.source.set(source);
    }

    /// Plans, and does what `action` says. Blocks while it reads files.
    pub(crate) fn reload(&self, action: ReloadAction) -> Result<ReloadPlan, ReloadError> {
        let mut configs = self.configs();
        let source = self.source.get().ok_or(ReloadError::NoFile)?;
        let next = match action {
            ReloadAction::Undo => configs.before.clone().ok_or(ReloadError::NothingToUndo)?,
            _ => source.read().map_err(ReloadError::Refused)?,
        };
        let faults = next.faults();
        if !faults.is_empty() {
            return Err(ServicerError::Config(faults).into());
        }
        let (plan, served) = self.plan(&configs.now, &next)?;
        if action == ReloadAction::Plan {
            return Ok(plan);
        }
        if !plan.needs_restart.is_empty() {
            return Err(ReloadError::NeedsRestart(plan.needs_restart));
        }
        source.accept(&next).map_err(ReloadError::Refused)?;
        self.serving.put(served);
        let before = std::mem::replace(&mut configs.now, next);
        configs.before = (action == ReloadAction::Apply).then_some(before);
        for change in &plan.changes {
            tracing::info!(
                what = change.what,
                becomes = change.becomes,
                "configuration changed"
            );
        }
        tracing::info!(changes = plan.changes.len(), "configuration reloaded");
        Ok(plan)
    }

    fn plan(
        &self,
        now: &ServicerConfig,
        next: &ServicerConfig,
    ) -> Result<(ReloadPlan, Served), ServicerError> {
        let served = self.serving.now();
        let mut changes = Vec::new();
        let keys = self.keys(next, &served, &mut changes)?;
        let services = self.services(now, next, &served, &mut changes)?;
        let plan = ReloadPlan {
            changes,
            needs_restart: needs_restart(now, next),
        };
        Ok((plan, Served::new(keys, services)))
    }

    fn keys(
        &self,
        next: &ServicerConfig,
        served: &Served,
        changes: &mut Vec<Change>,
    ) -> Result<BTreeMap<Address, HeldKey>, ServicerError> {
        let mut keys = supplier_keys(next)?;
        let mut change = |supplier: &Address, becomes: String| {
            changes.push(Change {
                what: format!("supplier {supplier}"),
                becomes,
            });
        };
        for (supplier, held) in &keys {
            match (served.keys.get(supplier).map(|held| held.state), held.state) {
                (None, KeyState::Active) => change(supplier, "served, from its next session on".to_owned()),
                (None, _) => change(supplier, "draining".to_owned()),
                (Some(KeyState::Active), KeyState::Draining) => {
                    change(
                        supplier,
                        "draining: no relay is served for it any more".to_owned(),
                    );
                }
                (Some(KeyState::Draining | KeyState::Leaving), KeyState::Active) => {
                    change(supplier, "served again".to_owned());
                }
                _ => {}
            }
        }
        let unsettled = self.trees.unsettled();
        for (supplier, held) in &served.keys {
            if keys.contains_key(supplier) {
                continue;
            }
            match unsettled.get(supplier) {
                None => change(supplier, "no longer served, and its key is let go of".to_owned()),
                Some(sessions) => {
                    keys.insert(
                        *supplier,
                        HeldKey {
                            key: Arc::clone(&held.key),
                            state: KeyState::Leaving,
                        },
                    );
                    change(
                        supplier,
                        format!(
                            "draining until {sessions} sessions are settled; keep its key in draining_key_files until then: a restart loses it"
                        ),
                    );
                }
            }
        }
        Ok(keys)
    }

    fn services(
        &self,
        now: &ServicerConfig,
        next: &ServicerConfig,
        served: &Served,
        changes: &mut Vec<Change>,
    ) -> Result<BTreeMap<ServiceId, Arc<ServedService>>, ServicerError> {
        let share = service_share(next);
        let (same_share, shared) = (share == service_share(now), self.shared.with_share(share));
        let mut services = BTreeMap::new();
        for (id, config) in &next.services {
            let kept = served
                .services
                .get(id)
                .filter(|_| now.services.get(id) == Some(config))
                .filter(|_| same_share || config.max_in_flight.is_some());
            let becomes = match (kept, now.services.contains_key(id)) {
                (Some(kept), _) => {
                    services.insert(id.clone(), Arc::clone(kept));
                    continue;
                }
                (None, true) => "changed: its nodes are looked at anew",
                (None, false) => "served",
            };
            services.insert(id.clone(), service(id, config, &shared)?);
            changes.push(Change {
                what: format!("service {id}"),
                becomes: becomes.to_owned(),
            });
        }
        for id in now.services.keys().filter(|id| !next.services.contains_key(*id)) {
            changes.push(Change {
                what: format!("service {id}"),
                becomes: "no longer served; what was served is claimed and proved".to_owned(),
            });
        }
        Ok(services)
    }

    fn configs(&self) -> MutexGuard<'_, Configs> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of the configuration that differ and are used once, at start.
fn needs_restart(now: &ServicerConfig, next: &ServicerConfig) -> Vec<String> {
    // Taken apart, so that a new key has to be put on one side or the other.
    let ServicerConfig {
        listen,
        chain,
        admin_listen,
        data_dir,
        suppliers: _,
        key_files: _,
        draining_key_files: _,
        draining: _,
        services: _,
        meter,
        tx,
        simulation,
        limits,
        listener,
        traces,
        tls,
        keep_leaves_blocks,
        lock_keys,
    } = next;
    let same = [
        ("listen", *listen == now.listen),
        ("chain", *chain == now.chain),
        ("admin_listen", *admin_listen == now.admin_listen),
        ("data_dir", *data_dir == now.data_dir),
        ("meter", *meter == now.meter),
        ("tx", *tx == now.tx),
        ("simulation", *simulation == now.simulation),
        ("limits", *limits == now.limits),
        ("listener", *listener == now.listener),
        ("traces", *traces == now.traces),
        ("tls", *tls == now.tls),
        (
            "keep_leaves_blocks",
            *keep_leaves_blocks == now.keep_leaves_blocks,
        ),
        ("lock_keys", *lock_keys == now.lock_keys),
    ];
    let differ = same.iter().filter(|(_, same)| !same);
    differ.map(|(key, _)| (*key).to_owned()).collect()
}

/// Checks the nodes of whatever is served, until `stop`; those of a service that stays the same are looked at without a break.
pub(crate) async fn check_nodes(serving: Arc<Serving>, stop: CancellationToken) {
    let mut changes = serving.changes();
    let mut checked: BTreeMap<ServiceId, (Arc<ServedService>, CancellationToken)> = BTreeMap::new();
    let mut checking = JoinSet::new();
    loop {
        let served = Arc::clone(&changes.borrow_and_update());
        checked.retain(|id, (service, stop)| {
            let stays = served
                .services
                .get(id)
                .is_some_and(|now| Arc::ptr_eq(now, service));
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (id, service) in &served.services {
            if !checked.contains_key(id) {
                let (service, stop) = (Arc::clone(service), stop.child_token());
                checked.insert(id.clone(), (Arc::clone(&service), stop.clone()));
                checking
                    .spawn(async move { Backends::check(std::iter::once(&service.backends), &stop).await });
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
            Some(_) = checking.join_next() => {}
        }
    }
    while checking.join_next().await.is_some() {}
}

/// Suppliers with sessions that are not settled and without a key, in words.
pub(crate) fn missing_keys(serving: &Serving, trees: &SessionTrees) -> Vec<String> {
    let unsettled = trees.unsettled();
    let missing = unsettled
        .iter()
        .filter(|(supplier, _)| serving.key(supplier).is_none());
    let words = |(supplier, sessions): (&Address, &usize)| {
        format!(
            "the key of {supplier} is missing, and {sessions} sessions of it are not settled: name it in draining_key_files"
        )
    };
    missing.map(words).collect()
}
