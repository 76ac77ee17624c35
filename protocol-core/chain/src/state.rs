//! The abstract key-value state that the modules read and write.

use std::collections::BTreeMap;
use std::sync::Arc;

use portico_protocol::Height;

/// Why state cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// The store below failed.
    #[error("state cannot be read: {0}")]
    Store(String),
    /// Bytes in the state are not what the module wrote: the store is damaged.
    #[error("state of {store} is damaged at key {key}: {reason}")]
    Corrupt {
        /// Store of the key.
        store: &'static str,
        /// Key in hex.
        key: String,
        /// What did not decode.
        reason: String,
    },
    /// The chain has rules that this version does not have: it must not go on.
    #[error(
        "block {height} needs the feature {name:?}, which this version does not know: upgrade, and start again"
    )]
    UnknownFlag {
        /// The required flag.
        name: String,
        /// First block that it keeps from being executed.
        height: Height,
    },
}

/// Namespace of keys: one per module, each with its own root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// `application`
    Application,
    /// `auth`
    Auth,
    /// `bank`
    Bank,
    /// `feature`
    Feature,
    /// `gateway`
    Gateway,
    /// `proof`
    Proof,
    /// `service`
    Service,
    /// `session`
    Session,
    /// `shared`
    Shared,
    /// `supplier`
    Supplier,
    /// `tokenomics`
    Tokenomics,
}

impl Store {
    /// All stores, in the order in which the root of roots hashes them (by name).
    pub const ALL: [Self; 11] = [
        Self::Application,
        Self::Auth,
        Self::Bank,
        Self::Feature,
        Self::Gateway,
        Self::Proof,
        Self::Service,
        Self::Session,
        Self::Shared,
        Self::Supplier,
        Self::Tokenomics,
    ];

    /// The module's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Auth => "auth",
            Self::Bank => "bank",
            Self::Feature => "feature",
            Self::Gateway => "gateway",
            Self::Proof => "proof",
            Self::Service => "service",
            Self::Session => "session",
            Self::Shared => "shared",
            Self::Supplier => "supplier",
            Self::Tokenomics => "tokenomics",
        }
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// State that can be read at one version.
pub trait StateRead: Send + Sync {
    /// The value at `key`.
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// Up to `limit` entries with `from ≤ key < to` (`None`: to the end), ascending by key.
    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError>;
}

/// Writes of a block or transaction: `None` deletes. Ordered, since it is hashed.
pub type Changes = BTreeMap<(Store, Vec<u8>), Option<Vec<u8>>>;

/// A parent state with changes on top; itself readable, so that overlays stack (block on block, transaction on block).
#[derive(Clone)]
pub struct Overlay<P> {
    parent: P,
    changes: Changes,
}

impl<P: StateRead> Overlay<P> {
    /// No changes on top of `parent` yet.
    pub const fn new(parent: P) -> Self {
        Self {
            parent,
            changes: BTreeMap::new(),
        }
    }

    /// `changes` on top of `parent`.
    pub const fn with_changes(parent: P, changes: Changes) -> Self {
        Self { parent, changes }
    }

    /// Sets a value.
    pub fn set(&mut self, store: Store, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert((store, key), Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, store: Store, key: Vec<u8>) {
        self.changes.insert((store, key), None);
    }

    /// The changes on top of the parent.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Takes the changes out.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// Adds the changes of an overlay that was stacked on this one.
    pub fn absorb(&mut self, changes: Changes) {
        self.changes.extend(changes);
    }
}

impl<P: StateRead> StateRead for Overlay<P> {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes.get(&(store, key.to_vec())) {
            Some(change) => Ok(change.clone()),
            None => self.parent.get(store, key),
        }
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        if limit == 0 || to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let own = between(&self.changes, store, from, to).collect();
        merge(&self.parent, own, store, from, to, limit)
    }
}

/// Changes of several blocks over one state, none of them written there yet. A read looks at the newest block first; how many blocks there
/// ever were costs nothing, since each layer is dropped when the base has it.
#[derive(Clone)]
pub struct Layers<P> {
    base: P,
    /// Oldest first.
    layers: Vec<Arc<Changes>>,
}

impl<P: StateRead> Layers<P> {
    /// `layers`, oldest first, over `base`.
    pub const fn new(base: P, layers: Vec<Arc<Changes>>) -> Self {
        Self { base, layers }
    }
}

impl<P: StateRead> StateRead for Layers<P> {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if self.layers.is_empty() {
            return self.base.get(store, key);
        }
        let place = (store, key.to_vec());
        match self.layers.iter().rev().find_map(|layer| layer.get(&place)) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(store, key),
        }
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        if limit == 0 || to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let oldest_first = self.layers.iter();
        let own: BTreeMap<_, _> = oldest_first
            .flat_map(|layer| between(layer, store, from, to))
            .collect();
        merge(&self.base, own.into_iter().collect(), store, from, to, limit)
    }
}

/// A change and its key.
type Changed<'a> = (&'a [u8], &'a Option<Vec<u8>>);

/// Changes of `store` with `from ≤ key < to`, ascending by key.
fn between<'a>(
    changes: &'a Changes,
    store: Store,
    from: &[u8],
    to: Option<&'a [u8]>,
) -> impl Iterator<Item = Changed<'a>> {
    use std::ops::Bound;
    changes
        .range((Bound::Included((store, from.to_vec())), Bound::Unbounded))
        .take_while(move |((s, key), _)| *s == store && to.is_none_or(|to| key.as_slice() < to))
        .map(|((_, key), change)| (key.as_slice(), change))
}

/// Up to `limit` entries of `parent` with `own`, ascending by key, on top.
fn merge(
    parent: &impl StateRead,
    own: Vec<Changed<'_>>,
    store: Store,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Entry>, StateError> {
    // Changes can hide parent entries, so ask for that many more.
    let wanted = limit.saturating_add(own.len());
    let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = parent.range(store, from, to, wanted)?.into_iter().collect();
    let complete_to = (merged.len() == wanted)
        .then(|| merged.keys().next_back().cloned())
        .flatten();
    for (key, change) in own {
        if complete_to.as_deref().is_some_and(|last| key > last) {
            break;
        }
        match change {
            Some(value) => merged.insert(key.to_vec(), value.clone()),
            None => merged.remove(key),
        };
    }
    Ok(merged.into_iter().take(limit).collect())
}

impl<T: StateRead + ?Sized> StateRead for Arc<T> {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).get(store, key)
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        (**self).range(store, from, to, limit)
    }
}

impl<T: StateRead + ?Sized> StateRead for &T {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (**self).get(store, key)
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        (**self).range(store, from, to, limit)
    }
}

/// State in memory: for genesis and tests.
impl StateRead for BTreeMap<(Store, Vec<u8>), Vec<u8>> {
    fn get(&self, store: Store, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(BTreeMap::get(self, &(store, key.to_vec())).cloned())
    }

    fn range(
        &self,
        store: Store,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StateError> {
        Ok(BTreeMap::range(self, (store, from.to_vec())..)
            .take_while(|((s, key), _)| *s == store && to.is_none_or(|to| key.as_slice() < to))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }
}
