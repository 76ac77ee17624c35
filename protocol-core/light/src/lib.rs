//! A light client: it verifies headers of a chain from one that its user trusts, by the signatures of validators. Pure.
//!
//! ```text
//!  anchor (height, hash) ─► Session ── Step::Fetch { from, height } ──► the caller asks a node, by `rpc` or otherwise
//!                              ▲                                             │
//!                              └───────────── supply(block, now) ◄───────────┘
//!                              └─► Step::Done: the header, and those that led to it
//! ```
//! A header is verified as CometBFT's light clients do (`light/verifier.go`; the rules are `tendermint-light-client-verifier`'s): a third of
//! the validators that are trusted already, and two thirds of its own, signed it. Where too few are known, a header between is asked for
//! first. Then each witness, another node of the same chain, is asked for the same height: one that shows another header, which verifies
//! too, is proof of an attack ([`Error::Attack`], with the evidence against both sides).
//!
//! Invariants: nothing is trusted that was not verified from the anchor; a trusted header is one for the trusting period only; no way from a
//! header to a later one takes more than [`MAX_BLOCKS`] blocks; who lies or is silent is named. There are no sockets, no clock and no
//! threads in here: time is an argument.
//! [`LightClient`] runs sessions one after the other over whatever asks nodes for it ([`Ask`]).
//! Deliberately absent: headers below the anchor, storage of what was verified, and sockets: [`rpc`] only says what to ask.
//! Start reading at [`Session`], then [`LightClient`].

mod bisection;
mod block;
mod client;
mod evidence;
pub mod rpc;
mod session;
mod witness;

pub use bisection::{Fault, MAX_BLOCKS};
pub use block::{LightBlock, Options};
pub use client::{Ask, LightClient};
pub use evidence::Attack;
pub use session::{Anchor, Error, Session, Source, Step, Verified};
pub use tendermint;
pub use witness::WitnessFault;
