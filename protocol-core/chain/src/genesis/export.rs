//! A genesis from what the network's own program exports (`pocketd export`), or from one that it begins with.
//!
//! ```text
//! export ─► params, accounts, services, actors ─► as they are
//!        └► delegations, and stakes that cannot go on ─► back to their accounts
//! ```
//! The sum of all tokens stays what it was. What the first block of a chain cannot have, such as claims, unbonding and the past of params, is
//! left out and told in [`Exported::notes`]. Validators are not taken over: nobody else has their keys.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use portico_protocol::settlement::by_weight;
use portico_protocol::tx::module_address;
use portico_protocol::{Address, ServiceId, Upokt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::file::{
    Genesis, GenesisAccount, GenesisApplication, GenesisEndpoint, GenesisError, GenesisGateway,
    GenesisRevShare, GenesisService, GenesisSupplier, GenesisSupplierService,
};
use super::params::GenesisParams;

/// What an export holds.
#[derive(Clone, Debug)]
pub struct Exported {
    /// A genesis without validators.
    pub genesis: Genesis,
    /// What module `migration` holds, as it was exported: our chain has no such module, and keeps it for whoever needs it.
    pub migration: Value,
    /// What was left out or changed, for people.
    pub notes: Vec<String>,
}

/// Reads an export; `genesis_time_ms` and `chain_id` are the new chain's. Errs with the place of what is malformed.
pub fn read(export: &Value, chain_id: &str, genesis_time_ms: u64) -> Result<Exported, GenesisError> {
    let state = at(export, "app_state")?;
    let mut import = Import {
        state,
        balances: balances(state)?,
        notes: Vec::new(),
    };
    let params = import.params()?;
    let services = import.services()?;
    let known: Vec<&ServiceId> = services.iter().map(|service| &service.id).collect();
    let gateways = import.gateways(&params)?;
    let applications = import.applications(&params, &known, &gateways)?;
    let suppliers = import.suppliers(&params, &known)?;
    import.delegations()?;
    import.left_out();
    let accounts = import.accounts()?;
    Ok(Exported {
        genesis: Genesis {
            chain_id: chain_id.to_owned(),
            genesis_time_ms,
            params,
            validators: Vec::new(),
            accounts,
            services,
            gateways,
            applications,
            suppliers,
        },
        migration: state.get("migration").cloned().unwrap_or_default(),
        notes: import.notes,
    })
}

struct Import<'a> {
    state: &'a Value,
    /// Free tokens by account, to which stakes return that cannot go on.
    balances: BTreeMap<Address, Upokt>,
    notes: Vec<String>,
}

fn refuse(text: impl Into<String>) -> GenesisError {
    GenesisError(text.into())
}

fn at<'a>(value: &'a Value, name: &str) -> Result<&'a Value, GenesisError> {
    value
        .get(name)
        .ok_or_else(|| refuse(format!("the export has no {name}")))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A whole number, which Go writes as a text or as a number.
fn number<T: std::str::FromStr>(value: &Value, name: &str) -> Result<T, GenesisError> {
    let shown = match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        other => other.to_string(),
    };
    let malformed = |_| refuse(format!("{name}: {shown:?} is not a whole number in range"));
    shown.parse().map_err(malformed)
}

fn address(value: &Value, name: &str) -> Result<Address, GenesisError> {
    let shown = text(value, name);
    let malformed = |_| refuse(format!("{name}: {shown:?} is not an address"));
    shown.parse().map_err(malformed)
}

fn service_id(value: &Value, name: &str) -> Result<ServiceId, GenesisError> {
    let shown = text(value, name);
    ServiceId::new(shown).map_err(|error| refuse(format!("{name}: {shown:?}: {error}")))
}

/// A coin's amount; 0 for none.
fn coin(value: &Value) -> Result<Upokt, GenesisError> {
    match text(value, "denom") {
        "" | "upokt" => Ok(Upokt(number(value, "amount")?)),
        other => Err(refuse(format!("a coin of {other:?}: only upokt is known"))),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A list that the program writes by one of two names.
fn either<'a>(value: &'a Value, names: [&str; 2]) -> impl Iterator<Item = &'a Value> {
    let [first, second] = names.map(|name| list(&value[name]));
    first.iter().chain(second)
}

fn balances(state: &Value) -> Result<BTreeMap<Address, Upokt>, GenesisError> {
    let mut balances = BTreeMap::new();
    for item in list(&state["bank"]["balances"]) {
        let mut sum = 0_u128;
        for one in list(&item["coins"]) {
            // Tokens of other denominations, of a bridge say, have no place on our chain.
            if text(one, "denom") == "upokt" {
                sum = sum.saturating_add(coin(one)?.0);
            }
        }
        balances.insert(address(item, "address")?, Upokt(sum));
    }
    Ok(balances)
}

/// Params as our types read them: numbers as numbers, coins by their amount. The grid's anchor is that of a new chain.
fn relaxed(params: &Value) -> Result<Map<String, Value>, GenesisError> {
    let mut fields = Map::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        if name.starts_with("session_grid_anchor") || name.starts_with("session_number_at_anchor") {
            continue;
        }
        let value = match value {
            Value::Object(of) if of.contains_key("amount") => {
                serde_json::to_value(coin(value)?).map_err(|error| refuse(format!("{name}: {error}")))?
            }
            Value::String(text) => text.parse::<u64>().map_or_else(|_| value.clone(), Value::from),
            other => other.clone(),
        };
        fields.insert(name.clone(), value);
    }
    Ok(fields)
}

fn params_of<T: DeserializeOwned>(state: &Value, module: &str) -> Result<T, GenesisError> {
    let fields = relaxed(&state[module]["params"])?;
    let malformed = |error| refuse(format!("params of {module}: {error}"));
    serde_json::from_value(Value::Object(fields)).map_err(malformed)
}

impl Import<'_> {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Gives tokens that a pool held back to `to`.
    fn return_to(&mut self, to: Address, amount: Upokt) {
        let balance = self.balances.entry(to).or_default();
        balance.0 = balance.0.saturating_add(amount.0);
    }

    /// Takes tokens out of a module's pool: as stakes they are put there again.
    fn take(&mut self, pool: &str, amount: Upokt) -> Result<(), GenesisError> {
        let balance = self.balances.entry(module_address(pool)).or_default();
        let Some(rest) = balance.0.checked_sub(amount.0) else {
            return Err(refuse(format!(
                "the account of {pool} holds less than what is staked there"
            )));
        };
        *balance = Upokt(rest);
        Ok(())
    }

    fn params(&self) -> Result<GenesisParams, GenesisError> {
        let of = |module: &str| &self.state[module]["params"];
        Ok(GenesisParams {
            authority: None,
            features: Vec::new(),
            shared: params_of(self.state, "shared")?,
            num_suppliers_per_session: number(of("session"), "num_suppliers_per_session")?,
            max_delegated_gateways: number(of("application"), "max_delegated_gateways")?,
            application_min_stake: coin(&of("application")["min_stake"])?,
            gateway_min_stake: coin(&of("gateway")["min_stake"])?,
            supplier_min_stake: coin(&of("supplier")["min_stake"])?,
            supplier_staking_fee: coin(&of("supplier")["staking_fee"])?,
            add_service_fee: coin(&of("service")["add_service_fee"])?,
            target_num_relays: number(of("service"), "target_num_relays")?,
            proof: params_of(self.state, "proof")?,
            tokenomics: params_of(self.state, "tokenomics")?,
        })
    }

    fn services(&mut self) -> Result<Vec<GenesisService>, GenesisError> {
        let mut services = Vec::new();
        let mut cards = 0_usize;
        for item in either(&self.state["service"], ["service_list", "serviceList"]) {
            cards = cards.saturating_add(usize::from(!item["metadata"].is_null()));
            services.push(GenesisService {
                id: service_id(item, "id")?,
                name: text(item, "name").to_owned(),
                compute_units_per_relay: number(item, "compute_units_per_relay")?,
                owner: address(item, "owner_address")?,
            });
        }
        if cards > 0 {
            self.note(format!("metadata of {cards} services is left out"));
        }
        Ok(services)
    }

    /// Whether a stake goes on; otherwise it returns to its owner.
    fn goes_on(
        &mut self,
        pool: &str,
        item: &Value,
        owner: Address,
        stake: Upokt,
        why_not: Option<String>,
    ) -> Result<bool, GenesisError> {
        self.take(pool, stake)?;
        let leaving = number::<u64>(item, "unstake_session_end_height")? > 0;
        let why_not = leaving.then(|| "it was unstaking".to_owned()).or(why_not);
        let Some(reason) = why_not else {
            return Ok(true);
        };
        self.return_to(owner, stake);
        self.note(format!(
            "{pool} {owner}: {reason}, so its stake of {stake} returned to it"
        ));
        Ok(false)
    }

    fn gateways(&mut self, params: &GenesisParams) -> Result<Vec<GenesisGateway>, GenesisError> {
        let mut gateways = Vec::new();
        for item in either(&self.state["gateway"], ["gateway_list", "gatewayList"]) {
            let (address, stake) = (address(item, "address")?, coin(&item["stake"])?);
            let low = below(stake, params.gateway_min_stake);
            if self.goes_on("gateway", item, address, stake, low)? {
                gateways.push(GenesisGateway { address, stake });
            }
        }
        Ok(gateways)
    }

    fn applications(
        &mut self,
        params: &GenesisParams,
        known: &[&ServiceId],
        gateways: &[GenesisGateway],
    ) -> Result<Vec<GenesisApplication>, GenesisError> {
        let mut applications = Vec::new();
        for item in either(
            &self.state["application"],
            ["application_list", "applicationList"],
        ) {
            let (owner, stake) = (address(item, "address")?, coin(&item["stake"])?);
            let configs = list(&item["service_configs"]);
            let service = configs
                .first()
                .map(|config| service_id(config, "service_id"))
                .transpose()?;
            let unknown = match &service {
                Some(id) if known.contains(&id) => None,
                Some(id) => Some(format!("its service {id} does not exist")),
                None => Some("it has no service".to_owned()),
            };
            let why_not = below(stake, params.application_min_stake).or(unknown);
            if !self.goes_on("application", item, owner, stake, why_not)? {
                continue;
            }
            let mut delegatees = Vec::new();
            for delegatee in list(&item["delegatee_gateway_addresses"]) {
                let shown = delegatee.as_str().unwrap_or_default();
                let delegatee: Address = shown.parse().map_err(|_| {
                    refuse(format!(
                        "delegatee_gateway_addresses: {shown:?} is not an address"
                    ))
                })?;
                if gateways.iter().any(|gateway| gateway.address == delegatee) {
                    delegatees.push(delegatee);
                }
            }
            for (field, what) in [
                ("pending_transfer", "its transfer to another account"),
                ("per_session_spend_limit", "its spend limit"),
            ] {
                if !item[field].is_null() {
                    self.note(format!("application {owner}: {what} is left out"));
                }
            }
            if let Some(service_id) = service {
                applications.push(GenesisApplication {
                    address: owner,
                    stake,
                    service_id,
                    delegatees,
                });
            }
        }
        Ok(applications)
    }

    fn suppliers(
        &mut self,
        params: &GenesisParams,
        known: &[&ServiceId],
    ) -> Result<Vec<GenesisSupplier>, GenesisError> {
        let mut suppliers = Vec::new();
        for item in either(&self.state["supplier"], ["supplier_list", "supplierList"]) {
            let (owner, stake) = (address(item, "owner_address")?, coin(&item["stake"])?);
            let configs = list(&item["services"]);
            let services: Vec<_> = configs.iter().map(supplied).collect::<Result<_, _>>()?;
            let unknown = services
                .iter()
                .find(|service| !known.contains(&&service.service_id));
            let why_not = below(stake, params.supplier_min_stake)
                .or_else(|| services.is_empty().then(|| "it serves nothing".to_owned()))
                .or_else(|| {
                    unknown.map(|service| format!("its service {} does not exist", service.service_id))
                });
            if self.goes_on("supplier", item, owner, stake, why_not)? {
                suppliers.push(GenesisSupplier {
                    owner,
                    operator: address(item, "operator_address")?,
                    stake,
                    services,
                });
            }
        }
        Ok(suppliers)
    }

    /// Delegated and unbonding tokens return to who delegated them.
    fn delegations(&mut self) -> Result<(), GenesisError> {
        let staking = &self.state["staking"];
        let mut count = 0_usize;
        for validator in list(&staking["validators"]) {
            let tokens = Upokt(number(validator, "tokens")?);
            let pool = match text(validator, "status") {
                "BOND_STATUS_BONDED" => "bonded_tokens_pool",
                _ => "not_bonded_tokens_pool",
            };
            let operator = text(validator, "operator_address");
            let mut shares = BTreeMap::new();
            for delegation in list(&staking["delegations"]) {
                if text(delegation, "validator_address") == operator {
                    let delegator = address(delegation, "delegator_address")?;
                    shares.insert(delegator.to_string(), decimal(text(delegation, "shares"))?);
                }
            }
            let parts = by_weight(tokens, &shares);
            let parts = parts.map_err(|error| refuse(format!("delegations to {operator}: {error}")))?;
            for (delegator, amount) in parts {
                self.take(pool, amount)?;
                let malformed = |_| refuse(format!("{delegator:?} is not an address"));
                self.return_to(delegator.parse().map_err(malformed)?, amount);
                count = count.saturating_add(1);
            }
        }
        for unbonding in list(&staking["unbonding_delegations"]) {
            for entry in list(&unbonding["entries"]) {
                let amount = Upokt(number(entry, "balance")?);
                self.take("not_bonded_tokens_pool", amount)?;
                self.return_to(address(unbonding, "delegator_address")?, amount);
                count = count.saturating_add(1);
            }
        }
        if count > 0 {
            self.note(format!(
                "{count} delegations to validators returned to their accounts"
            ));
        }
        Ok(())
    }

    /// Tells what else there is.
    fn left_out(&mut self) {
        let of = |module: &str, name: &str| list(&self.state[module][name]).len();
        let counts = [
            ("claims", of("proof", "claim_list")),
            ("proofs", of("proof", "proof_list")),
            (
                "relay mining difficulties",
                of("service", "relayMiningDifficultyList"),
            ),
            ("authorizations", of("authz", "authorization")),
            ("fee allowances", of("feegrant", "allowances")),
        ];
        for (what, count) in counts {
            if count > 0 {
                self.note(format!("{count} {what} are left out"));
            }
        }
        self.note("numbers and sequences of accounts begin anew");
    }

    /// Every account with a balance or a key.
    fn accounts(&mut self) -> Result<Vec<GenesisAccount>, GenesisError> {
        let mut keys = BTreeMap::new();
        for item in list(&self.state["auth"]["accounts"]) {
            let key = &item["pub_key"];
            if !text(key, "@type").ends_with("secp256k1.PubKey") {
                continue; // none yet, of several keys, or of a module
            }
            let bytes = BASE64_STANDARD.decode(text(key, "key"));
            let bytes = bytes.map_err(|error| refuse(format!("pub_key: {error}")))?;
            keys.insert(address(item, "address")?, hex::encode(bytes));
        }
        let balances = std::mem::take(&mut self.balances);
        let mut accounts: BTreeMap<Address, GenesisAccount> = BTreeMap::new();
        let all = balances.keys().chain(keys.keys());
        for address in all {
            let account = GenesisAccount {
                address: *address,
                public_key: keys.get(address).cloned(),
                balance: balances.get(address).copied().unwrap_or_default(),
            };
            if account.balance.0 > 0 || account.public_key.is_some() {
                accounts.insert(*address, account);
            }
        }
        Ok(accounts.into_values().collect())
    }
}

fn below(stake: Upokt, least: Upokt) -> Option<String> {
    (stake < least).then(|| format!("it has less than {least} staked"))
}

fn supplied(item: &Value) -> Result<GenesisSupplierService, GenesisError> {
    let endpoint = |item: &Value| GenesisEndpoint {
        url: text(item, "url").to_owned(),
        rpc_type: text(item, "rpc_type").to_owned(),
    };
    let share = |item: &Value| {
        Ok(GenesisRevShare {
            address: address(item, "address")?,
            percentage: number(item, "rev_share_percentage")?,
        })
    };
    Ok(GenesisSupplierService {
        service_id: service_id(item, "service_id")?,
        url: String::new(),
        endpoints: list(&item["endpoints"]).iter().map(endpoint).collect(),
        rev_share: list(&item["rev_share"])
            .iter()
            .map(share)
            .collect::<Result<_, _>>()?,
    })
}

/// A decimal with 18 places, in units of the last.
fn decimal(text: &str) -> Result<u128, GenesisError> {
    let malformed = || refuse(format!("{text:?} is not a decimal"));
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    if places.len() > 18 {
        return Err(malformed());
    }
    format!("{whole}{places:0<18}").parse().map_err(|_| malformed())
}
