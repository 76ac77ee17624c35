//! From the first relay of a session to its settlement.

pub(crate) mod driver;
pub(crate) mod next;
pub(crate) mod prove;
pub(crate) mod settlement;
mod steps;
pub(crate) mod submit;
