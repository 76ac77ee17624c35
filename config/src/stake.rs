//! Stake files: what `pocketd tx supplier stake-supplier --config FILE` and its siblings read.
//!
//! ```yaml
//! owner_address: pokt1…
//! operator_address: pokt1…            # the owner when left out
//! stake_amount: 60000000000upokt
//! default_rev_share_percent: {pokt1…: 80, pokt1…: 20}     # the owner 100 when left out
//! services:
//!   - service_id: eth
//!     endpoints:
//!       - {publicly_exposed_url: "https://relay.example", rpc_type: json_rpc}
//! ```
//! The chain takes services from the operator only: a file without `services` is for the owner, who changes the stake or the owner.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::{Address, ServiceId, Upokt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::load::{Config, Faults};

/// A supplier's stake file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupplierStake {
    /// Owner, who gets the stake back.
    #[schemars(with = "String")]
    pub owner_address: Address,
    /// Operator, whose key signs relays and claims. Default: the owner.
    #[schemars(with = "Option<String>")]
    pub operator_address: Option<Address>,
    /// Stake, e.g. `60000000000upokt`; left out, the stake on chain stays as it is.
    pub stake_amount: Option<Amount>,
    /// Percent of the revenue by address, for services that say nothing else; they add up to 100. Default: all to the owner.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub default_rev_share_percent: BTreeMap<Address, u64>,
    /// Services; the chain takes them from the operator only. Empty: they stay as they are.
    #[serde(default)]
    pub services: Vec<StakedService>,
}

/// A service of a supplier's stake file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StakedService {
    /// Service id.
    #[schemars(with = "String")]
    pub service_id: ServiceId,
    /// Percent of the service's revenue by address; they add up to 100. Default: `default_rev_share_percent`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub rev_share_percent: BTreeMap<Address, u64>,
    /// Where gateways send relays; at least one.
    pub endpoints: Vec<StakedEndpoint>,
}

/// An endpoint of a supplier's stake file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StakedEndpoint {
    /// `http`, `https`, `ws` or `wss` URL that gateways reach.
    pub publicly_exposed_url: String,
    /// `json_rpc`, `rest`, `websocket`, `grpc` or `comet_bft`, in any case.
    pub rpc_type: StakedRpcType,
    /// Options that the chain keeps with the endpoint.
    #[serde(default)]
    pub config: EndpointOptions,
}

/// Options of an endpoint.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointOptions {
    /// Time-out, as the chain keeps it: a text.
    pub timeout: Option<String>,
}

/// RPC type of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StakedRpcType {
    /// gRPC
    Grpc,
    /// WebSocket
    Websocket,
    /// JSON-RPC
    JsonRpc,
    /// REST
    Rest,
    /// CometBFT's RPC
    CometBft,
}

/// An application's stake file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationStake {
    /// Stake, e.g. `1000000upokt`; more than before on a change.
    pub stake_amount: Amount,
    /// Services; the chain takes exactly one.
    #[schemars(with = "Vec<String>")]
    pub service_ids: Vec<ServiceId>,
    /// Gateways that may sign its relays; those that the chain has too are left alone.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub gateway_addresses: Vec<Address>,
    /// Most that one session may cost, e.g. `2000000upokt`; `0upokt` takes a limit away.
    pub per_session_spend_limit: Option<Amount>,
}

/// A gateway's stake file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayStake {
    /// Stake, e.g. `5000000000upokt`; more than before on a change.
    pub stake_amount: Amount,
}

/// An amount as stake files have it: `1000000upokt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Upokt);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_suffix("upokt").map(str::trim);
        let amount = digits.filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
        let amount = amount.and_then(|digits| digits.parse::<u64>().ok());
        amount.map(|amount| Self(Upokt(amount.into()))).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is no amount: a whole number and upokt, e.g. 1000000upokt"
            ))
        })
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+upokt$", "description": "A whole number and upokt, e.g. 1000000upokt." })
    }
}

impl StakedRpcType {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("grpc", Self::Grpc),
        ("websocket", Self::Websocket),
        ("json_rpc", Self::JsonRpc),
        ("rest", Self::Rest),
        ("comet_bft", Self::CometBft),
    ];

    /// Number of `pocket.shared.RPCType`.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Grpc => 1,
            Self::Websocket => 2,
            Self::JsonRpc => 3,
            Self::Rest => 4,
            Self::CometBft => 5,
        }
    }
}

impl<'de> Deserialize<'de> for StakedRpcType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.to_ascii_lowercase();
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            serde::de::Error::custom(format!("{text:?} is no RPC type: {names}"))
        })
    }
}

impl JsonSchema for StakedRpcType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StakedRpcType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::ALL.map(|(name, _)| name) })
    }
}

impl SupplierStake {
    /// The operator, who is the owner when the file names none.
    #[must_use]
    pub fn operator(&self) -> Address {
        self.operator_address.unwrap_or(self.owner_address)
    }

    /// Revenue shares of `service`, by address; the first takes what percentages leave over.
    #[must_use]
    pub fn shares(&self, service: &StakedService) -> BTreeMap<Address, u64> {
        let stated = [&service.rev_share_percent, &self.default_rev_share_percent];
        let shares = stated.into_iter().find(|shares| !shares.is_empty());
        shares
            .cloned()
            .unwrap_or_else(|| [(self.owner_address, 100)].into())
    }
}

impl Config for SupplierStake {
    fn validate(&self, faults: &mut Faults) {
        check_shares(
            "default_rev_share_percent",
            &self.default_rev_share_percent,
            faults,
        );
        check_stake(self.stake_amount, faults);
        faults.expect(
            self.stake_amount.is_some() || !self.services.is_empty(),
            "",
            "it changes nothing: neither stake_amount nor services",
        );
        let mut seen = BTreeSet::new();
        for (index, service) in self.services.iter().enumerate() {
            let key = format!("services[{index}]");
            let again = !seen.insert(&service.service_id);
            faults.expect(
                !again,
                &format!("{key}.service_id"),
                "the service is listed twice",
            );
            check_shares(
                &format!("{key}.rev_share_percent"),
                &service.rev_share_percent,
                faults,
            );
            faults.expect(
                !service.endpoints.is_empty(),
                &format!("{key}.endpoints"),
                "at least one is needed",
            );
            for (index, endpoint) in service.endpoints.iter().enumerate() {
                faults.expect(
                    is_endpoint(&endpoint.publicly_exposed_url),
                    &format!("{key}.endpoints[{index}].publicly_exposed_url"),
                    "must be an http, https, ws or wss URL with a host",
                );
            }
        }
    }
}

impl Config for ApplicationStake {
    fn validate(&self, faults: &mut Faults) {
        check_stake(Some(self.stake_amount), faults);
        faults.expect(
            self.service_ids.len() == 1,
            "service_ids",
            "the chain takes exactly one",
        );
    }
}

impl Config for GatewayStake {
    fn validate(&self, faults: &mut Faults) {
        check_stake(Some(self.stake_amount), faults);
    }
}

fn check_stake(amount: Option<Amount>, faults: &mut Faults) {
    let zero = amount.is_some_and(|amount| amount.0.0 == 0);
    faults.expect(!zero, "stake_amount", "must be above 0");
}

fn check_shares(key: &str, shares: &BTreeMap<Address, u64>, faults: &mut Faults) {
    if shares.is_empty() {
        return;
    }
    let sum = shares
        .values()
        .fold(0_u64, |sum, share| sum.saturating_add(*share));
    faults.expect(sum == 100, key, format!("the shares add up to {sum}, not to 100"));
    let in_range = shares.values().all(|share| (1..=100).contains(share));
    faults.expect(in_range, key, "each share must be 1 to 100");
}

fn is_endpoint(url: &str) -> bool {
    let http = url.strip_prefix("ws").map(|rest| format!("http{rest}"));
    crate::chain::has_host(http.as_deref().unwrap_or(url))
}

#[cfg(test)]
mod tests;
