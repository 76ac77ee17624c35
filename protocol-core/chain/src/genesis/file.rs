//! Content of a genesis file.

use portico_protocol::{Address, PublicKey, ServiceId, Upokt};
use serde::{Deserialize, Serialize};

use super::params::GenesisParams;

/// Content of a genesis file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Chain id, which transactions commit to.
    pub chain_id: String,
    /// Time of the chain's beginning, milliseconds since 1970 UTC; the first block is later.
    pub genesis_time_ms: u64,
    /// Params of all modules.
    #[serde(default)]
    pub params: GenesisParams,
    /// Who makes blocks; at least one.
    pub validators: Vec<GenesisValidator>,
    /// Accounts with balance or known key.
    #[serde(default)]
    pub accounts: Vec<GenesisAccount>,
    /// Services.
    #[serde(default)]
    pub services: Vec<GenesisService>,
    /// Staked gateways.
    #[serde(default)]
    pub gateways: Vec<GenesisGateway>,
    /// Staked applications.
    #[serde(default)]
    pub applications: Vec<GenesisApplication>,
    /// Staked suppliers, active from the first block.
    #[serde(default)]
    pub suppliers: Vec<GenesisSupplier>,
}

/// A validator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// ed25519 consensus public key, 64 hexadecimal characters.
    pub consensus_public_key: String,
    /// Account that receives its rewards.
    pub account: Address,
    /// Bonded upokt: its weight in the distribution of rewards.
    pub tokens: Upokt,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Address.
    pub address: Address,
    /// Compressed secp256k1 public key, 66 hexadecimal characters. Accounts that sign relays before their first transaction need it.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Free balance.
    #[serde(default)]
    pub balance: Upokt,
}

impl GenesisAccount {
    /// An account whose key is known.
    #[must_use]
    pub fn new(key: &PublicKey, balance: Upokt) -> Self {
        let hex = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            address: key.address(),
            public_key: Some(hex),
            balance,
        }
    }
}

/// A service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisService {
    /// Id.
    pub id: ServiceId,
    /// Display name; may be empty.
    #[serde(default)]
    pub name: String,
    /// Weight of a relay.
    pub compute_units_per_relay: u64,
    /// Owner, who gets the source owner's share.
    pub owner: Address,
}

/// A staked gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisGateway {
    /// Address.
    pub address: Address,
    /// Stake.
    pub stake: Upokt,
}

/// A staked application.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisApplication {
    /// Address.
    pub address: Address,
    /// Stake.
    pub stake: Upokt,
    /// The service whose relays it pays for.
    pub service_id: ServiceId,
    /// Gateways that may sign for it.
    #[serde(default)]
    pub delegatees: Vec<Address>,
}

/// A staked supplier.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisSupplier {
    /// Who owns the stake.
    pub owner: Address,
    /// Who signs relays, claims and proofs.
    pub operator: Address,
    /// Stake.
    pub stake: Upokt,
    /// What it serves.
    pub services: Vec<GenesisSupplierService>,
}

/// A service of a supplier.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisSupplierService {
    /// Service.
    pub service_id: ServiceId,
    /// JSON-RPC endpoint that gateways post relays to; none when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Endpoints beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<GenesisEndpoint>,
    /// Who gets which percentage; everything to the owner when empty.
    #[serde(default)]
    pub rev_share: Vec<GenesisRevShare>,
}

/// Where a supplier takes relays of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisEndpoint {
    /// URL that gateways are to use.
    pub url: String,
    /// Kind: `GRPC`, `WEBSOCKET`, `JSON_RPC`, `REST` or `COMET_BFT`.
    pub rpc_type: String,
}

/// A share of a supplier's reward.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisRevShare {
    /// Receiver.
    pub address: Address,
    /// Percentage, 1 to 100.
    pub percentage: u64,
}

/// Why a genesis is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("genesis refused: {0}")]
pub struct GenesisError(pub String);
