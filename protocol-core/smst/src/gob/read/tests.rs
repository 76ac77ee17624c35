//! Streams that no Go process would write.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::super::GobError;
use crate::compact::{CompactClosestProof, CompactProof};

/// Definition of type `id` with the given body (a value of gob's wire type).
fn definition(id: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = ((id - 1) * 2 + 1).to_be_bytes();
    message(&[&[0xfe, high, low], body].concat())
}

fn message(body: &[u8]) -> Vec<u8> {
    [&[u8::try_from(body.len()).unwrap()], body].concat()
}

/// A message of 128 to 65535 bytes.
fn long_message(body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xfe, high, low], body].concat()
}

/// A slice of `element`.
fn slice(id: u16, element: u16) -> Vec<u8> {
    let [high, low] = (element * 2).to_be_bytes();
    definition(id, &[2, 2, 0xfe, high, low, 0, 0])
}

/// A struct with the fields Path (bytes) and X (of type `x`).
fn structure(id: u16, x: u16) -> Vec<u8> {
    let [high, low] = (x * 2).to_be_bytes();
    definition(
        id,
        &[
            &[3, 2, 2, 1, 4][..],
            b"Path",
            &[1, 10, 0, 1, 1],
            b"X",
            &[1, 0xfe, high, low, 0, 0, 0],
        ]
        .concat(),
    )
}

fn read(stream: &[Vec<u8>]) -> Result<CompactClosestProof, GobError> {
    CompactClosestProof::from_gob(&stream.concat())
}

#[test]
fn an_unknown_field_is_skipped_whatever_its_type() {
    for (x, value) in [
        (1u16, vec![1]),                // bool
        (4, vec![0xfe, 0xf0, 0x3f]),    // float
        (5, vec![2, 7, 7]),             // bytes
        (6, vec![2, b'h', b'i']),       // string
        (7, vec![0xfe, 0xf0, 0x3f, 0]), // complex
        (70, vec![2, 1, 9, 1, 9]),      // slice of bytes
        (71, vec![2, 4, 6]),            // array of two ints
        (72, vec![1, 1, b'k', 2]),      // map from string to int
        (73, vec![3, 1, 2, 3]),         // marshals itself
        (74, vec![1, 1, 9, 0]),         // struct
    ] {
        let types = [
            slice(70, 5),
            definition(71, &[1, 2, 4, 1, 4, 0, 0]),
            definition(72, &[4, 2, 12, 1, 4, 0, 0]),
            definition(73, &[5, 1, 1, 1, b'M', 0, 0, 0]),
            structure(74, 2),
            structure(64, x),
        ];
        let value = [&[0xff, 128, 1, 1, 42, 1][..], &value, &[0]].concat();
        let proof = read(&[types.concat(), message(&value)]).unwrap();
        assert_eq!(proof.path, [42], "type {x}");
    }
}

#[test]
fn an_unknown_field_may_hold_an_interface_whose_type_is_defined_on_the_way() {
    let types = [structure(64, 8), structure(74, 2)].concat();
    // Name of the type, then perhaps its definition and a length, then id, length and value.
    let defined = [&[1, b'T'][..], &[0xff, 148], &[3, 1, 1, 9, 0]].concat();
    let inline = &structure(75, 2)[1..];
    let on_the_way = [&[1, b'T'][..], inline, &[4], &[0xff, 150], &[3, 1, 1, 9, 0]].concat();
    for interface in [defined, on_the_way] {
        let value = [&[0xff, 128, 1, 1, 42, 1][..], &interface, &[0]].concat();
        let proof = read(&[types.clone(), message(&value)]).unwrap();
        assert_eq!(proof.path, [42]);
    }
}

#[test]
fn all_types_are_known_before_a_value_is_read() {
    let value = message(&[0xff, 128, 1, 1, 42, 0]);
    assert_eq!(read(&[structure(64, 70), value.clone()]), Err(GobError::Type));
    assert_eq!(
        read(&[slice(70, 71), structure(64, 70), value]),
        Err(GobError::Type)
    );
}

#[test]
fn an_inner_struct_needs_no_field_of_ours() {
    let inner = definition(70, &[&[3, 2, 1, 1, 1][..], b"X", &[1, 4, 0, 0, 0]].concat());
    let fields = [&[1, 12][..], b"ClosestProof", &[1, 0xff, 140, 0]].concat();
    let outer = definition(64, &[&[3, 2, 1][..], &fields, &[0, 0]].concat());
    let proof = read(&[outer, inner.clone(), message(&[0xff, 128, 1, 1, 8, 0, 0])]).unwrap();
    assert_eq!(proof.closest_proof, Some(CompactProof::default()));
    let alone = CompactClosestProof::from_gob(&[inner, message(&[0xff, 140, 0])].concat());
    assert_eq!(alone, Err(GobError::NoCommonField));
}

#[test]
fn an_array_of_another_length_is_refused() {
    let array = definition(71, &[1, 2, 4, 1, 4, 0, 0]);
    let value = message(&[0xff, 128, 2, 3, 2, 2, 2, 0]);
    assert_eq!(read(&[array, structure(64, 71), value]), Err(GobError::Type));
}

#[test]
fn types_that_contain_themselves_end_at_the_nesting_limit() {
    let value = [&[0xff, 128, 2][..], &[1; 120], &[0]].concat();
    let within = [slice(70, 70), structure(64, 70), message(&value)];
    assert_eq!(read(&within), Ok(CompactClosestProof::default()));
    let values = [&[0xff, 128, 2][..], &vec![1; super::MAX_NESTING], &[0]].concat();
    let stream = [slice(70, 70), structure(64, 70), long_message(&values)];
    assert_eq!(read(&stream), Err(GobError::Nesting));
}

#[test]
fn a_stream_may_not_define_types_without_end() {
    let types: Vec<_> = (70..350).map(|id| slice(id, 5)).collect();
    assert_eq!(
        read(&types),
        Err(GobError::TooMany {
            got: super::types::MAX_DEFINED + 1
        })
    );
    assert_eq!(read(&types[..200]), Err(GobError::UnexpectedEnd));
}

#[test]
fn a_type_is_defined_once_and_not_in_place_of_a_built_in_one() {
    assert_eq!(read(&[slice(70, 5), slice(70, 5)]), Err(GobError::DuplicateType));
    assert_eq!(read(&[slice(5, 5)]), Err(GobError::Type));
    assert_eq!(read(&[slice(63, 5)]), Err(GobError::Type));
}

#[test]
fn a_list_without_end_is_refused() {
    let flips = |count| CompactClosestProof {
        flipped_bits: vec![Vec::new(); count],
        ..Default::default()
    };
    let (most, more) = (flips(super::MAX_ELEMENTS), flips(super::MAX_ELEMENTS + 1));
    assert_eq!(CompactClosestProof::from_gob(&most.to_gob()), Ok(most));
    let refused = CompactClosestProof::from_gob(&more.to_gob());
    assert_eq!(
        refused,
        Err(GobError::TooMany {
            got: super::MAX_ELEMENTS + 1
        })
    );
}

#[test]
fn a_stream_that_is_too_long_is_not_looked_at() {
    let got = super::MAX_STREAM_LEN + 1;
    assert_eq!(
        CompactClosestProof::from_gob(&vec![0; got]),
        Err(GobError::TooLong { got })
    );
}

#[test]
fn integers_have_eight_bytes_at_most() {
    assert_eq!(
        read(&[vec![0xf7, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
        Err(GobError::Integer)
    );
    assert_eq!(
        read(&[vec![0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]),
        Err(GobError::UnexpectedEnd)
    );
}
