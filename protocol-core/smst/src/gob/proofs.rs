//! The four proof types as gob knows them: what each declares, how its fields are read and written.

use crate::closest::ClosestProof;
use crate::compact::{CompactClosestProof, CompactProof};
use crate::proof::Proof;

use super::GobError;
use super::read::{Decode, Reader};
use super::schema::{BYTES, Definition, FIRST_ID, FieldType, INT};
use super::write::{Body, Encode};

const COMPACT_PROOF: &str = "SparseCompactMerkleProof";
const PROOF: &str = "SparseMerkleProof";
const LISTS: &str = "[][]uint8";

impl Decode for CompactClosestProof {
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
}

impl Encode for CompactClosestProof {
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

    fn write_fields(&self, body: &mut Body) {
        body.bytes(0, &self.path);
        body.bytes_list(1, &self.flipped_bits);
        body.bytes(2, &self.depth);
        body.bytes(3, &self.closest_path);
        body.bytes(4, self.closest_value_hash.as_deref().unwrap_or_default());
        body.message(5, self.closest_proof.as_ref());
    }
}

impl Decode for CompactProof {
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
}

impl Encode for CompactProof {
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

    fn write_fields(&self, body: &mut Body) {
        body.bytes_list(0, &self.side_nodes);
        body.bytes(1, self.non_membership_leaf.as_deref().unwrap_or_default());
        body.bytes(2, &self.bit_mask);
        body.int(3, self.num_side_nodes);
        body.bytes(4, self.sibling_data.as_deref().unwrap_or_default());
    }
}

impl Decode for ClosestProof {
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
}

impl Encode for ClosestProof {
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

    fn write_fields(&self, body: &mut Body) {
        body.bytes(0, &self.path);
        body.int_list(1, &self.flipped_bits);
        body.int(2, self.depth);
        body.bytes(3, &self.closest_path);
        body.bytes(4, self.closest_value_hash.as_deref().unwrap_or_default());
        body.message(5, self.closest_proof.as_ref());
    }
}

impl Decode for Proof {
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
}

impl Encode for Proof {
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
