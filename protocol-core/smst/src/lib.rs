//! Sparse Merkle trie and sum trie: roots, proofs, closest proofs. No I/O.

mod closest;
mod compact;
mod error;
pub mod gob;
mod leaf_set;
mod node;
mod path;
mod proof;
mod sorted;
mod spec;
mod trie;
mod walk;

pub use closest::{ClosestProof, Rule};
pub use compact::{CompactClosestProof, CompactProof};
pub use error::{ProofError, ProveError, StrictError};
pub use gob::GobError;
pub use leaf_set::{Closest, LeafRef, LeafSet};
pub use node::NodeKind;
pub use path::{PATH_BITS, Path};
pub use proof::{Proof, sum_leaf_data};
pub use sorted::root_of;
pub use spec::{Plain, PlainDigest, Spec, Sum, SumDigest};
pub use trie::{Leaf, PlainTrie, SumTrie, Trie};
