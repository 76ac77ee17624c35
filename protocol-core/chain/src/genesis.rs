//! The first state: params, accounts, actors.
//!
//! A genesis is one JSON file. Stakes of actors are *added* to what their accounts hold: the supply is the sum of all balances and stakes.

mod actors;
mod build;
pub mod export;
mod file;
mod flags;
mod params;

pub(crate) use build::init;
#[cfg(test)]
pub(crate) use build::params as set_params;
pub use file::{
    Genesis, GenesisAccount, GenesisApplication, GenesisEndpoint, GenesisError, GenesisGateway,
    GenesisRevShare, GenesisService, GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
pub use flags::{GenesisFlag, GenesisFlagKind, GenesisFlagScope};
pub use params::{DistributionShares, GenesisParams, ProofParams, SharedParams, TokenomicsParams};
