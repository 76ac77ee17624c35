//! How each supplier stands on chain: its stake, whether it leaves, what its account holds, and what follows from that.
//!
//! ```text
//! blocks ─► watch ─ asks the chain ─► judge (pure) ─► alarms: log, metrics, /ready
//!                                                └─► stop: relays that would not be paid are refused
//! ```

pub(crate) mod judge;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use portico_protocol::{Address, Height};

use judge::{Alarm, Standing};

/// Alarms that `/ready` names; of more it says how many there are.
const MAX_TOLD: usize = 32;

/// What is known of all suppliers; nothing of those that the chain was not asked about yet.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    known: RwLock<BTreeMap<Address, Arc<Standing>>>,
}

impl Standings {
    /// Why relays of a session that ends at `end`, and settles at `settles`, are not to be served for `supplier`.
    pub(crate) fn stop(&self, supplier: &Address, end: Height, settles: Height) -> Option<&'static str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(supplier)?.stop(end, settles)
    }

    /// What is wrong, in words.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.iter().flat_map(|(supplier, standing)| {
            let told = move |alarm: &Alarm| format!("supplier {supplier}: {}: {alarm}", alarm.name());
            standing.alarms.iter().map(told)
        });
        let mut warnings: Vec<String> = all.by_ref().take(MAX_TOLD).collect();
        match all.count() {
            0 => {}
            more => warnings.push(format!("and {more} more")),
        }
        warnings
    }

    /// Whether none of `suppliers` suppliers can earn.
    pub(crate) fn nobody_earns(&self, suppliers: usize) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let idle = known.values().filter(|standing| !standing.earns()).count();
        suppliers > 0 && idle >= suppliers
    }

    /// Forgets all but these.
    fn keep(&self, suppliers: &BTreeSet<Address>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|supplier, _| suppliers.contains(supplier));
    }

    fn set(&self, supplier: Address, standing: Standing) -> Option<Arc<Standing>> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(supplier, Arc::new(standing))
    }

    /// Suppliers by alarm.
    fn count(&self, name: &str) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let has = |standing: &&Arc<Standing>| standing.alarms.iter().any(|alarm| alarm.name() == name);
        known.values().filter(has).count()
    }
}
