//! Laws of proofs: what is there proves, nothing else does, and any bytes are safe to read.

use portico_smst::{
    ClosestProof, CompactClosestProof, CompactProof, Leaf, Path, Plain, PlainTrie, Proof, ProofError, Rule,
    Sum, sum_leaf_data,
};
use proptest::prelude::*;

use super::given::{Leaves, WEIGHT, any_closest_proof, any_compact_closest_proof, leaves, path, sum_trie};

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
fn a_leaf_does_not_prove_its_own_absence() {
    let (path, other) = (Path::new([0; 32]), Path::new([1; 32]));
    let trie = sum_trie(&Leaves::from([(path, b"value".to_vec())]));
    let proof = trie.prove(&other).unwrap();
    assert_eq!(proof.verify::<Sum>(trie.root().as_ref(), &other, &[]), Ok(()));
    let outcome = proof.verify::<Sum>(trie.root().as_ref(), &path, &[]);
    assert_eq!(outcome, Err(ProofError::RelatedLeaf));
}
