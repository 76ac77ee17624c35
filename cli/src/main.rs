//! The `portico` binary: one sub-command per role.

fn main() {}
