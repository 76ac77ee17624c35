//! Why a proof could not be made, or is not accepted.

use thiserror::Error;

use crate::path::Path;

/// Why a proof could not be made; both mean that the caller's values are not those of the trie.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProveError {
    /// The trie holds only the digest of this leaf, and the caller has no value for it.
    #[error("the value of leaf {path} is not at hand")]
    ValueMissing {
        /// Path of the leaf.
        path: Path,
    },
    /// The value given for this leaf does not hash to its digest.
    #[error("the value of leaf {path} is not the one that was inserted")]
    ValueDiffers {
        /// Path of the leaf.
        path: Path,
    },
}

/// Why a proof is not accepted. The prover is at fault, and a retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The proof is well formed, but does not lead to the root.
    #[error("the proof leads to another root")]
    RootMismatch,
    /// More sibling digests than a path has bits.
    #[error("{got} side nodes, at most 256 are possible")]
    TooManySideNodes {
        /// How many there are.
        got: usize,
    },
    /// A sibling digest has a wrong length.
    #[error("a side node of {got} bytes, not {want}")]
    SideNodeSize {
        /// Its length in bytes.
        got: usize,
        /// Length of a digest of this kind of trie.
        want: usize,
    },
    /// The leaf of a non-membership proof is too short.
    #[error("non-membership leaf of {got} bytes, at least 33 are needed")]
    NonMembershipLeafSize {
        /// Its length in bytes.
        got: usize,
    },
    /// The leaf of a non-membership proof is no leaf.
    #[error("the non-membership leaf is not an encoded leaf")]
    NotALeaf,
    /// The leaf of a non-membership proof is the one that should be absent.
    #[error("the non-membership leaf is the leaf in question")]
    RelatedLeaf,
    /// The sibling's data is not the preimage of the first side node.
    #[error("the sibling data does not hash to the first side node")]
    SiblingData,
    /// The sibling's data is too short to be a node.
    #[error("the sibling data is no node")]
    SiblingDataMalformed,
    /// The asked path has a wrong length.
    #[error("path of {got} bytes, not 32")]
    PathSize {
        /// Its length in bytes.
        got: usize,
    },
    /// The proved leaf's path is too short.
    #[error("closest path of {got} bytes, not 32")]
    ClosestPathSize {
        /// Its length in bytes.
        got: usize,
    },
    /// The depth is outside 0..=256.
    #[error("depth {got} is outside 0..=256")]
    Depth {
        /// What the proof says.
        got: i64,
    },
    /// A flipped bit is not between 0 and the depth.
    #[error("flipped bit {got} is outside 0..={depth}")]
    FlippedBit {
        /// What the proof says.
        got: i64,
        /// Depth that the proof says.
        depth: i64,
    },
    /// The leaf's path is not the asked one with the flipped bits, down to the depth.
    #[error("the closest path leaves the asked one at bit {bit}")]
    ClosestPath {
        /// First bit that differs.
        bit: usize,
    },
    /// The proof has no inner proof.
    #[error("the proof of the closest leaf is missing")]
    NoClosestProof,
    /// The leaf's data does not end with weight and count.
    #[error("leaf data of {got} bytes does not hold weight and count")]
    ValueSize {
        /// Its length in bytes.
        got: usize,
    },
    /// A compressed integer is longer than two bytes.
    #[error("an integer of {got} bytes, at most 2 are possible")]
    CompactInteger {
        /// Its length in bytes.
        got: usize,
    },
    /// The number of side nodes is outside 0..=256.
    #[error("{got} side nodes are declared, not 0..=256")]
    SideNodeCount {
        /// What the proof says.
        got: i64,
    },
    /// The bit mask has a wrong length.
    #[error("bit mask of {got} bytes, not {want}")]
    BitMaskSize {
        /// Its length in bytes.
        got: usize,
        /// Length that the declared number of side nodes asks for.
        want: usize,
    },
    /// Bit mask and side nodes do not fit together.
    #[error("{got} side nodes do not fit the bit mask")]
    BitMask {
        /// How many side nodes are there.
        got: usize,
    },
    /// Only the strict rule says this.
    #[error(transparent)]
    Strict(#[from] StrictError),
}

/// Why a closest proof that the network's rule accepts is refused by the strict one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StrictError {
    /// The proof is about another path than the one that was asked for.
    #[error("the proof is for another path than the challenged one")]
    OtherPath,
    /// The proof shows no leaf: the trie is empty, or the value is one that reads as none.
    #[error("the proof shows no leaf")]
    Empty,
    /// Not as many side nodes as the depth of the leaf.
    #[error("{side_nodes} side nodes for a leaf at depth {depth}")]
    Depth {
        /// How many there are.
        side_nodes: usize,
        /// What the proof says.
        depth: i64,
    },
    /// Flipped bits are not increasing, or not above the leaf.
    #[error("flipped bits are not increasing or not above the leaf")]
    FlippedBits,
    /// A bit was flipped although there are leaves on the asked side, so another leaf is closer.
    #[error("the subtree skipped at depth {depth} is not empty")]
    SkippedLeaves {
        /// Depth of the flipped bit.
        depth: i64,
    },
    /// The leaf is deeper than it needs to be.
    #[error("the leaf has no sibling, so it is not where the trie has it")]
    NotShallowest,
    /// A leaf counts as one.
    #[error("the leaf counts as {count}, not one")]
    Count {
        /// What the proof says.
        count: u64,
    },
    /// Sums or counts along the branch exceed 64 bits.
    #[error("sums along the branch overflow")]
    Overflow,
    /// Fields that a closest proof does not need, or values in a longer form than needed.
    #[error("the proof is not in its canonical form")]
    NotCanonical,
}
