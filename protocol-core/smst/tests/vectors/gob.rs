//! `gob_decode`: bytes of all sorts for the decoder of compact closest proofs.

use portico_smst::CompactClosestProof;

use super::file::File;
use super::kind::{Kind, assert_outcome};

pub(crate) fn check<K: Kind>(file: &File) -> usize {
    for case in &file.gob_decode {
        let decoded = CompactClosestProof::from_gob(&case.bytes.0);
        assert_eq!(
            decoded.is_ok(),
            case.decode.ok,
            "{}: {decoded:?}, Go: {:?}",
            case.name,
            case.decode
        );
        let Ok(decoded) = decoded else {
            assert!(case.decoded.is_none() && case.verify_compact.is_none());
            continue;
        };
        assert_eq!(decoded, case.decoded.as_ref().unwrap().get(), "{}", case.name);
        let outcome = decoded.verify_network::<K>(&case.root.0);
        assert_outcome(&outcome, case.verify_compact.as_ref().unwrap(), &case.name);
    }
    file.gob_decode.len()
}
