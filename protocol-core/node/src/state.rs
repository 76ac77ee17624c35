//! The modules' state over the store.

use std::error::Error;
use std::sync::Arc;

use portico_chain::state::{Changes, Entry, StateError, StateRead, Store};
use portico_store::{Change, Snapshot, StoreError};

/// State at one version, durable or not.
pub(crate) type State = Arc<dyn StateRead>;

/// Names of the stores.
pub(crate) const STORES: [&str; Store::ALL.len()] = {
    let mut names = [""; Store::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Store::ALL[index].name();
        index += 1;
    }
    names
};

/// The durable state of one version.
pub(crate) struct Durable(pub(crate) Arc<Snapshot>);

impl StateRead for Durable {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.0.get(store.name(), key).map_err(|error| unreadable(&error))
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        self.0
            .range(store.name(), from, to, limit)
            .map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &StoreError) -> StateError {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    StateError::Store(format!("{error}{cause}"))
}

/// The changes as the store takes them.
pub(crate) fn writes(changes: &Changes) -> impl Iterator<Item = Change<'_>> {
    changes
        .iter()
        .map(|((store, key), value)| (store.name(), key.as_slice(), value.as_deref()))
}
