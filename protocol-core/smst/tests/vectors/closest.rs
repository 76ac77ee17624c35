//! `closest` and its altered proofs.

use portico_smst::{ClosestProof, CompactClosestProof, Path, ProofError, Rule, Trie};

use super::file::{Closest, File, ValueHasher};
use super::kind::{Kind, assert_outcome, same_sibling};
use super::sequences::build;

/// A state in which the Go library walks into an inner node with one child, and proves nothing.
const SINGLE_CHILD: &str = "identity_single_child_inner then commit_reimport";

pub(crate) fn check<K: Kind>(file: &File) -> usize {
    file.closest.iter().for_each(|case| check_one::<K>(file, case));
    file.closest.len()
}

fn check_one<K: Kind>(file: &File, case: &Closest) {
    let name = case
        .trie
        .strip_suffix(" then commit_reimport")
        .unwrap_or(&case.trie);
    let sequence = file.sequence(name);
    let what = format!("{} {}", case.trie, hex::encode(&case.path.0));
    let trie = build::<K>(sequence);
    assert_eq!(trie.root().as_ref(), case.root.0);
    let Ok(path) = <[u8; 32]>::try_from(&*case.path.0).map(Path::new) else {
        // Ours takes no path of another length: what Go refuses cannot be asked.
        return assert!(!case.prove.as_ref().unwrap().ok && case.proof.is_none(), "{what}");
    };
    assert!(case.prove.is_none());
    let proof = case.proof.as_ref().unwrap().get();
    check_ours(&trie, &path, &proof, &case.trie, &what);

    // Go's verifier hashes the value again when the spec has a value hasher.
    let mut seen = proof.clone();
    if sequence.spec.value_hasher != ValueHasher::None {
        let value = sequence.spec.value(seen.value::<K>().unwrap().unwrap());
        seen.closest_value_hash = Some(K::data(&value, seen.weight::<K>().unwrap_or(0)));
    }
    assert_outcome(
        &seen.verify_network::<K>(&case.root.0),
        case.verify.as_ref().unwrap(),
        &what,
    );
    check_compact::<K>(case, &proof, &seen, &what);
    if let Some(value) = &case.value_hash_from_proof {
        let ours = proof.value::<K>().unwrap();
        assert_eq!(ours, value.as_ref().map(|value| &*value.0), "{what}");
    }
    if let Some(gob) = &case.proof_gob {
        assert_eq!(hex::encode(proof.to_gob()), hex::encode(&gob.0), "{what}");
        let mut expected = proof.clone();
        expected.closest_value_hash = as_decoded(expected.closest_value_hash);
        assert_eq!(ClosestProof::from_gob(&gob.0).unwrap(), expected, "{what}");
    }
}

/// What we make is what Go makes, but for a leaf at depth 256 (Go writes depth 0, and may then refuse its own
/// proof) and for [`SINGLE_CHILD`]; and it satisfies both rules.
fn check_ours<K: Kind>(trie: &Trie<K>, path: &Path, theirs: &ClosestProof, name: &str, what: &str) {
    let ours = trie.prove_closest(path).unwrap();
    let value = ours.value::<K>().unwrap().unwrap_or_default();
    // An empty value without weight reads as no leaf, so no proof of it can be accepted.
    let readable = !value.is_empty() || ours.weight::<K>().is_some_and(|weight| weight > 0);
    if readable {
        ours.verify::<K>(Rule::Network, &trie.root(), path).unwrap();
        ours.verify::<K>(Rule::Strict, &trie.root(), path).unwrap();
        let compact = ours.compact::<K>().unwrap();
        assert_eq!(
            compact.verify::<K>(Rule::Strict, &trie.root(), path).as_ref(),
            Ok(&ours)
        );
        assert_eq!(CompactClosestProof::from_gob(&compact.to_gob()).unwrap(), compact);
    }
    let mut expected = theirs.clone();
    if ours.depth == 256 {
        assert_eq!(theirs.depth, 0);
        expected.depth = 256;
    }
    let mut ours = ours;
    // Whether Go has nil or empty bytes here depends on what was passed to it.
    ours.closest_value_hash = as_decoded(ours.closest_value_hash);
    expected.closest_value_hash = as_decoded(expected.closest_value_hash);
    if let (Some(ours), Some(theirs)) = (&mut ours.closest_proof, &expected.closest_proof)
        && same_sibling(&ours.sibling_data, &theirs.sibling_data)
    {
        ours.sibling_data.clone_from(&theirs.sibling_data);
    }
    assert!(
        ours == expected || name == SINGLE_CHILD,
        "{what}\n{ours:?}\n{expected:?}"
    );
}

fn check_compact<K: Kind>(case: &Closest, proof: &ClosestProof, seen: &ClosestProof, what: &str) {
    let compact = match proof.compact::<K>() {
        Err(error) => return assert_outcome(&Err(error), case.compact.as_ref().unwrap(), what),
        Ok(compact) => compact,
    };
    assert!(case.compact.is_none(), "{what}");
    let outcome = seen.compact::<K>().unwrap().verify_network::<K>(&case.root.0);
    assert_outcome(&outcome, case.verify_compact.as_ref().unwrap(), what);
    assert_eq!(compact.expand::<K>().as_ref(), Ok(proof), "{what}");
    if let Some(theirs) = &case.compact_proof {
        assert_eq!(compact, theirs.get(), "{what}");
    }
    let gob = &case.compact_proof_gob.as_ref().unwrap().0;
    assert_eq!(hex::encode(compact.to_gob()), hex::encode(gob), "{what}");
    let mut expected = compact;
    expected.closest_value_hash = as_decoded(expected.closest_value_hash);
    assert_eq!(CompactClosestProof::from_gob(gob).unwrap(), expected, "{what}");
}

/// Empty bytes are absent in a gob stream.
fn as_decoded(bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
    bytes.filter(|bytes| !bytes.is_empty())
}

pub(crate) fn check_tampered<K: Kind>(file: &File) -> usize {
    for case in &file.closest_tampered {
        let what = format!("{} {}", case.trie, case.name);
        assert_eq!(file.sequence(&case.trie).spec.sum_trie, K::SUM);
        let proof = case.proof.get();
        let outcome = proof.verify_network::<K>(&case.root.0);
        assert_outcome(&outcome, &case.verify, &what);
        check_strict::<K>(
            file,
            &case.trie,
            &case.name,
            &case.root.0,
            &proof,
            outcome.is_ok(),
        );
    }
    file.closest_tampered.len()
}

/// The strict rule accepts no altered proof, but where the alteration is none: another asked path with the
/// same closest leaf, or absent sibling data.
fn check_strict<K: Kind>(
    file: &File,
    trie: &str,
    name: &str,
    root: &[u8],
    proof: &ClosestProof,
    network: bool,
) {
    let trie = build::<K>(file.sequence(trie));
    let (Ok(path), true) = (
        <[u8; 32]>::try_from(&*proof.path).map(Path::new),
        root == trie.root().as_ref(),
    ) else {
        return assert!(!network, "{name}");
    };
    let strict = proof.verify::<K>(Rule::Strict, &trie.root(), &path);
    let truth = trie.prove_closest(&path).unwrap();
    let mut same = proof.clone();
    if let (Some(same), Some(truth)) = (&mut same.closest_proof, &truth.closest_proof)
        && (same.sibling_data.is_none() || same_sibling(&same.sibling_data, &truth.sibling_data))
    {
        same.sibling_data.clone_from(&truth.sibling_data);
    }
    assert_eq!(strict.is_ok(), same == truth, "{name}: {strict:?}");
    assert!(network || strict.is_err());
}

pub(crate) fn check_compact_tampered<K: Kind>(file: &File) -> usize {
    for case in &file.compact_closest_tampered {
        let what = format!("{} {}", case.trie, case.name);
        let compact = case.compact_proof.get();
        let outcome = compact.verify_network::<K>(&case.root.0);
        assert_outcome(&outcome, &case.verify_compact, &what);
        let trie = build::<K>(file.sequence(&case.trie));
        if let Ok(path) = <[u8; 32]>::try_from(&*compact.path) {
            let strict = compact.verify::<K>(Rule::Strict, &trie.root(), &Path::new(path));
            let unaltered = ["untampered", "sibling_data_nil"].contains(&&*case.name);
            assert_eq!(strict.is_ok(), unaltered, "{what}: {strict:?}");
        }
        if let Some(gob) = &case.compact_proof_gob {
            assert_eq!(hex::encode(compact.to_gob()), hex::encode(&gob.0), "{what}");
            assert_eq!(CompactClosestProof::from_gob(&gob.0).unwrap(), compact, "{what}");
        } else {
            assert!(matches!(outcome, Err(ProofError::NoClosestProof)), "{what}");
        }
    }
    file.compact_closest_tampered.len()
}
