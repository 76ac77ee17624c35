//! Types, wire formats and rules of the relay protocol. Pure: no I/O, no clock, no OS randomness.

pub mod claim;
pub mod difficulty;
pub mod http_payload;
pub mod keys;
pub mod proof;
pub mod relay;
pub mod ring;
pub mod session;
pub mod settlement;
pub mod tx;
pub mod types;
pub mod wire;

pub use keys::{PublicKey, SigningKey};
pub use types::{Address, BlockHash, ComputeUnits, Height, ServiceId, Upokt};
