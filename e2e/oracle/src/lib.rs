//! Second opinions: random cases that the Go libraries check and answer, and tables of what ours and theirs cost.
//!
//! ```text
//!   oracle make ──cases──► e2e/go: builds, verifies, compares ──cases of its own──► oracle check
//! ```
//! A line is a case ([`case::Case`]); whoever reads it rebuilds all of it with its own library. The first line that disagrees ends the
//! run, and is printed with its seed. `e2e/second-opinion` runs both.

pub mod bench;
pub mod case;
pub mod count;
pub mod estimates;
pub mod sign;
pub mod trie;
