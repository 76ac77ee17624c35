//! `gob_decode`: bytes of all sorts for the decoder of compact closest proofs.

use portico_smst::CompactClosestProof;

use super::file::GobDecode;
use super::kind::{Kind, assert_outcome};

pub(crate) fn check<K: Kind>(case: &GobDecode) {
    let decoded = CompactClosestProof::from_gob(&case.bytes.0);
    assert_eq!(
        decoded.is_ok(),
        case.decode.ok,
        "{decoded:?}, Go: {:?}",
        case.decode
    );
    let Ok(decoded) = decoded else {
        return assert!(case.decoded.is_none() && case.verify_compact.is_none());
    };
    assert_eq!(decoded, case.decoded.as_ref().unwrap().get());
    let outcome = decoded.verify_network::<K>(&case.root.0);
    assert_outcome(&outcome, case.verify_compact.as_ref().unwrap());
}
