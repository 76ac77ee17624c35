//! The files' shape.

use std::path::PathBuf;

use portico_smst::{ClosestProof, CompactClosestProof, CompactProof, Proof};
use serde::{Deserialize, Deserializer};

use super::cases::Named;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) meta: Meta,
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) membership: Vec<Membership>,
    pub(crate) closest: Vec<Closest>,
    pub(crate) closest_tampered: Vec<ClosestTampered>,
    pub(crate) compact_closest_tampered: Vec<CompactClosestTampered>,
    pub(crate) gob_decode: Vec<GobDecode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read so that an unknown field is noticed")]
pub(crate) struct Meta {
    gob_notice: String,
    key_rule: String,
    source: String,
    pub(crate) main_spec: TrieSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrieSpec {
    pub(crate) path_hasher: PathHasher,
    pub(crate) sum_trie: bool,
    #[serde(rename = "trie_hasher")]
    _trie_hasher: TrieHasher,
    pub(crate) value_hasher: ValueHasher,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PathHasher {
    Sha256,
    Identity,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TrieHasher {
    Sha256,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueHasher {
    Sha256,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sequence {
    pub(crate) name: String,
    #[serde(default, rename = "note")]
    _note: Option<String>,
    pub(crate) spec: TrieSpec,
    pub(crate) initial_root: Hex,
    pub(crate) steps: Vec<Step>,
    pub(crate) final_root: Hex,
    pub(crate) nodes_after_commit: Option<Vec<StoredNode>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Update,
    Delete,
    Commit,
    CommitReimport,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) key: Option<Hex>,
    pub(crate) value: Option<Hex>,
    pub(crate) weight: Option<Decimal>,
    pub(crate) root: Option<Hex>,
    pub(crate) sum: Option<Decimal>,
    pub(crate) count: Option<Decimal>,
    pub(crate) error: Option<String>,
    pub(crate) panic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredNode {
    pub(crate) digest: Hex,
    pub(crate) kind: String,
    pub(crate) preimage: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    pub(crate) name: String,
    pub(crate) trie: String,
    pub(crate) root: Hex,
    pub(crate) key: Hex,
    pub(crate) value: Hex,
    pub(crate) sum: Option<Decimal>,
    pub(crate) count: Option<Decimal>,
    pub(crate) proof: ProofJson,
    pub(crate) compact_proof: CompactProofJson,
    pub(crate) proof_gob: Option<Hex>,
    pub(crate) compact_proof_gob: Option<Hex>,
    pub(crate) verify: Outcome,
    pub(crate) verify_compact: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Closest {
    pub(crate) trie: String,
    pub(crate) root: Hex,
    pub(crate) path: Hex,
    pub(crate) proof: Option<ClosestProofJson>,
    pub(crate) compact_proof: Option<CompactClosestProofJson>,
    pub(crate) proof_gob: Option<Hex>,
    pub(crate) compact_proof_gob: Option<Hex>,
    #[serde(default, deserialize_with = "nested")]
    pub(crate) value_hash_from_proof: Option<Option<Hex>>,
    pub(crate) prove: Option<Outcome>,
    pub(crate) compact: Option<Outcome>,
    pub(crate) verify: Option<Outcome>,
    pub(crate) verify_compact: Option<Outcome>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClosestTampered {
    pub(crate) name: String,
    pub(crate) trie: String,
    pub(crate) root: Hex,
    pub(crate) proof: ClosestProofJson,
    pub(crate) verify: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactClosestTampered {
    pub(crate) name: String,
    pub(crate) trie: String,
    pub(crate) root: Hex,
    pub(crate) compact_proof: CompactClosestProofJson,
    pub(crate) compact_proof_gob: Option<Hex>,
    pub(crate) verify_compact: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GobDecode {
    pub(crate) name: String,
    #[serde(default, rename = "note")]
    _note: Option<String>,
    pub(crate) bytes: Hex,
    pub(crate) root: Hex,
    pub(crate) decode: Outcome,
    pub(crate) decoded: Option<CompactClosestProofJson>,
    pub(crate) verify_compact: Option<Outcome>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) error: Option<String>,
    pub(crate) panic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofJson {
    side_nodes: Option<Vec<Option<Hex>>>,
    non_membership_leaf_data: Option<Hex>,
    sibling_data: Option<Hex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactProofJson {
    side_nodes: Option<Vec<Option<Hex>>>,
    non_membership_leaf_data: Option<Hex>,
    bit_mask: Option<Hex>,
    num_side_nodes: i64,
    sibling_data: Option<Hex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClosestProofJson {
    path: Option<Hex>,
    flipped_bits: Option<Vec<i64>>,
    depth: i64,
    closest_path: Option<Hex>,
    closest_value_hash: Option<Hex>,
    closest_proof: Option<ProofJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactClosestProofJson {
    path: Option<Hex>,
    flipped_bits: Option<Vec<Option<Hex>>>,
    depth: Option<Hex>,
    closest_path: Option<Hex>,
    closest_value_hash: Option<Hex>,
    closest_proof: Option<CompactProofJson>,
}

/// Ends the name of a trie that was committed and read back from its nodes: the leaves are the same.
const READ_BACK: &str = " then commit_reimport";

impl File {
    /// The text of a file in the folder that `PORTICO_VECTORS` names, else of the tracked copy.
    pub(crate) fn text(name: &str) -> String {
        let tracked = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
        let folder =
            std::env::var_os("PORTICO_VECTORS").map_or_else(|| PathBuf::from(tracked), PathBuf::from);
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap()
    }

    /// The sequence that built the trie called `name`.
    pub(crate) fn sequence(&self, name: &str) -> &Sequence {
        let name = name.strip_suffix(READ_BACK).unwrap_or(name);
        let found = self.sequences.iter().find(|sequence| sequence.name == name);
        found.unwrap_or_else(|| panic!("no sequence is called {name}"))
    }
}

impl Named for Sequence {
    fn title(&self) -> String {
        self.name.clone()
    }
}

impl Named for Membership {
    fn title(&self) -> String {
        format!("{} {}", self.trie, self.name)
    }
}

impl Named for Closest {
    fn title(&self) -> String {
        format!("{} {}", self.trie, hex::encode(&self.path.0))
    }
}

impl Named for ClosestTampered {
    fn title(&self) -> String {
        format!("{} {}", self.trie, self.name)
    }
}

impl Named for CompactClosestTampered {
    fn title(&self) -> String {
        format!("{} {}", self.trie, self.name)
    }
}

impl Named for GobDecode {
    fn title(&self) -> String {
        self.name.clone()
    }
}

impl ProofJson {
    pub(crate) fn get(&self) -> Proof {
        Proof {
            side_nodes: list(&self.side_nodes),
            non_membership_leaf: optional(&self.non_membership_leaf_data),
            sibling_data: optional(&self.sibling_data),
        }
    }
}

impl CompactProofJson {
    pub(crate) fn get(&self) -> CompactProof {
        CompactProof {
            side_nodes: list(&self.side_nodes),
            non_membership_leaf: optional(&self.non_membership_leaf_data),
            bit_mask: bytes(&self.bit_mask),
            num_side_nodes: self.num_side_nodes,
            sibling_data: optional(&self.sibling_data),
        }
    }
}

impl ClosestProofJson {
    pub(crate) fn get(&self) -> ClosestProof {
        ClosestProof {
            path: bytes(&self.path),
            flipped_bits: self.flipped_bits.clone().unwrap_or_default(),
            depth: self.depth,
            closest_path: bytes(&self.closest_path),
            closest_value_hash: optional(&self.closest_value_hash),
            closest_proof: self.closest_proof.as_ref().map(ProofJson::get),
        }
    }
}

impl CompactClosestProofJson {
    pub(crate) fn get(&self) -> CompactClosestProof {
        CompactClosestProof {
            path: bytes(&self.path),
            flipped_bits: list(&self.flipped_bits),
            depth: bytes(&self.depth),
            closest_path: bytes(&self.closest_path),
            closest_value_hash: optional(&self.closest_value_hash),
            closest_proof: self.closest_proof.as_ref().map(CompactProofJson::get),
        }
    }
}

fn list(list: &Option<Vec<Option<Hex>>>) -> Vec<Vec<u8>> {
    list.iter().flatten().map(bytes).collect()
}

fn optional(hex: &Option<Hex>) -> Option<Vec<u8>> {
    hex.as_ref().map(|hex| hex.0.clone())
}

fn bytes(hex: &Option<Hex>) -> Vec<u8> {
    optional(hex).unwrap_or_default()
}

/// Tells `null` from an absent field.
fn nested<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Hex>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Bytes in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Hex).map_err(serde::de::Error::custom)
    }
}

/// An integer in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal(pub(crate) u64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Decimal).map_err(serde::de::Error::custom)
    }
}
