//! `closest`: proofs of the leaf closest to a path.

use portico_smst::{ClosestProof, CompactClosestProof, Path, Rule, Trie};

use super::file::{Closest, File, Outcome};
use super::kind::{Kind, as_seen, assert_outcome, overflows, same_sibling};
use super::sequences::build;

pub(crate) fn check<K: Kind>(file: &File, case: &Closest) {
    let sequence = file.sequence(&case.trie);
    let trie = build::<K>(sequence);
    assert_eq!(trie.root().as_ref(), case.root.0);
    let Ok(path) = <[u8; 32]>::try_from(&*case.path.0).map(Path::new) else {
        // Ours takes no path of another length: what Go refuses cannot be asked.
        return assert!(!case.prove.as_ref().unwrap().ok && case.proof.is_none());
    };
    let Some(proof) = &case.proof else {
        // Go makes no proof here; ours has to be a good one all the same.
        assert!(!case.prove.as_ref().unwrap().ok);
        return check_rules(&trie, &path, &trie.prove_closest(&path).unwrap());
    };
    assert!(case.prove.is_none());
    let proof = proof.get();
    let verify = case.verify.as_ref().unwrap();
    check_ours(&trie, &path, &proof, verify);

    let seen = as_seen::<K>(&proof, &sequence.spec);
    assert_outcome(&seen.verify_network::<K>(&case.root.0), verify);
    check_compact::<K>(case, &proof, &seen);
    if let Some(value) = &case.value_hash_from_proof {
        let ours = proof.value::<K>().unwrap();
        assert_eq!(ours, value.as_ref().map(|value| &*value.0));
    }
    if let Some(gob) = &case.proof_gob {
        assert_eq!(hex::encode(proof.to_gob()), hex::encode(&gob.0));
        let mut expected = proof.clone();
        expected.closest_value_hash = as_decoded(expected.closest_value_hash);
        assert_eq!(ClosestProof::from_gob(&gob.0).unwrap(), expected);
    }
}

/// What we make satisfies both rules, in all its forms.
fn check_rules<K: Kind>(trie: &Trie<K>, path: &Path, ours: &ClosestProof) {
    let value = ours.value::<K>().unwrap().unwrap_or_default();
    // An empty value without weight reads as no leaf, so no proof of it can be accepted.
    if value.is_empty() && ours.weight::<K>().is_none_or(|weight| weight == 0) {
        return;
    }
    ours.verify::<K>(Rule::Network, &trie.root(), path).unwrap();
    let compact = ours.compact::<K>().unwrap();
    assert_eq!(CompactClosestProof::from_gob(&compact.to_gob()).unwrap(), compact);
    if overflows(trie) {
        return;
    }
    ours.verify::<K>(Rule::Strict, &trie.root(), path).unwrap();
    let verified = compact.verify::<K>(Rule::Strict, &trie.root(), path);
    assert_eq!(verified.as_ref(), Ok(ours));
}

/// What we make is what Go makes, but for a leaf at depth 256 (there Go writes depth 0, and may then refuse its
/// own proof) and where Go's own verifier refuses what its prover made.
fn check_ours<K: Kind>(trie: &Trie<K>, path: &Path, theirs: &ClosestProof, verify: &Outcome) {
    let mut ours = trie.prove_closest(path).unwrap();
    check_rules(trie, path, &ours);
    let mut expected = theirs.clone();
    if ours.depth == 256 {
        assert_eq!(theirs.depth, 0);
        expected.depth = 256;
    }
    // Whether Go has nil or empty bytes here depends on what was passed to it.
    ours.closest_value_hash = as_decoded(ours.closest_value_hash);
    expected.closest_value_hash = as_decoded(expected.closest_value_hash);
    if let (Some(ours), Some(theirs)) = (&mut ours.closest_proof, &expected.closest_proof)
        && same_sibling::<K>(&ours.sibling_data, &theirs.sibling_data)
    {
        ours.sibling_data.clone_from(&theirs.sibling_data);
    }
    assert!(ours == expected || !verify.ok, "{ours:?}\n{expected:?}");
}

fn check_compact<K: Kind>(case: &Closest, proof: &ClosestProof, seen: &ClosestProof) {
    let compact = match proof.compact::<K>() {
        Err(error) => return assert_outcome(&Err(error), case.compact.as_ref().unwrap()),
        Ok(compact) => compact,
    };
    assert!(case.compact.is_none());
    let outcome = seen.compact::<K>().unwrap().verify_network::<K>(&case.root.0);
    assert_outcome(&outcome, case.verify_compact.as_ref().unwrap());
    assert_eq!(compact.expand::<K>().as_ref(), Ok(proof));
    if let Some(theirs) = &case.compact_proof {
        assert_eq!(compact, theirs.get());
    }
    let gob = &case.compact_proof_gob.as_ref().unwrap().0;
    assert_eq!(hex::encode(compact.to_gob()), hex::encode(gob));
    let mut expected = compact;
    expected.closest_value_hash = as_decoded(expected.closest_value_hash);
    assert_eq!(CompactClosestProof::from_gob(gob).unwrap(), expected);
}

/// Empty bytes are absent in a gob stream.
fn as_decoded(bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
    bytes.filter(|bytes| !bytes.is_empty())
}
