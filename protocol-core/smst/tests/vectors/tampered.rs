//! `closest_tampered` and `compact_closest_tampered`: proofs with something altered.
//!
//! The network's rule has the outcome that is written there. The strict rule accepts a proof exactly when it is
//! the one that we would make of the same leaves, but for sibling data, which may be absent.

use portico_smst::{ClosestProof, CompactClosestProof, Path, ProofError, Rule, StrictError};

use super::file::{ClosestTampered, CompactClosestTampered, File};
use super::kind::{Kind, as_seen, assert_outcome, same_sibling};
use super::sequences::build;

pub(crate) fn check<K: Kind>(file: &File, case: &ClosestTampered) {
    let spec = &file.sequence(&case.trie).spec;
    let proof = case.proof.get();
    let outcome = as_seen::<K>(&proof, spec).verify_network::<K>(&case.root.0);
    assert_outcome(&outcome, &case.verify);

    let expected = unaltered::<K>(file, &case.trie, &case.root.0, &proof);
    if let (Some(root), Some(path)) = (K::digest(&case.root.0), asked(&proof.path)) {
        let strict = proof.verify::<K>(Rule::Strict, &root, &path);
        assert_strict(strict.err(), expected);
    }
}

pub(crate) fn check_compact<K: Kind>(file: &File, case: &CompactClosestTampered) {
    let spec = &file.sequence(&case.trie).spec;
    let compact = case.compact_proof.get();
    let outcome = compact.expand::<K>().and_then(|full| {
        // In the full form alone the value can be told from its weight.
        as_seen::<K>(&full, spec).verify_network::<K>(&case.root.0)
    });
    assert_outcome(&outcome, &case.verify_compact);

    let expected = compact.expand::<K>().is_ok_and(|full| {
        let canonical = full.compact::<K>().as_ref() == Ok(&compact);
        canonical && unaltered::<K>(file, &case.trie, &case.root.0, &full)
    });
    if let (Some(root), Some(path)) = (K::digest(&case.root.0), asked(&compact.path)) {
        let strict = compact.verify::<K>(Rule::Strict, &root, &path);
        assert_strict(strict.err(), expected);
    }
    if let Some(gob) = &case.compact_proof_gob {
        assert_eq!(hex::encode(compact.to_gob()), hex::encode(&gob.0));
        assert_eq!(CompactClosestProof::from_gob(&gob.0).unwrap(), compact);
    } else {
        assert!(matches!(outcome, Err(ProofError::NoClosestProof)));
    }
}

fn assert_strict(refused: Option<ProofError>, expected: bool) {
    let overflow = refused == Some(StrictError::Overflow.into());
    assert!(
        refused.is_none() == expected || overflow,
        "by the strict rule: {refused:?}"
    );
}

/// Whether `proof` is the one that the trie makes for the path that the proof names.
fn unaltered<K: Kind>(file: &File, trie: &str, root: &[u8], proof: &ClosestProof) -> bool {
    let trie = build::<K>(file.sequence(trie));
    let (Some(path), true) = (asked(&proof.path), root == trie.root().as_ref()) else {
        return false;
    };
    let truth = trie.prove_closest(&path).unwrap();
    let mut same = proof.clone();
    if let (Some(same), Some(truth)) = (&mut same.closest_proof, &truth.closest_proof)
        && (same.sibling_data.is_none() || same_sibling::<K>(&same.sibling_data, &truth.sibling_data))
    {
        same.sibling_data.clone_from(&truth.sibling_data);
    }
    // The closest leaf of an empty trie is none, which only the network's rule takes.
    same == truth && truth.closest_value_hash.is_some()
}

fn asked(path: &[u8]) -> Option<Path> {
    <[u8; 32]>::try_from(path).ok().map(Path::new)
}
