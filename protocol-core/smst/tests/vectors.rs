//! All cases of `smst.json` and `smt.json`: what the Go library makes of tries, proofs and bytes.
//!
//! Each case is a test of its own, named `FILE/SECTION/NUMBER CASE`, so that one can be picked out:
//! ```text
//! cargo test -p portico-smst --test vectors -- --nocapture            lists each case by name
//! cargo test -p portico-smst --test vectors -- smst.json/closest/     runs some
//! PORTICO_VECTORS=folder cargo test -p portico-smst --test vectors    other files of the same shape
//! ```
//! Each section of a file has its own module. A section or field that is not known here fails the run, and
//! nothing depends on how many cases there are or what they are called.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps nothing fails, as it should"
)]

mod vectors {
    pub(crate) mod cases;
    pub(crate) mod closest;
    pub(crate) mod file;
    pub(crate) mod gob;
    pub(crate) mod kind;
    pub(crate) mod membership;
    pub(crate) mod sequences;
    pub(crate) mod shape;
    pub(crate) mod tampered;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, FormatSetting};
use portico_smst::{Plain, Sum};
use vectors::cases::Cases;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.format.is_none() && !arguments.nocapture {
        arguments.format = Some(FormatSetting::Terse);
    }
    let mut cases = Cases::default();
    cases.add_file::<Sum>("smst.json");
    cases.add_file::<Plain>("smt.json");
    cases.run(&arguments)
}
