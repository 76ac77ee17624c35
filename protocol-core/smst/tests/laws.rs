//! What holds for any set of leaves.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps nothing fails, as it should"
)]

mod laws {
    mod closest;
    mod given;
    mod proofs;
    mod tries;
}
