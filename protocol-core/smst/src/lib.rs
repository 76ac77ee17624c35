//! Sparse Merkle trie and sum trie: roots, proofs, closest proofs. No I/O.
//!
//! # What it is
//! A trie commits to a *set* of leaves with one digest. Each leaf is at a *path* of 256 bits; bit 0 is the most
//! significant one, 0 goes left. A leaf sits at the highest place that no other leaf wants:
//! ```text
//!               sum 46, count 4                        leaf     00 ‖ path ‖ value ‖ weight ‖ 1
//!             0/               \1                       inner    01 ‖ left ‖ right ‖ sum ‖ count
//!      sum 33, count 3        leaf 1011…, weight 13     digest   sha256(encoding) ‖ sum ‖ count
//!     0/             \1                                 empty    zeros
//!  sum 21           leaf 0101…, weight 12
//!  0/   \1
//!  ·    empty            · sum 21: leaves 0000…, weight 11 and 0001…, weight 10
//! ```
//! The bytes are those of the network's library (smt v0.14.1, path hasher SHA-256, no value hasher).
//!
//! # Why sums
//! A supplier claims the compute units of a session with the root of its relays. A plain hash would commit to
//! the relays, but not to how much they add up to. In a [`Sum`] trie each digest carries the sum of weights and
//! the count of leaves below it, and these are hashed into the digest above: the 48 bytes of a root *are* the
//! claim. In a [`Plain`] trie digests are hashes alone; the chain commits its state so.
//!
//! # How a closest proof picks a relay
//! After the claim, a block that nobody could foresee names a path. Going down from the root, the walk takes the
//! side that the path's next bit says; if that side is empty it takes the other one, and the bit counts as
//! *flipped*. It ends at the one leaf whose path is nearest by XOR. The proof is that leaf and the digests beside
//! the way (◦); whoever hashes them up again has to arrive at the claimed root, sums included:
//! ```text
//!  asked 0010…      60 ═ 47 + 13                root, as claimed
//!                  0/            ╲1
//!           35 + 12 ═ 47         ◦ 13           bit 0 is 0: left
//!          0/          ╲1
//!   24 + 11 ═ 35       ◦ 12                     bit 1 is 0: left; bit 2 is 1, but all leaves here have 0: flipped
//!    0/        ╲1
//!  leaf 11     ◦ 24                             bit 3 is 0: the closest leaf, weight 11
//! ```
//! A prover that could choose the leaf would need only one honest relay. [`Rule::Strict`] therefore demands that each
//! skipped side is shown to be empty; [`Rule::Network`] has the outcomes that existing chains agree on.
//!
//! The same as an illustrated talk of five pages: `docs/` in this crate's folder.
//!
//! # Where to begin
//! | for | use |
//! |---|---|
//! | relays of an open session: less than 100 bytes per leaf, values elsewhere | [`LeafSet`] |
//! | state with many versions: persistent, `clone` is O(1); a block's changes in one descent | [`Trie`], [`Trie::apply`] |
//! | the root of leaves at hand, once | [`root_of`] |
//! | proving that a leaf is there, or is not | [`Proof`] |
//! | proving the leaf closest to a path that nobody could choose | [`ClosestProof`], [`Rule`] |
//! | the bytes of a proof on chain | [`CompactClosestProof`], [`gob`] |
//! | looking at a trie: text, Graphviz, a picture, a page | [`render`] |
//!
//! Budgets, for a million leaves on one core: insert 0.3 µs, root 1 s, closest proof 20 µs. Benchmarks: `cargo bench -p
//! portico-smst`; bytes per leaf: `tests/memory.rs`.
//!
//! Invariants:
//! - A root depends on the set of leaves alone: not on order, repeats, deletions, or which holder computes it.
//!   So do the proofs. (Other implementations leave a trace of history in one place: path bits outside the bounds
//!   of a stored extension. Verifiers ignore them; ours are zero.)
//! - Any bytes may be passed to what reads or verifies; the answer is an error, never a panic.
//! - What we prove satisfies both the network's rule and the strict one.
//!
//! Deliberately absent: storage of nodes (a trie is rebuilt from its leaves), value hashers (pass the hash), and
//! I/O of any kind. Start reading at [`Trie`], then `walk.rs`, which makes every proof.
//!
//! ```
//! use portico_smst::{CompactClosestProof, LeafSet, Path, Rule, Sum};
//!
//! // A servicer records relays; the values stay in its log.
//! let log = [b"relay 0".to_vec(), b"relay 1".to_vec(), b"relay 2".to_vec()];
//! let mut session = LeafSet::new(20); // compute units of one relay
//! for (seq, relay) in (0..).zip(&log) {
//!     let relay_hash = Path::of_key(relay); // SHA-256 of the relay is the key, and
//!     let path = Path::of_key(relay_hash.as_ref()); // SHA-256 of the key is the path
//!     assert!(session.insert(path, LeafSet::hash_leaf(&path, relay, 20), seq));
//! }
//! let claimed = session.root();
//! assert_eq!((claimed.sum(), claimed.count()), (60, 3));
//!
//! // Later the chain names a path, and the servicer proves the closest leaf.
//! let asked = Path::of_key(b"hash of a later block");
//! let proof = session.prove_closest(&asked, |leaf| log.get(leaf.seq as usize).cloned())?;
//! let bytes = proof.compact::<Sum>()?.to_gob();
//!
//! // The chain verifies.
//! let proved = CompactClosestProof::from_gob(&bytes)?.verify::<Sum>(Rule::Strict, &claimed, &asked)?;
//! assert_eq!(proved.weight::<Sum>(), Some(20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::arithmetic_side_effects)]

mod closest;
mod compact;
mod error;
pub mod gob;
mod leaf_set;
mod node;
mod path;
mod proof;
pub mod render;
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

/// The pages of `docs/`: their code runs as documentation tests.
#[cfg(doctest)]
mod talk {
    #[doc = include_str!("../docs/1-a-set-in-one-hash.md")]
    struct ASetInOneHash;
    #[doc = include_str!("../docs/2-why-sums.md")]
    struct WhySums;
    #[doc = include_str!("../docs/3-proofs.md")]
    struct Proofs;
    #[doc = include_str!("../docs/4-the-closest-leaf.md")]
    struct TheClosestLeaf;
    #[doc = include_str!("../docs/5-on-chain.md")]
    struct OnChain;
}
