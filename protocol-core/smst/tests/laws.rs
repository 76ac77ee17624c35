//! What holds for any set of leaves.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps nothing fails, as it should"
)]

use std::collections::BTreeMap;

use portico_smst::{
    ClosestProof, CompactClosestProof, CompactProof, Leaf, LeafSet, Path, Plain, PlainTrie, Proof,
    ProofError, ProveError, Rule, Spec, StrictError, Sum, SumDigest, SumTrie, root_of, sum_leaf_data,
};
use proptest::prelude::*;

const WEIGHT: u64 = 7;

type Leaves = BTreeMap<Path, Vec<u8>>;

/// Paths as hashes are, and paths that share long prefixes.
fn path() -> impl Strategy<Value = Path> {
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

fn leaves(sizes: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Leaves> {
    let value = proptest::collection::vec(any::<u8>(), 1..20);
    proptest::collection::btree_map(path(), value, sizes)
}

fn sum_trie<'a>(leaves: impl IntoIterator<Item = (&'a Path, &'a Vec<u8>)>) -> SumTrie {
    leaves
        .into_iter()
        .map(|(path, value)| Leaf::<Sum>::new(*path, &**value, WEIGHT))
        .collect()
}

fn leaf_set<'a>(leaves: impl IntoIterator<Item = (&'a Path, &'a Vec<u8>)>) -> LeafSet {
    let mut set = LeafSet::new(WEIGHT);
    for (seq, (path, value)) in (0..).zip(leaves) {
        assert!(set.insert(*path, LeafSet::hash_leaf(path, value, WEIGHT), seq));
    }
    set
}

/// All nodes as they would be stored.
fn stored(trie: &SumTrie) -> Vec<(SumDigest, Vec<u8>)> {
    let mut nodes = Vec::new();
    trie.visit_nodes(|digest, _, encoding| nodes.push((*digest, encoding.to_vec())))
        .unwrap();
    nodes
}

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

/// The bytes with one of them changed, each in turn.
fn altered(bytes: &[u8], change: u8) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(move |at| {
        let mut altered = bytes.to_vec();
        altered[at] ^= change;
        altered
    })
}

/// The proof with one byte of it changed, each in turn; but for what no verifier looks at: path bits of an
/// extension outside its bounds, and the totals behind its child, which that has already.
fn altered_proofs(proof: &Proof, change: u8) -> Vec<Proof> {
    let mut all = Vec::new();
    for (index, node) in proof.side_nodes.iter().enumerate() {
        for node in altered(node, change) {
            let mut proof = proof.clone();
            proof.side_nodes[index] = node;
            all.push(proof);
        }
    }
    for leaf in proof
        .non_membership_leaf
        .iter()
        .flat_map(|leaf| altered(leaf, change))
    {
        all.push(Proof {
            non_membership_leaf: Some(leaf),
            ..proof.clone()
        });
    }
    let sibling = proof.sibling_data.iter().filter(|node| node[0] != 2);
    for node in sibling.flat_map(|node| altered(node, change)) {
        all.push(Proof {
            sibling_data: Some(node),
            ..proof.clone()
        });
    }
    all
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..300)]
}

/// Bytes that are not empty, or none: a stream does not tell empty from none.
fn filled() -> impl Strategy<Value = Option<Vec<u8>>> {
    some_bytes().prop_map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty()))
}

fn some_list() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(some_bytes(), 0..5)
}

prop_compose! {
    fn any_proof()(side_nodes in some_list(), non_membership_leaf in filled(), sibling_data in filled()) -> Proof {
        Proof { side_nodes, non_membership_leaf, sibling_data }
    }
}

prop_compose! {
    fn any_compact_proof()(
        side_nodes in some_list(), non_membership_leaf in filled(), bit_mask in some_bytes(),
        num_side_nodes in any::<i64>(), sibling_data in filled(),
    ) -> CompactProof {
        CompactProof { side_nodes, non_membership_leaf, bit_mask, num_side_nodes, sibling_data }
    }
}

prop_compose! {
    fn any_closest_proof()(
        path in some_bytes(), flipped_bits in proptest::collection::vec(any::<i64>(), 0..5), depth in any::<i64>(),
        closest_path in some_bytes(), closest_value_hash in filled(), closest_proof in proptest::option::of(any_proof()),
    ) -> ClosestProof {
        ClosestProof { path, flipped_bits, depth, closest_path, closest_value_hash, closest_proof }
    }
}

prop_compose! {
    fn any_compact_closest_proof()(
        path in some_bytes(), flipped_bits in some_list(), depth in some_bytes(), closest_path in some_bytes(),
        closest_value_hash in filled(), closest_proof in proptest::option::of(any_compact_proof()),
    ) -> CompactClosestProof {
        CompactClosestProof { path, flipped_bits, depth, closest_path, closest_value_hash, closest_proof }
    }
}

proptest! {
    // Each case verifies a proof thousands of times.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_altered_byte_of_a_proof_fails(
        leaves in leaves(1..12), pick in any::<prop::sample::Index>(), absent in path(), change in 1u8..,
    ) {
        let (trie, root) = (sum_trie(&leaves), sum_trie(&leaves).root());
        let (path, value) = leaves.iter().nth(pick.index(leaves.len())).unwrap();
        let data = sum_leaf_data(value, WEIGHT);
        let proof = trie.prove(path).unwrap();
        for (path, data) in altered(path.as_ref(), change).map(|path| (path, data.clone()))
            .chain(altered(&data, change).map(|data| (path.as_ref().to_vec(), data)))
        {
            let path = Path::new(path.try_into().unwrap());
            prop_assert!(proof.verify::<Sum>(root.as_ref(), &path, &data).is_err());
        }
        for root in altered(root.as_ref(), change) {
            prop_assert!(proof.verify::<Sum>(&root, path, &data).is_err());
        }
        for proof in altered_proofs(&proof, change) {
            prop_assert!(proof.verify::<Sum>(root.as_ref(), path, &data).is_err(), "{proof:?}");
        }
        if !leaves.contains_key(&absent) {
            for proof in altered_proofs(&trie.prove(&absent).unwrap(), change) {
                prop_assert!(proof.verify::<Sum>(root.as_ref(), &absent, &[]).is_err(), "{proof:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_leaf_proves_and_nothing_else_does(leaves in leaves(1..40), other in path()) {
        let trie = sum_trie(&leaves);
        let (root, plain): (_, PlainTrie) = (trie.root(), leaves.iter().map(|(path, value)| Leaf::<Plain>::new(*path, &**value)).collect());
        for (path, value) in &leaves {
            let proof = trie.prove(path).unwrap();
            prop_assert_eq!(proof.verify_sum(root.as_ref(), path, value, WEIGHT), Ok(()));
            prop_assert_eq!(&proof.compact::<Sum>().unwrap().expand::<Sum>().unwrap(), &proof);
            prop_assert_eq!(&Proof::from_gob(&proof.to_gob()).unwrap(), &proof);
            prop_assert!(proof.verify_sum(root.as_ref(), path, value, WEIGHT + 1).is_err());
            prop_assert!(proof.verify_sum(root.as_ref(), path, b"another", WEIGHT).is_err());
            prop_assert!(proof.verify::<Sum>(root.as_ref(), path, &[]).is_err());
            plain.prove(path).unwrap().verify::<Plain>(plain.root().as_ref(), path, value).unwrap();
        }
        if !leaves.contains_key(&other) {
            let proof = trie.prove(&other).unwrap();
            prop_assert_eq!(proof.verify::<Sum>(root.as_ref(), &other, &[]), Ok(()));
            prop_assert!(proof.verify::<Sum>(root.as_ref(), &other, &sum_leaf_data(b"x", 1)).is_err());
        }
    }

    #[test]
    fn every_holder_of_the_same_leaves_has_the_same_root(leaves in leaves(0..200), seed in any::<u64>()) {
        let mut shuffled: Vec<_> = leaves.iter().collect();
        shuffled.sort_by_key(|(path, _)| Path::of_key(&[path.as_ref(), &seed.to_be_bytes()].concat()));
        let trie = sum_trie(shuffled.iter().copied());
        let root = sum_trie(&leaves).root();
        prop_assert_eq!(trie.root(), root);
        prop_assert_eq!(leaf_set(shuffled.iter().copied()).root(), root);
        prop_assert_eq!(root_of::<Sum>(trie.leaves().map(|leaf| (*leaf.path(), *leaf.digest()))), root);
        prop_assert_eq!((root.sum(), root.count()), (WEIGHT * leaves.len() as u64, leaves.len() as u64));
    }

    #[test]
    fn a_removed_leaf_leaves_no_trace_and_older_versions_stay(
        leaves in leaves(1..60), pick in any::<prop::sample::Index>(),
    ) {
        let gone = *leaves.keys().nth(pick.index(leaves.len())).unwrap();
        let before = sum_trie(&leaves);
        let (root, mut after) = (before.root(), before.clone());
        prop_assert!(after.remove(&gone));
        prop_assert!(!after.remove(&gone));
        let never = sum_trie(leaves.iter().filter(|(path, _)| **path != gone));
        prop_assert_eq!((after.root(), after.len()), (never.root(), never.len()));
        prop_assert_eq!(after.prove(&gone), never.prove(&gone));
        prop_assert_eq!(stored(&after), stored(&never));
        let copy: SumTrie = before.leaves().cloned().collect();
        prop_assert_eq!((before.root(), copy.root()), (root, root));
    }

    #[test]
    fn neighbours_are_the_next_leaves_on_both_sides(leaves in leaves(0..60), asked in path(), member in any::<bool>()) {
        let asked = leaves.keys().next().copied().filter(|_| member).unwrap_or(asked);
        let trie = sum_trie(&leaves);
        let (before, after) = trie.neighbours(&asked);
        prop_assert_eq!(before.map(Leaf::path), leaves.range(..asked).next_back().map(|(path, _)| path));
        let greater = leaves.keys().find(|path| **path > asked);
        prop_assert_eq!(after.map(Leaf::path), greater);
    }

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

    #[test]
    fn an_altered_byte_of_a_stream_proves_nothing_else(
        leaves in leaves(1..20), asked in path(), at in any::<prop::sample::Index>(), change in 1u8..,
    ) {
        let trie = sum_trie(&leaves);
        let proof = trie.prove_closest(&asked).unwrap().compact::<Sum>().unwrap();
        let mut stream = proof.to_gob();
        prop_assert_eq!(&CompactClosestProof::from_gob(&stream).unwrap(), &proof);
        let at = at.index(stream.len());
        stream[at] ^= change;
        let accepted = CompactClosestProof::from_gob(&stream).ok()
            .and_then(|altered| altered.verify::<Sum>(Rule::Strict, &trie.root(), &asked).ok());
        if let Some(mut accepted) = accepted {
            // Nothing is altered but names in the definitions, or what is not needed to verify.
            let mut truth = proof.expand::<Sum>().unwrap();
            accepted.closest_proof.as_mut().unwrap().sibling_data = None;
            truth.closest_proof.as_mut().unwrap().sibling_data = None;
            prop_assert_eq!(accepted, truth);
        }
    }

    #[test]
    fn the_order_of_changes_shows_nowhere(
        leaves in leaves(1..60), passing in leaves(0..20), seed in any::<u64>(), asked in path(),
    ) {
        let straight = sum_trie(&leaves);
        let mut shuffled: Vec<_> = leaves.iter().chain(&passing).collect();
        shuffled.sort_by_key(|(path, _)| Path::of_key(&[path.as_ref(), &seed.to_be_bytes()].concat()));
        let mut winding = sum_trie(shuffled);
        passing.keys().for_each(|path| assert!(winding.remove(path)));
        for (path, value) in leaves.iter().rev() {
            winding.insert(*path, &**value, WEIGHT);
        }
        prop_assert_eq!(winding.root(), straight.root());
        prop_assert_eq!(stored(&winding), stored(&straight));
        for path in leaves.keys().chain(passing.keys()).chain([&asked]) {
            prop_assert_eq!(winding.prove(path).unwrap().to_gob(), straight.prove(path).unwrap().to_gob());
            prop_assert_eq!(winding.prove_closest(path).unwrap().to_gob(), straight.prove_closest(path).unwrap().to_gob());
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(closest in any_closest_proof(), compact in any_compact_closest_proof()) {
        prop_assert_eq!(&ClosestProof::from_gob(&closest.to_gob()).unwrap(), &closest);
        prop_assert_eq!(&CompactClosestProof::from_gob(&compact.to_gob()).unwrap(), &compact);
        if let Some(proof) = closest.closest_proof {
            prop_assert_eq!(Proof::from_gob(&proof.to_gob()), Ok(proof));
        }
        if let Some(proof) = compact.closest_proof {
            prop_assert_eq!(CompactProof::from_gob(&proof.to_gob()), Ok(proof));
        }
    }

    #[test]
    fn any_bytes_are_safe_to_read(
        leaves in leaves(1..6), cut in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..300), root in any::<[u8; 32]>(),
    ) {
        let stream = sum_trie(&leaves).prove_closest(&Path::new(root)).unwrap().compact::<Sum>().unwrap().to_gob();
        let spliced = [&stream[..cut.index(stream.len())], &noise].concat();
        for bytes in [&spliced, &noise] {
            if let Ok(proof) = CompactClosestProof::from_gob(bytes) {
                let _ = proof.verify_network::<Sum>(&root);
                let _ = proof.verify_network::<Plain>(&root);
            }
            let _ = (ClosestProof::from_gob(bytes), Proof::from_gob(bytes));
        }
    }

    #[test]
    fn any_fields_are_safe_to_verify(
        path in proptest::collection::vec(any::<u8>(), 31..34), flips in proptest::collection::vec(-2i64..260, 0..4),
        depth in -1i64..259, data in proptest::collection::vec(any::<u8>(), 0..40),
        side_nodes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..4),
        sibling in proptest::option::of(proptest::collection::vec(0u8..4, 0..90)),
        absent in proptest::option::of(proptest::collection::vec(0u8..2, 0..50)),
    ) {
        let proof = ClosestProof {
            path: path.clone(), flipped_bits: flips, depth, closest_path: path, closest_value_hash: Some(data),
            closest_proof: Some(Proof { side_nodes, non_membership_leaf: absent, sibling_data: sibling }),
        };
        prop_assert!(proof.verify_network::<Sum>(&[1; 48]).is_err());
        prop_assert!(proof.verify_network::<Plain>(&[1; 32]).is_err());
        let _ = (proof.compact::<Sum>(), proof.value::<Sum>(), proof.weight::<Sum>());
    }
}

#[test]
fn a_leaf_set_takes_a_path_once() {
    let (path, mut set) = (Path::of_key(b"a"), LeafSet::new(2));
    assert!(set.insert(path, [1; 32], 0));
    assert!(!set.insert(path, [2; 32], 1));
    assert_eq!((set.len(), set.get(&path), set.sum()), (1, Some(0), 2));
    assert_eq!(set.get(&Path::of_key(b"b")), None);
}

#[test]
fn a_leaf_set_grows_past_many_doublings_and_keeps_its_root_up_to_date() {
    let (mut set, mut trie) = (LeafSet::new(1), SumTrie::new());
    for i in 0..5_000u64 {
        let (path, value) = (Path::of_key(&i.to_be_bytes()), i.to_be_bytes());
        trie.insert(path, value, 1);
        assert!(set.insert(path, LeafSet::hash_leaf(&path, &value, 1), i));
        if i % 97 == 0 {
            assert_eq!(set.root(), trie.root(), "after {i}");
        }
    }
    assert_eq!(set.root(), trie.root());
    let paths: Vec<_> = set.leaves().map(|(leaf, _)| leaf.path).collect();
    assert!(paths.is_sorted() && paths.len() == 5_000);
}

#[test]
fn a_leaf_set_of_paths_that_begin_alike_is_right_though_slow() {
    let (mut set, mut trie) = (LeafSet::new(1), SumTrie::new());
    for i in 0..600u64 {
        let mut path = *Path::of_key(&i.to_be_bytes()).as_bytes();
        path[..4].fill([0xff, 0, 0xff, 0x80][usize::try_from(i % 4).unwrap()]);
        let path = Path::new(path);
        trie.insert(path, i.to_be_bytes(), 1);
        let hash = LeafSet::hash_leaf(&path, &i.to_be_bytes(), 1);
        assert!(set.insert(path, hash, i) && !set.insert(path, hash, i));
        assert_eq!((set.get(&path), set.len() as u64), (Some(i), i + 1));
        if i % 7 == 0 {
            assert_eq!(set.root(), trie.root(), "after {i}");
        }
    }
    let paths: Vec<_> = set.leaves().map(|(leaf, _)| leaf.path).collect();
    assert!(paths.iter().eq(trie.leaves().map(Leaf::path)));
}

#[test]
fn a_trie_without_values_proves_with_those_it_is_given() {
    let values: Leaves = (0..50u8).map(|i| (Path::of_key(&[i]), vec![i; 3])).collect();
    let full: PlainTrie = values
        .iter()
        .map(|(path, value)| Leaf::<Plain>::new(*path, &**value))
        .collect();
    let bare: PlainTrie = full
        .leaves()
        .map(|leaf| Leaf::by_digest(*leaf.path(), *leaf.digest()))
        .collect();
    assert_eq!(bare.root(), full.root());
    for path in values.keys() {
        assert_eq!(
            bare.prove_with(path, |path| values.get(path).cloned()),
            full.prove(path)
        );
        assert_eq!(
            bare.prove_closest_with(path, |path| values.get(path).cloned()),
            full.prove_closest(path)
        );
    }
    let asked = values.keys().next().unwrap();
    assert!(matches!(
        bare.prove_closest(asked),
        Err(ProveError::ValueMissing { .. })
    ));
    let wrong = bare.prove_closest_with(asked, |_| Some(b"wrong".to_vec()));
    assert!(matches!(wrong, Err(ProveError::ValueDiffers { .. })));
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

#[test]
fn a_leaf_does_not_prove_its_own_absence() {
    let (path, other) = (Path::new([0; 32]), Path::new([1; 32]));
    let trie = sum_trie(&Leaves::from([(path, b"value".to_vec())]));
    let proof = trie.prove(&other).unwrap();
    assert_eq!(proof.verify::<Sum>(trie.root().as_ref(), &other, &[]), Ok(()));
    let outcome = proof.verify::<Sum>(trie.root().as_ref(), &path, &[]);
    assert_eq!(outcome, Err(ProofError::RelatedLeaf));
}

#[test]
fn of_leaves_with_equal_paths_the_last_counts() {
    let path = Path::of_key(b"a");
    let [old, new] = [b"old", b"new"].map(|value| SumDigest::of_leaf(&path, value, 1));
    assert_eq!(root_of::<Sum>([(path, old), (path, new)]), new);
    let mut trie = SumTrie::new();
    assert!(trie.insert(path, *b"old", 1));
    assert!(!trie.insert(path, *b"new", 1));
    assert_eq!((trie.root(), trie.len()), (new, 1));
}
