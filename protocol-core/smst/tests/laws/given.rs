//! What the laws are about: any leaves, any proofs, and the tries of them.

use std::collections::BTreeMap;

use portico_smst::{
    ClosestProof, CompactClosestProof, CompactProof, Leaf, LeafSet, Path, Proof, Sum, SumTrie,
};
use proptest::prelude::*;

pub(crate) const WEIGHT: u64 = 7;

pub(crate) type Leaves = BTreeMap<Path, Vec<u8>>;

/// Paths as hashes are, and paths that share long prefixes.
pub(crate) fn path() -> impl Strategy<Value = Path> {
    let byte = prop_oneof![Just(0u8), Just(0x80), Just(1), Just(0xff)];
    let shared = proptest::collection::vec(byte, 4).prop_map(|bytes| {
        let mut path = [0; 32];
        path[0] = bytes[0];
        path[1] = bytes[1];
        path[15] = bytes[2];
        path[31] = bytes[3];
        Path::new(path)
    });
    prop_oneof![any::<[u8; 32]>().prop_map(Path::new), shared]
}

pub(crate) fn leaves(sizes: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Leaves> {
    let value = proptest::collection::vec(any::<u8>(), 1..20);
    proptest::collection::btree_map(path(), value, sizes)
}

pub(crate) fn sum_trie<'a>(leaves: impl IntoIterator<Item = (&'a Path, &'a Vec<u8>)>) -> SumTrie {
    leaves
        .into_iter()
        .map(|(path, value)| Leaf::<Sum>::new(*path, &**value, WEIGHT))
        .collect()
}

pub(crate) fn leaf_set<'a>(leaves: impl IntoIterator<Item = (&'a Path, &'a Vec<u8>)>) -> LeafSet {
    let mut set = LeafSet::new(WEIGHT);
    for (seq, (path, value)) in (0..).zip(leaves) {
        assert!(set.insert(*path, LeafSet::hash_leaf(path, value, WEIGHT), seq));
    }
    set
}

pub(crate) fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..300)]
}

/// Bytes that are not empty, or none: a stream does not tell empty from none.
pub(crate) fn filled() -> impl Strategy<Value = Option<Vec<u8>>> {
    some_bytes().prop_map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty()))
}

pub(crate) fn some_list() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(some_bytes(), 0..5)
}

prop_compose! {
    pub(crate) fn any_proof()(side_nodes in some_list(), non_membership_leaf in filled(), sibling_data in filled()) -> Proof {
        Proof { side_nodes, non_membership_leaf, sibling_data }
    }
}

prop_compose! {
    pub(crate) fn any_compact_proof()(
        side_nodes in some_list(), non_membership_leaf in filled(), bit_mask in some_bytes(),
        num_side_nodes in any::<i64>(), sibling_data in filled(),
    ) -> CompactProof {
        CompactProof { side_nodes, non_membership_leaf, bit_mask, num_side_nodes, sibling_data }
    }
}

prop_compose! {
    pub(crate) fn any_closest_proof()(
        path in some_bytes(), flipped_bits in proptest::collection::vec(any::<i64>(), 0..5), depth in any::<i64>(),
        closest_path in some_bytes(), closest_value_hash in filled(), closest_proof in proptest::option::of(any_proof()),
    ) -> ClosestProof {
        ClosestProof { path, flipped_bits, depth, closest_path, closest_value_hash, closest_proof }
    }
}

prop_compose! {
    pub(crate) fn any_compact_closest_proof()(
        path in some_bytes(), flipped_bits in some_list(), depth in some_bytes(), closest_path in some_bytes(),
        closest_value_hash in filled(), closest_proof in proptest::option::of(any_compact_proof()),
    ) -> CompactClosestProof {
        CompactClosestProof { path, flipped_bits, depth, closest_path, closest_value_hash, closest_proof }
    }
}
