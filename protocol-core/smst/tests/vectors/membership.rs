//! `membership`: proofs that a key has a value, or none.

use portico_smst::{CompactProof, Proof};

use super::file::{File, Membership};
use super::kind::{Kind, assert_outcome, same_sibling};
use super::sequences::build;

pub(crate) fn check<K: Kind>(file: &File, case: &Membership) {
    let sequence = file.sequence(&case.trie);
    let (trie, path) = (build::<K>(sequence), sequence.spec.path(&case.key.0));
    assert_eq!(trie.root().as_ref(), case.root.0);

    let (proof, compact) = (case.proof.get(), case.compact_proof.get());
    let mut ours = trie.prove(&path).unwrap();
    assert!(same_sibling::<K>(&ours.sibling_data, &proof.sibling_data));
    ours.sibling_data.clone_from(&proof.sibling_data);
    assert_eq!(ours, proof);
    assert_eq!(proof.compact::<K>().unwrap(), compact);
    assert_eq!(compact.expand::<K>().unwrap(), proof);

    let (weight, count) = (
        case.sum.map_or(0, |sum| sum.0),
        case.count.map_or(0, |count| count.0),
    );
    let data = K::claim(&case.value.0, &sequence.spec.value(&case.value.0), weight, count);
    assert_outcome(&proof.verify::<K>(&case.root.0, &path, &data), &case.verify);
    assert_outcome(
        &compact.verify::<K>(&case.root.0, &path, &data),
        &case.verify_compact,
    );

    if let Some(gob) = &case.proof_gob {
        assert_eq!(hex::encode(proof.to_gob()), hex::encode(&gob.0));
        assert_eq!(Proof::from_gob(&gob.0).unwrap(), proof);
    }
    if let Some(gob) = &case.compact_proof_gob {
        assert_eq!(hex::encode(compact.to_gob()), hex::encode(&gob.0));
        assert_eq!(CompactProof::from_gob(&gob.0).unwrap(), compact);
    }
}
