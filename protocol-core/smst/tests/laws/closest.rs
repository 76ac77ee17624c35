//! Laws of closest proofs, and what the strict rule refuses.

use portico_smst::{
    ClosestProof, Leaf, Path, Plain, PlainTrie, Proof, ProofError, Rule, Spec, StrictError, Sum, SumDigest,
    SumTrie, sum_leaf_data,
};
use proptest::prelude::*;

use super::given::{Leaves, leaf_set, leaves, path, sum_trie};

/// The leaf with the smallest XOR distance: another way to say what a walk finds.
fn nearest(leaves: &Leaves, asked: &Path) -> Path {
    let distance = |path: &&Path| -> Vec<u8> {
        path.as_bytes()
            .iter()
            .zip(asked.as_bytes())
            .map(|(a, b)| a ^ b)
            .collect()
    };
    *leaves.keys().min_by_key(distance).unwrap()
}

/// A proof that `leaf` is closest to `asked`, flipping whatever differs: the network's rule takes it.
fn forged(trie: &SumTrie, leaf: &Path, asked: &Path) -> ClosestProof {
    let mut proof = trie.prove_closest(leaf).unwrap();
    proof.path = asked.as_ref().to_vec();
    let depth = usize::try_from(proof.depth).unwrap();
    proof.flipped_bits = (0i64..)
        .zip(0..depth)
        .filter(|(_, bit)| asked.bit(*bit) != leaf.bit(*bit))
        .map(|(bit, _)| bit)
        .collect();
    proof
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_closest_leaf_is_proved_alike_by_trie_and_leaf_set(leaves in leaves(1..150), asked in path()) {
        let (trie, mut set) = (sum_trie(&leaves), leaf_set(&leaves));
        let values: Vec<_> = leaves.values().cloned().collect();
        let proof = trie.prove_closest(&asked).unwrap();
        let from_set = set.prove_closest(&asked, |leaf| values.get(usize::try_from(leaf.seq).unwrap()).cloned()).unwrap();
        prop_assert_eq!(&from_set, &proof);
        prop_assert_eq!(&proof.closest_path, &nearest(&leaves, &asked).as_ref().to_vec());
        let found = set.closest(&asked).unwrap();
        prop_assert_eq!(Some(found.leaf.path), trie.closest(&asked));
        prop_assert_eq!(Some(&values[usize::try_from(found.leaf.seq).unwrap()]), leaves.get(&found.leaf.path));
        for rule in [Rule::Network, Rule::Strict] {
            prop_assert_eq!(proof.verify::<Sum>(rule, &trie.root(), &asked), Ok(()));
        }
    }

    #[test]
    fn a_leaf_that_is_not_the_closest_passes_the_network_but_not_the_strict_rule(
        leaves in leaves(2..60), asked in path(), pick in any::<prop::sample::Index>(),
    ) {
        let trie = sum_trie(&leaves);
        let leaf = *leaves.keys().nth(pick.index(leaves.len())).unwrap();
        let forged = forged(&trie, &leaf, &asked);
        prop_assert_eq!(forged.verify::<Sum>(Rule::Network, &trie.root(), &asked), Ok(()));
        let strict = forged.verify::<Sum>(Rule::Strict, &trie.root(), &asked);
        match leaf == nearest(&leaves, &asked) {
            true => prop_assert_eq!(strict, Ok(())),
            false => {
                let skipped = matches!(strict, Err(ProofError::Strict(StrictError::SkippedLeaves { .. })));
                prop_assert!(skipped, "{strict:?}");
            }
        }
    }
}

#[test]
fn the_strict_rule_refuses_a_proof_for_another_path_and_of_an_empty_trie() {
    let (asked, other) = (Path::of_key(b"asked"), Path::of_key(b"other"));
    let trie = sum_trie(&Leaves::from([(asked, b"value".to_vec())]));
    let proof = trie.prove_closest(&other).unwrap();
    for rule in [Rule::Network, Rule::Strict] {
        let outcome = proof.verify::<Sum>(rule, &trie.root(), &asked);
        assert_eq!(outcome, Err(StrictError::OtherPath.into()));
    }
    let empty = SumTrie::new();
    let proof = empty.prove_closest(&asked).unwrap();
    assert_eq!(proof.verify::<Sum>(Rule::Network, &empty.root(), &asked), Ok(()));
    assert_eq!(
        proof.verify::<Sum>(Rule::Strict, &empty.root(), &asked),
        Err(StrictError::Empty.into())
    );
}

#[test]
fn the_strict_rule_refuses_a_value_that_reads_as_no_leaf() {
    let left = Path::new([0; 32]);
    let mut plain = PlainTrie::new();
    plain.insert(Path::new([0x40; 32]), *b"value");
    plain.insert(Path::new([0x60; 32]), *b"another");
    let absent = Proof {
        side_nodes: plain.prove(&left).unwrap().side_nodes,
        ..Proof::default()
    };
    let proof = ClosestProof {
        path: left.as_ref().to_vec(),
        depth: i64::try_from(absent.side_nodes.len()).unwrap(),
        closest_path: left.as_ref().to_vec(),
        closest_value_hash: Some(Vec::new()),
        closest_proof: Some(absent),
        ..ClosestProof::default()
    };
    assert_eq!(proof.verify::<Plain>(Rule::Network, &plain.root(), &left), Ok(()));
    let strict = proof.verify::<Plain>(Rule::Strict, &plain.root(), &left);
    assert_eq!(strict, Err(StrictError::Empty.into()));
}

#[test]
fn the_strict_rule_refuses_sums_that_wrap() {
    let (left, right) = (Path::new([0; 32]), Path::new([0xff; 32]));
    let mut trie = SumTrie::new();
    trie.insert(left, *b"left", u64::MAX);
    trie.insert(right, *b"right", 2);
    assert_eq!(trie.sum(), 1);
    let proof = trie.prove_closest(&left).unwrap();
    assert_eq!(proof.verify::<Sum>(Rule::Network, &trie.root(), &left), Ok(()));
    assert_eq!(
        proof.verify::<Sum>(Rule::Strict, &trie.root(), &left),
        Err(StrictError::Overflow.into())
    );
}

#[test]
fn the_strict_rule_refuses_a_leaf_that_counts_as_two() {
    let (path, value) = (Path::of_key(b"a"), b"value".to_vec());
    let meta = [5u64.to_be_bytes(), 2u64.to_be_bytes()].concat();
    let mut trie = SumTrie::new();
    trie.insert_leaf(Leaf::by_digest(path, Sum::leaf(&path, &value, &meta)));
    let proof = trie.prove_closest_with(&path, |_| Some(value.clone())).unwrap();
    assert_eq!(proof.verify::<Sum>(Rule::Network, &trie.root(), &path), Ok(()));
    let strict = proof.verify::<Sum>(Rule::Strict, &trie.root(), &path);
    assert_eq!(strict, Err(StrictError::Count { count: 2 }.into()));
}

#[test]
fn the_strict_rule_refuses_a_leaf_below_its_place() {
    let path = Path::new([0; 32]);
    let leaf = SumDigest::of_leaf(&path, b"value", 5);
    let root = Sum::inner(&leaf, &Sum::EMPTY);
    let proof = ClosestProof {
        path: path.as_ref().to_vec(),
        depth: 1,
        closest_path: path.as_ref().to_vec(),
        closest_value_hash: Some(sum_leaf_data(b"value", 5)),
        closest_proof: Some(Proof {
            side_nodes: vec![vec![0; 48]],
            ..Proof::default()
        }),
        ..ClosestProof::default()
    };
    assert_eq!(proof.verify::<Sum>(Rule::Network, &root, &path), Ok(()));
    let strict = proof.verify::<Sum>(Rule::Strict, &root, &path);
    assert_eq!(strict, Err(StrictError::NotShallowest.into()));
}
