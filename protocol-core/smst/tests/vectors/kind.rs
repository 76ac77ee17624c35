//! The two kinds of trie behind one face, with the hashers that a vector's spec names.

use portico_smst::{Leaf, Path, Plain, ProofError, Spec, Sum, sum_leaf_data};
use sha2::{Digest as _, Sha256};

use super::file::{Outcome, PathHasher, TrieSpec, ValueHasher};

pub(crate) trait Kind: Spec {
    const SUM: bool;
    /// The leaf as the verifier is told of it: what follows its path.
    fn data(value: &[u8], weight: u64) -> Vec<u8>;
    fn new_leaf(path: Path, value: &[u8], weight: u64) -> Leaf<Self>;
    /// Sum and count that the proof's reader is told, empty for absent.
    fn claim(value: &[u8], hashed: &[u8], weight: u64, count: u64) -> Vec<u8>;
}

impl Kind for Sum {
    const SUM: bool = true;

    fn data(value: &[u8], weight: u64) -> Vec<u8> {
        sum_leaf_data(value, weight)
    }

    fn new_leaf(path: Path, value: &[u8], weight: u64) -> Leaf<Self> {
        Leaf::<Sum>::new(path, value, weight)
    }

    fn claim(value: &[u8], hashed: &[u8], weight: u64, count: u64) -> Vec<u8> {
        if value.is_empty() && weight == 0 {
            return Vec::new();
        }
        [hashed, &weight.to_be_bytes(), &count.to_be_bytes()].concat()
    }
}

impl Kind for Plain {
    const SUM: bool = false;

    fn data(value: &[u8], _: u64) -> Vec<u8> {
        value.to_vec()
    }

    fn new_leaf(path: Path, value: &[u8], _: u64) -> Leaf<Self> {
        Leaf::<Plain>::new(path, value)
    }

    fn claim(value: &[u8], hashed: &[u8], _: u64, _: u64) -> Vec<u8> {
        if value.is_empty() {
            Vec::new()
        } else {
            hashed.to_vec()
        }
    }
}

impl TrieSpec {
    pub(crate) fn path(&self, key: &[u8]) -> Path {
        match self.path_hasher {
            PathHasher::Sha256 => Path::of_key(key),
            PathHasher::Identity => Path::new(key.try_into().unwrap()),
        }
    }

    pub(crate) fn value(&self, value: &[u8]) -> Vec<u8> {
        match self.value_hasher {
            ValueHasher::Sha256 => Sha256::digest(value).to_vec(),
            ValueHasher::None => value.to_vec(),
        }
    }
}

/// Compares a result with Go's: accepted, refused, or an error (also where Go panics).
pub(crate) fn assert_outcome(result: &Result<(), ProofError>, go: &Outcome, what: &str) {
    let agrees = match (go.ok, go.error.is_some() || go.panic.is_some()) {
        (true, error) => !error && result.is_ok(),
        (false, false) => *result == Err(ProofError::RootMismatch),
        (false, true) => matches!(result, Err(error) if *error != ProofError::RootMismatch),
    };
    assert!(agrees, "{what}: {result:?}, Go: {go:?}");
}

/// Whether two encodings of a sibling are the same node: equal, or stored in forms that differ only in the
/// path bits of an extension outside its bounds.
pub(crate) fn same_sibling(ours: &Option<Vec<u8>>, theirs: &Option<Vec<u8>>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours == theirs || same_chain(ours, theirs),
        (ours, theirs) => ours == theirs,
    }
}

fn same_chain(ours: &[u8], theirs: &[u8]) -> bool {
    let masked = |node: &[u8]| {
        let (start, end) = (usize::from(node[1]), usize::from(node[2]));
        let path = Path::new(node[3..35].try_into().unwrap());
        let bits: Vec<bool> = (start..end).map(|bit| path.bit(bit)).collect();
        (start, end, bits, node[35..].to_vec())
    };
    ours.first() == Some(&2) && theirs.first() == Some(&2) && masked(ours) == masked(theirs)
}
