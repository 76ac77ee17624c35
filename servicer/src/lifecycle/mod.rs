//! From the first relay of a session to its settlement.

pub(crate) mod driver;
mod error;
pub(crate) mod funds;
mod missed;
pub(crate) mod next;
pub(crate) mod orders;
mod pack;
pub(crate) mod plan;
pub(crate) mod prove;
mod read_back;
pub(crate) mod remembered;
pub(crate) mod settlement;
pub(crate) mod steps;
pub(crate) mod submit;
