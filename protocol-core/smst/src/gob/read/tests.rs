//! Streams that no Go process would write.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::super::GobError;
use crate::compact::CompactClosestProof;

/// Definition of type `id` with the given body (a value of gob's wire type).
fn definition(id: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = ((id - 1) * 2 + 1).to_be_bytes();
    message(&[&[0xfe, high, low], body].concat())
}

fn message(body: &[u8]) -> Vec<u8> {
    [&[u8::try_from(body.len()).unwrap()], body].concat()
}

/// A slice of `element`.
fn slice(id: u16, element: u16) -> Vec<u8> {
    let [high, low] = (element * 2).to_be_bytes();
    definition(id, &[2, 2, 0xfe, high, low, 0, 0])
}

/// A struct with the fields Path (bytes) and X (of type `x`).
fn structure(id: u16, x: u8) -> Vec<u8> {
    definition(
        id,
        &[
            &[3, 2, 2, 1, 4][..],
            b"Path",
            &[1, 10, 0, 1, 1],
            b"X",
            &[1, x * 2, 0, 0, 0],
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
        (1u8, vec![1]),                 // bool
        (4, vec![0xfe, 0xf0, 0x3f]),    // float
        (5, vec![2, 7, 7]),             // bytes
        (6, vec![2, b'h', b'i']),       // string
        (7, vec![0xfe, 0xf0, 0x3f, 0]), // complex
        (20, vec![2, 1, 9, 1, 9]),      // slice of bytes
        (21, vec![2, 4, 6]),            // array of two ints
        (22, vec![1, 1, b'k', 2]),      // map from string to int
        (23, vec![3, 1, 2, 3]),         // marshals itself
        (24, vec![1, 1, 9, 0]),         // struct
    ] {
        let types = [
            slice(20, 5),
            definition(21, &[1, 2, 4, 1, 4, 0, 0]),
            definition(22, &[4, 2, 12, 1, 4, 0, 0]),
            definition(23, &[5, 1, 1, 1, b'M', 0, 0, 0]),
            structure(24, 2),
            structure(64, x),
        ];
        let value = [&[0xff, 128, 1, 1, 42, 1][..], &value, &[0]].concat();
        let proof = read(&[types.concat(), message(&value)]).unwrap();
        assert_eq!(proof.path, [42], "type {x}");
    }
}

#[test]
fn an_array_of_another_length_is_refused() {
    let array = definition(21, &[1, 2, 4, 1, 4, 0, 0]);
    let value = message(&[0xff, 128, 2, 3, 2, 2, 2, 0]);
    assert_eq!(read(&[array, structure(64, 21), value]), Err(GobError::Type));
}

#[test]
fn types_that_contain_themselves_end_at_the_nesting_limit() {
    let value = [&[0xff, 128, 2][..], &[1; 100], &[0]].concat();
    let stream = [slice(20, 20), structure(64, 20), message(&value)];
    assert_eq!(read(&stream), Err(GobError::Nesting));
}

#[test]
fn a_stream_may_not_define_types_without_end() {
    let types: Vec<_> = (20..300).map(|id| slice(id, 5)).collect();
    assert_eq!(
        read(&types),
        Err(GobError::TooMany {
            got: super::MAX_DEFINED + 1
        })
    );
    assert_eq!(read(&types[..200]), Err(GobError::UnexpectedEnd));
}

#[test]
fn a_type_is_defined_once_and_not_in_place_of_a_built_in_one() {
    assert_eq!(read(&[slice(20, 5), slice(20, 5)]), Err(GobError::DuplicateType));
    assert_eq!(read(&[slice(5, 5)]), Err(GobError::Type));
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
