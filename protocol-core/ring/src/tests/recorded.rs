//! Signatures of the network, by tables.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::cache::Entry;
use super::super::product::force_scalar;
use super::super::table::Width;
use super::super::{RingError, RingSignature};
use super::vectors::recorded_signatures;

#[test]
fn tables_accept_what_the_network_signed_and_nothing_with_one_bit_flipped() {
    let records = recorded_signatures();
    for width in [Width::Six, Width::Eight, Width::Ten] {
        let mut kept: HashMap<[u8; 33], Arc<Entry>> = HashMap::new();
        let mut with_tables = |entry: &Arc<Entry>| {
            let entry = kept.entry(*entry.bytes()).or_insert_with(|| {
                let entry = Arc::new(entry.without_tables());
                entry.build_at_once(width);
                entry
            });
            Arc::clone(entry)
        };
        for (index, (message, bytes)) in records.iter().enumerate() {
            let mut signature = RingSignature::parse(bytes).unwrap();
            signature.members = signature.members.iter().map(&mut with_tables).collect();
            signature.image = with_tables(&signature.image);
            let mut other = *message;
            other[index % 32] ^= 1 << (index / 32 % 8);
            for scalar in [true, false] {
                force_scalar(scalar);
                assert_eq!(signature.verify(message), Ok(()), "record {index}, {width:?}");
                assert_eq!(
                    signature.verify(&other),
                    Err(RingError::Invalid),
                    "record {index}, {width:?}"
                );
            }
        }
    }
}
