//! The four proof types as gob knows them.

use crate::closest::ClosestProof;
use crate::compact::{CompactClosestProof, CompactProof};
use crate::proof::Proof;

use super::GobError;
use super::read::Reader;
use super::write::Body;

/// Ids of the types that gob has built in.
pub(super) const INT: i64 = 2;
pub(super) const BYTES: i64 = 5;
/// Id of the first type that a process defines.
pub(super) const FIRST_ID: i64 = 64;

/// Type of a field, to compare with what a stream declares.
#[derive(Clone, Copy)]
pub(super) enum FieldType {
    Bytes,
    Int,
    BytesList,
    IntList,
    Struct(fn(&str) -> Option<FieldType>),
}

/// One definition at the start of a stream.
pub(super) enum Definition {
    /// Name and fields, each with the id of its type.
    Struct(&'static str, &'static [(&'static str, i64)]),
    /// Name and the id of its elements' type.
    Slice(&'static str, i64),
}

/// A struct with a fixed place in gob streams.
pub(super) trait Message: Default {
    /// What a fresh process defines when it writes one; the first has id [`FIRST_ID`], and so on.
    const DEFINITIONS: &'static [Definition];
    /// Type of the field with this name.
    fn field_type(name: &str) -> Option<FieldType>;
    /// Reads one field.
    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError>;
    /// Writes the fields that are not empty.
    fn write_fields(&self, body: &mut Body);
}

const COMPACT_PROOF: &str = "SparseCompactMerkleProof";
const PROOF: &str = "SparseMerkleProof";
const LISTS: &str = "[][]uint8";

impl Message for CompactClosestProof {
    const DEFINITIONS: &'static [Definition] = &[
        Definition::Struct(
            "SparseCompactMerkleClosestProof",
            &[
                ("Path", BYTES),
                ("FlippedBits", FIRST_ID + 1),
                ("Depth", BYTES),
                ("ClosestPath", BYTES),
                ("ClosestValueHash", BYTES),
                ("ClosestProof", FIRST_ID + 2),
            ],
        ),
        Definition::Slice(LISTS, BYTES),
        Definition::Struct(
            COMPACT_PROOF,
            &[
                ("SideNodes", FIRST_ID + 1),
                ("NonMembershipLeafData", BYTES),
                ("BitMask", BYTES),
                ("NumSideNodes", INT),
                ("SiblingData", BYTES),
            ],
        ),
    ];

    fn field_type(name: &str) -> Option<FieldType> {
        match name {
            "Path" | "Depth" | "ClosestPath" | "ClosestValueHash" => Some(FieldType::Bytes),
            "FlippedBits" => Some(FieldType::BytesList),
            "ClosestProof" => Some(FieldType::Struct(CompactProof::field_type)),
            _ => None,
        }
    }

    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError> {
        match name {
            "Path" => self.path = reader.bytes()?,
            "FlippedBits" => self.flipped_bits = reader.bytes_list()?,
            "Depth" => self.depth = reader.bytes()?,
            "ClosestPath" => self.closest_path = reader.bytes()?,
            "ClosestValueHash" => self.closest_value_hash = filled(reader.bytes()?),
            _ => self.closest_proof = Some(reader.message()?),
        }
        Ok(())
    }

    fn write_fields(&self, body: &mut Body) {
        body.bytes(0, &self.path);
        body.bytes_list(1, &self.flipped_bits);
        body.bytes(2, &self.depth);
        body.bytes(3, &self.closest_path);
        body.bytes(4, self.closest_value_hash.as_deref().unwrap_or_default());
        body.message(5, self.closest_proof.as_ref());
    }
}

impl Message for CompactProof {
    const DEFINITIONS: &'static [Definition] = &[
        Definition::Struct(
            COMPACT_PROOF,
            &[
                ("SideNodes", FIRST_ID + 1),
                ("NonMembershipLeafData", BYTES),
                ("BitMask", BYTES),
                ("NumSideNodes", INT),
                ("SiblingData", BYTES),
            ],
        ),
        Definition::Slice(LISTS, BYTES),
    ];

    fn field_type(name: &str) -> Option<FieldType> {
        match name {
            "SideNodes" => Some(FieldType::BytesList),
            "NonMembershipLeafData" | "BitMask" | "SiblingData" => Some(FieldType::Bytes),
            "NumSideNodes" => Some(FieldType::Int),
            _ => None,
        }
    }

    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError> {
        match name {
            "SideNodes" => self.side_nodes = reader.bytes_list()?,
            "NonMembershipLeafData" => self.non_membership_leaf = filled(reader.bytes()?),
            "BitMask" => self.bit_mask = reader.bytes()?,
            "NumSideNodes" => self.num_side_nodes = reader.int()?,
            _ => self.sibling_data = filled(reader.bytes()?),
        }
        Ok(())
    }

    fn write_fields(&self, body: &mut Body) {
        body.bytes_list(0, &self.side_nodes);
        body.bytes(1, self.non_membership_leaf.as_deref().unwrap_or_default());
        body.bytes(2, &self.bit_mask);
        body.int(3, self.num_side_nodes);
        body.bytes(4, self.sibling_data.as_deref().unwrap_or_default());
    }
}

impl Message for ClosestProof {
    const DEFINITIONS: &'static [Definition] = &[
        Definition::Struct(
            "SparseMerkleClosestProof",
            &[
                ("Path", BYTES),
                ("FlippedBits", FIRST_ID + 1),
                ("Depth", INT),
                ("ClosestPath", BYTES),
                ("ClosestValueHash", BYTES),
                ("ClosestProof", FIRST_ID + 2),
            ],
        ),
        Definition::Slice("[]int", INT),
        Definition::Struct(
            PROOF,
            &[
                ("SideNodes", FIRST_ID + 3),
                ("NonMembershipLeafData", BYTES),
                ("SiblingData", BYTES),
            ],
        ),
        Definition::Slice(LISTS, BYTES),
    ];

    fn field_type(name: &str) -> Option<FieldType> {
        match name {
            "Path" | "ClosestPath" | "ClosestValueHash" => Some(FieldType::Bytes),
            "FlippedBits" => Some(FieldType::IntList),
            "Depth" => Some(FieldType::Int),
            "ClosestProof" => Some(FieldType::Struct(Proof::field_type)),
            _ => None,
        }
    }

    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError> {
        match name {
            "Path" => self.path = reader.bytes()?,
            "FlippedBits" => self.flipped_bits = reader.int_list()?,
            "Depth" => self.depth = reader.int()?,
            "ClosestPath" => self.closest_path = reader.bytes()?,
            "ClosestValueHash" => self.closest_value_hash = filled(reader.bytes()?),
            _ => self.closest_proof = Some(reader.message()?),
        }
        Ok(())
    }

    fn write_fields(&self, body: &mut Body) {
        body.bytes(0, &self.path);
        body.int_list(1, &self.flipped_bits);
        body.int(2, self.depth);
        body.bytes(3, &self.closest_path);
        body.bytes(4, self.closest_value_hash.as_deref().unwrap_or_default());
        body.message(5, self.closest_proof.as_ref());
    }
}

impl Message for Proof {
    const DEFINITIONS: &'static [Definition] = &[
        Definition::Struct(
            PROOF,
            &[
                ("SideNodes", FIRST_ID + 1),
                ("NonMembershipLeafData", BYTES),
                ("SiblingData", BYTES),
            ],
        ),
        Definition::Slice(LISTS, BYTES),
    ];

    fn field_type(name: &str) -> Option<FieldType> {
        match name {
            "SideNodes" => Some(FieldType::BytesList),
            "NonMembershipLeafData" | "SiblingData" => Some(FieldType::Bytes),
            _ => None,
        }
    }

    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError> {
        match name {
            "SideNodes" => self.side_nodes = reader.bytes_list()?,
            "NonMembershipLeafData" => self.non_membership_leaf = filled(reader.bytes()?),
            _ => self.sibling_data = filled(reader.bytes()?),
        }
        Ok(())
    }

    fn write_fields(&self, body: &mut Body) {
        body.bytes_list(0, &self.side_nodes);
        body.bytes(1, self.non_membership_leaf.as_deref().unwrap_or_default());
        body.bytes(2, self.sibling_data.as_deref().unwrap_or_default());
    }
}

/// Go reads empty bytes into a nil slice that stays nil.
fn filled(bytes: Vec<u8>) -> Option<Vec<u8>> {
    Some(bytes).filter(|bytes| !bytes.is_empty())
}
