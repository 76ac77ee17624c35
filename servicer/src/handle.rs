//! A look into a running servicer.

use std::sync::{Arc, Weak};

use portico_client::Blocks;
use portico_protocol::{Address, Height, ServiceId};
use portico_smst::Path;
use serde::{Deserialize, Serialize};

use crate::leaf_log::{Leaf, LeafLog, LeafLogError, backup};
use crate::lifecycle::plan::near_its_close;
use crate::readiness::{Observed, Progress, Readiness};
use crate::relay::served::{ServedService, Serving};
use crate::relay::simulation::Simulated;
use crate::relay::writer::Writer;
use crate::reload::{self, ConfigSource, ReloadAction, ReloadError, ReloadPlan, Reloader};
use crate::session::ledger::LedgerRow;
use crate::session::tree::{SessionTree, SessionTrees};
use crate::session::unpaid::{RecentUnpaid, UnpaidRelay};
use crate::standing::Standings;

/// Looks into a running servicer.
#[derive(Clone)]
pub struct ServicerHandle {
    pub(crate) chain: Arc<dyn Blocks>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) log: Arc<dyn LeafLog>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) recent: Arc<RecentUnpaid>,
    /// The queue closes when the last relay is done, whoever still looks.
    pub(crate) writer: Weak<Writer>,
    pub(crate) simulated: Arc<Simulated>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) reloader: Arc<Reloader>,
}

/// What is known of one relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum FoundRelay {
    /// It is a leaf.
    Leaf {
        /// Session id.
        session_id: String,
        /// Operator address of the supplier.
        supplier: Address,
        /// Position in the session, from 0.
        seq: u64,
    },
    /// It was answered, and earns nothing.
    Unpaid(UnpaidRelay),
}

impl std::fmt::Debug for ServicerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServicerHandle")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl ServicerHandle {
    /// One row per session and supplier, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.trees.all().iter().map(|tree| tree.row()).collect()
    }

    /// Leaves of a session on disk, in the order in which they were committed; empty for an unknown session. Blocks while it reads.
    ///
    /// # Errors
    /// When the leaf log cannot be read.
    pub fn leaves(&self, session_id: &str, supplier: &Address) -> Result<Vec<Leaf>, LeafLogError> {
        let Some(tree) = self.trees.find(session_id, supplier) else {
            return Ok(Vec::new());
        };
        let weight = tree.record().compute_units_per_relay;
        let mut leaves = Vec::new();
        self.log.scan(tree.index, &mut |seq, key, relay| {
            leaves.push(Leaf {
                seq,
                key: *key,
                relay: relay.to_vec(),
                weight,
            });
        })?;
        Ok(leaves)
    }

    /// What is known of the relay `hash`; a leaf whose session was settled or expired is found until it is deleted, an unpaid relay until
    /// newer ones take its place or the servicer restarts. Blocks while it reads.
    ///
    /// # Errors
    /// When the leaf log cannot be read.
    pub fn relay(&self, hash: &[u8; 32]) -> Result<Option<FoundRelay>, LeafLogError> {
        let path = Path::of_key(hash);
        for tree in self.trees.all().iter().rev().filter(|tree| !tree.is_forgotten()) {
            let mut seq = tree.leaves().set.get(&path);
            // A finished session that was read from disk has no leaves in memory.
            if tree.stage().is_final() && seq.is_none() {
                self.log.scan(tree.index, &mut |at, key, _| {
                    seq = seq.or((key == hash).then_some(at));
                })?;
            }
            if let Some(seq) = seq {
                let record = tree.record();
                let (session_id, supplier) = (record.session_id, record.supplier);
                return Ok(Some(FoundRelay::Leaf {
                    session_id,
                    supplier,
                    seq,
                }));
            }
        }
        let Some((index, reason)) = self.recent.find(hash) else {
            return Ok(None);
        };
        let tree = self.trees.all().into_iter().find(|tree| tree.index == index);
        Ok(tree.map(|tree| {
            let record = tree.record();
            FoundRelay::Unpaid(UnpaidRelay {
                session_id: record.session_id,
                supplier: record.supplier,
                reason,
            })
        }))
    }

    /// Hands over the leaf log as it is at one moment, in the form that [`crate::leaf_log::Backup`] takes, until `send` returns false. Blocks while
    /// it reads; the file grows by what is written meanwhile.
    ///
    /// # Errors
    /// When the leaf log cannot be read, and when `send` returned false.
    pub fn backup(&self, send: impl FnMut(Vec<u8>) -> bool) -> Result<(), LeafLogError> {
        backup::send(self.log.as_ref(), send)
    }

    /// Stores the counters of an orderly stop; those of the last block would be lost otherwise.
    pub(crate) fn save_counts(&self) {
        let unsaved = |tree: &Arc<SessionTree>| tree.unsaved_counts().map(|record| (tree.index, record));
        let records: Vec<_> = self.trees.all().iter().filter_map(unsaved).collect();
        if !records.is_empty()
            && let Err(error) = self.log.put(&records, None)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "relay counters were not stored"
            );
        }
    }

    /// Newest block whose work is done; 0 before the first.
    #[must_use]
    pub fn height(&self) -> i64 {
        self.progress.height().0
    }

    /// Waits until all work of the block at `height`, or of a later one, is done.
    pub async fn wait_for_block(&self, height: i64) {
        self.progress.wait_for(Height(height)).await;
    }

    /// Whether relays should be sent here, and why not.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let writer = self.writer.upgrade();
        self.progress.readiness(&Observed {
            unreached: self.chain.unreached(),
            unrecordable: match &writer {
                None => Some("the servicer is stopping".to_owned()),
                Some(_) => self.log.state().fault().map(|fault| fault.to_string()),
            },
            writer_fill: writer.as_ref().map_or(0.0, |writer| writer.fill()),
            unsealed_overdue: self.trees.oldest_unsealed_overdue(self.progress.height()),
            near_deadlines: self.near_deadlines(),
            outages: self.outages(),
            nobody_earns: self.standings.nobody_earns(self.serving.now().keys.len()),
            warnings: self.standings.warnings(),
        })
    }

    fn near_deadlines(&self) -> usize {
        let head = self.progress.planned_height();
        let trees = self.trees.all();
        let near = trees
            .iter()
            .filter(|tree| near_its_close(&tree.record(), head).is_some());
        near.count()
    }

    /// What is wrong with keys, nodes and simulated relays, in words.
    fn outages(&self) -> Vec<String> {
        let served = self.serving.now();
        let nodes = served
            .services
            .values()
            .filter_map(|service| service.backends.outage());
        let keys = reload::missing_keys(&self.serving, &self.trees);
        keys.into_iter()
            .chain(nodes)
            .chain(self.simulated.faults())
            .collect()
    }

    /// A service of the configuration; `None` when it is not configured.
    pub(crate) fn service(&self, service: &ServiceId) -> Option<Arc<ServedService>> {
        self.serving.now().services.get(service).cloned()
    }

    /// Says where [`Self::reload`] reads the configuration from; only the first call counts.
    pub fn reload_from(&self, source: Box<dyn ConfigSource>) {
        self.reloader.read_from(source);
    }

    /// Reads the configuration anew, and plans, applies or undoes what differs. Relays in progress end with what they began with. Blocks while
    /// it reads files.
    ///
    /// # Errors
    /// See [`ReloadError`]; nothing is changed then.
    pub fn reload(&self, action: ReloadAction) -> Result<ReloadPlan, ReloadError> {
        self.reloader.reload(action)
    }
}
