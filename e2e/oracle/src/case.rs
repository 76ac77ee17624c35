//! The cases, one JSON object a line, the same both ways. Bytes are hexadecimal.

use serde::{Deserialize, Serialize};

/// One case: what its maker holds true, and all that its reader needs to hold it so or not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Case {
    /// The first line: by which seed the others were drawn.
    Seed {
        /// The seed, not 0.
        seed: u64,
    },
    /// A trie, with proofs about it.
    Trie(TrieCase),
    /// A ring signature.
    Ring(RingCase),
    /// An ordinary signature.
    Ecdsa(EcdsaCase),
    /// The last line: nothing was cut off.
    End {},
}

/// Leaves, set in this order, some of them removed afterwards; the root; proofs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrieCase {
    /// Whether it is a sum trie.
    pub sum: bool,
    /// Leaves in the order of setting them; a key may come again.
    pub leaves: Vec<LeafCase>,
    /// Keys that were removed when all were set.
    pub removed: Vec<Hex>,
    /// The root digest.
    pub root: Hex,
    /// Membership and absence.
    pub proofs: Vec<MembershipCase>,
    /// Closest proofs.
    pub closest: Vec<ClosestCase>,
}

/// A leaf: in a plain trie the weight is 0.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafCase {
    /// Its key; SHA-256 of it is the path.
    pub key: Hex,
    /// Its value.
    pub value: Hex,
    /// Its weight.
    pub weight: u64,
}

/// That `key` has the value and weight, or nothing when both are empty and 0.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipCase {
    /// The key that is asked for.
    pub key: Hex,
    /// Its value, empty when there is none.
    pub value: Hex,
    /// Its weight.
    pub weight: u64,
    /// Gob stream of the proof.
    pub proof: Hex,
    /// Gob stream of the compact proof.
    pub compact: Hex,
}

/// The leaf closest to a path.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosestCase {
    /// The path that is asked for.
    pub path: Hex,
    /// Gob stream of the proof.
    pub proof: Hex,
    /// Gob stream of the compact proof: the bytes of a proof on chain.
    pub compact: Hex,
}

/// A ring signature, and whether it verifies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingCase {
    /// The signer's private key.
    pub private: Hex,
    /// The private keys of the ring in order.
    pub privates: Vec<Hex>,
    /// The ring in order.
    pub keys: Vec<Hex>,
    /// 32 bytes.
    pub message: Hex,
    /// The serialized signature.
    pub signature: Hex,
    /// The signer's key image.
    pub image: Hex,
    /// Whether it verifies; a changed one does not.
    pub valid: bool,
}

/// An ECDSA signature of the chain's kind, and whether it verifies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcdsaCase {
    /// The signer's private key.
    pub private: Hex,
    /// Its public key.
    pub public: Hex,
    /// The message; SHA-256 of it is signed.
    pub message: Hex,
    /// r ‖ s.
    pub signature: Hex,
    /// Whether it verifies; a changed one does not.
    pub valid: bool,
}

/// Bytes that are hexadecimal in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl From<&[u8]> for Hex {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}
