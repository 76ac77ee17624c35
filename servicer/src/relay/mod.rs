//! One relay: checked, served, recorded.

pub(crate) mod admittance;
pub(crate) mod bridge;
pub(crate) mod recorder;
pub(crate) mod recovery;
pub(crate) mod refusal;
pub(crate) mod relays;
pub(crate) mod replays;
pub(crate) mod serve;
pub(crate) mod served;
pub(crate) mod simulation;
pub(crate) mod sockets;
pub(crate) mod stream;
pub(crate) mod verify;
pub(crate) mod writer;
