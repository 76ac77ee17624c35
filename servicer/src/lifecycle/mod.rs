//! From the first relay of a session to its settlement.

pub(crate) mod driver;
pub(crate) mod funds;
pub(crate) mod next;
mod pack;
pub(crate) mod plan;
pub(crate) mod prove;
mod read_back;
pub(crate) mod remembered;
pub(crate) mod settlement;
pub(crate) mod steps;
pub(crate) mod submit;
