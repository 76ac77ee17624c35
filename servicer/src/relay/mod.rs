//! One relay: checked, served, recorded.

pub(crate) mod recorder;
pub(crate) mod refusal;
pub(crate) mod serve;
pub(crate) mod verify;
