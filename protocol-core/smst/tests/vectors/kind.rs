//! The two kinds of trie behind one face, with the hashers that a vector's spec names.

use portico_smst::{
    ClosestProof, Leaf, Path, Plain, PlainDigest, ProofError, Spec, Sum, SumDigest, Trie, sum_leaf_data,
};
use sha2::{Digest as _, Sha256};

use super::file::{Outcome, PathHasher, TrieSpec, ValueHasher};

pub(crate) trait Kind: Spec {
    const SUM: bool;
    /// The leaf as the verifier is told of it: what follows its path.
    fn data(value: &[u8], weight: u64) -> Vec<u8>;
    fn new_leaf(path: Path, value: &[u8], weight: u64) -> Leaf<Self>;
    /// The digest that consists of these bytes, when they are as many as one has.
    fn digest(bytes: &[u8]) -> Option<Self::Digest>;
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

    fn digest(bytes: &[u8]) -> Option<SumDigest> {
        bytes.try_into().ok()
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

    fn digest(bytes: &[u8]) -> Option<PlainDigest> {
        bytes.try_into().ok()
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

/// The proof as Go's verifier works on it: with a value hasher it hashes the value once more, unless there is none.
pub(crate) fn as_seen<K: Kind>(proof: &ClosestProof, spec: &TrieSpec) -> ClosestProof {
    let mut seen = proof.clone();
    let weight = proof.weight::<K>().unwrap_or(0);
    if let (ValueHasher::Sha256, Ok(Some(value))) = (spec.value_hasher, proof.value::<K>())
        && !(value.is_empty() && weight == 0)
    {
        seen.closest_value_hash = Some(K::data(&spec.value(value), weight));
    }
    seen
}

/// Whether the weights of all leaves add up to more than 64 bits hold: then the strict rule may refuse any proof.
pub(crate) fn overflows<K: Kind>(trie: &Trie<K>) -> bool {
    let mut weights = trie.leaves().filter_map(|leaf| K::totals(leaf.digest()));
    weights
        .try_fold(0u64, |sum, (weight, _)| sum.checked_add(weight))
        .is_none()
}

/// Compares a result with Go's: accepted, refused, or an error (also where Go panics).
pub(crate) fn assert_outcome(result: &Result<(), ProofError>, go: &Outcome) {
    let agrees = match (go.ok, go.error.is_some() || go.panic.is_some()) {
        (true, error) => !error && result.is_ok(),
        (false, false) => *result == Err(ProofError::RootMismatch),
        (false, true) => matches!(result, Err(error) if *error != ProofError::RootMismatch),
    };
    assert!(agrees, "{result:?}, Go: {go:?}");
}

/// Whether two encodings of a sibling are the same node, as far as a verifier can tell: both have its digest.
///
/// Go's stored form may tell of history: path bits of an extension outside its bounds, or an inner node with one
/// child in place of an extension.
pub(crate) fn same_sibling<K: Kind>(ours: &Option<Vec<u8>>, theirs: &Option<Vec<u8>>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let digest = stored_digest::<K>(ours);
            digest.is_some() && digest == stored_digest::<K>(theirs)
        }
        (ours, theirs) => ours == theirs,
    }
}

fn stored_digest<K: Kind>(node: &[u8]) -> Option<Vec<u8>> {
    let (top, _) = expanded::<K>(node)?;
    Some(K::of_encoding(&top)?.as_ref().to_vec())
}

/// The encoding of the node as its parent sees it, and of those below it that an extension stands for;
/// `None` if it is too short to be a node, or an extension that spans nothing.
pub(crate) fn expanded<K: Kind>(node: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    if *node.first()? != 2 {
        return Some((node.to_vec(), Vec::new()));
    }
    let end = node.len().checked_sub(K::META_LEN)?;
    let (path, mut below) = (path_of(node)?, node.get(35..end)?.to_vec());
    let mut chain = Vec::new();
    for depth in (usize::from(node[1])..usize::from(node[2])).rev() {
        let inner = match path.bit(depth) {
            false => K::inner_encoding(&below, K::EMPTY.as_ref()),
            true => K::inner_encoding(K::EMPTY.as_ref(), &below),
        }?;
        below = K::of_encoding(&inner)?.as_ref().to_vec();
        chain.push(inner);
    }
    Some((chain.pop()?, chain))
}

/// The path in the encoding of an extension.
pub(crate) fn path_of(extension: &[u8]) -> Option<Path> {
    let bytes: &[u8; 32] = extension.get(3..35)?.try_into().ok()?;
    Some(Path::new(*bytes))
}
