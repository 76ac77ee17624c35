//! The Engine trait and solo, the one-validator engine.
