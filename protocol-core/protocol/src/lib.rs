//! Types, wire formats and rules of the relay protocol. Pure: no I/O, no clock, no OS randomness.
//!
//! ```text
//!   gateway                                      servicer
//!   http_payload ► relay::sign_request ══════════► relay::verify_request_signature     ring: application and its gateways
//!   relay::verify_response ◄══════════════════════ relay::sign_response                supplier's operator key
//!                                                  relay::MinedRelay ► difficulty ► leaf of the session's trie
//!   chain ◄── claim: root and sum ◄── proof: the branch that a later block's hash picks ── tx: signed and sent
//! ```
//!
//! What holds here:
//! - **Same bytes.** Whatever is hashed, signed or sent equals what the Go implementations make of it; their recorded data
//!   (`testdata/`) is the judge, and the tests go through all of it.
//! - **Bytes of strangers never panic.** Sizes are checked before work is done, and every refusal is a typed error.
//! - **Secrets are constant-time**, wiped on drop, and not in `Debug`. Verification is variable-time: it has no secrets.
//! - **Inputs are arguments**: heights, block hashes, randomness. The one thing kept between calls is a bounded cache of curve points
//!   in [`ring`], which changes no result.
//!
//! Not here: who is staked, what is delegated, when a claim is due. The chain keeps the first two, the servicer knows the third.
//!
//! Start reading at [`relay`]; [`session`] says which heights and suppliers belong together, [`ring`] how a member of a group signs.

// Arithmetic on value is checked.
#![warn(clippy::arithmetic_side_effects)]

mod causes;
pub mod claim;
pub mod difficulty;
pub mod http_payload;
pub mod keys;
pub mod proof;
pub mod receipt;
pub mod relay;
#[cfg(test)]
mod rules_vectors;
pub mod session;
pub mod settlement;
pub mod tx;
pub mod types;
#[cfg(test)]
mod vectors;
pub mod wire;

pub use causes::causes;
pub use keys::{PublicKey, SigningKey};
/// Ring signatures. Re-exported because errors, rings and prepared signatures are part of [`relay`]'s interface.
pub use portico_ring as ring;
pub use types::{Address, BlockHash, ComputeUnits, Height, ServiceId, Upokt};
