//! What would be sent, and what is in the way. Pure: files, keys and what the chain has go in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use portico_config::stake::{StakedService, SupplierStake};
use portico_protocol::tx::pack;
use portico_protocol::wire::pocket::shared::{
    ConfigOption, ConfigOptions, ServiceRevenueShare, Supplier, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::{MsgStakeSupplier, MsgUnstakeSupplier};
use portico_protocol::{Address, ServiceId, Upokt};
use prost_types::Any;

use super::Verb;

/// A stake file that was read.
pub(super) struct Wanted {
    pub(super) file: PathBuf,
    pub(super) stake: SupplierStake,
}

/// What the chain has.
#[derive(Default)]
pub(super) struct OnChain {
    pub(super) min_stake: Upokt,
    pub(super) staking_fee: Upokt,
    pub(super) suppliers: BTreeMap<Address, Supplier>,
    /// Services of the files that exist.
    pub(super) services: BTreeSet<ServiceId>,
}

/// A message to send.
pub(super) struct Step {
    pub(super) operator: Address,
    pub(super) signer: Address,
    pub(super) message: Any,
    /// What the signer pays: raised stake and staking fee.
    pub(super) pays: Upokt,
    verb: Verb,
}

/// What a supplier's file would change.
pub(super) struct Change {
    pub(super) operator: Address,
    pub(super) file: PathBuf,
    /// `new`, `change`, `same`, `unstake`.
    pub(super) kind: &'static str,
    /// One line each.
    pub(super) lines: Vec<String>,
    pub(super) signer: Option<Address>,
    pub(super) pays: Upokt,
    /// What goes back to the owner.
    pub(super) returned: Upokt,
    /// What is in the way.
    pub(super) faults: Vec<String>,
}

/// The plan.
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
    /// Per signer: what it holds, and what it pays in all.
    pub(super) accounts: BTreeMap<Address, (Upokt, Upokt)>,
    account_faults: Vec<String>,
}

impl Step {
    pub(super) const fn done(&self) -> &'static str {
        match self.verb {
            Verb::Stake => "staked",
            Verb::Unstake => "unstaked",
        }
    }
}

impl Plan {
    pub(super) fn new(verb: Verb, wanted: &[Wanted], known: &OnChain, keys: &BTreeSet<Address>) -> Self {
        let mut plan = Self {
            changes: Vec::new(),
            steps: Vec::new(),
            accounts: BTreeMap::new(),
            account_faults: Vec::new(),
        };
        for one in wanted {
            let old = known.suppliers.get(&one.stake.operator());
            let (change, message) = match verb {
                Verb::Stake => stake(one, old, known, keys),
                Verb::Unstake => unstake(one, old, keys),
            };
            if let (Some(message), Some(signer), true) = (message, change.signer, change.faults.is_empty()) {
                plan.steps.push(Step {
                    operator: change.operator,
                    signer,
                    message,
                    pays: change.pays,
                    verb,
                });
            }
            plan.changes.push(change);
        }
        plan
    }

    /// Notes that `signer` holds `balance`, and pays `fees` for its transactions.
    pub(super) fn holds(&mut self, signer: Address, balance: Upokt, fees: Upokt) {
        let steps = self.steps.iter().filter(|step| step.signer == signer);
        let pays = steps.fold(fees.0, |sum, step| sum.saturating_add(step.pays.0));
        if pays > balance.0 {
            self.account_faults.push(format!(
                "{signer} holds {balance} and would pay {}: send it {} more",
                Upokt(pays),
                Upokt(pays - balance.0)
            ));
        }
        self.accounts.insert(signer, (balance, Upokt(pays)));
    }

    /// Everything that is in the way.
    pub(super) fn faults(&self) -> Vec<String> {
        let of_change = |change: &Change| {
            let (file, operator) = (change.file.display().to_string(), change.operator);
            let faults = change.faults.iter();
            faults
                .map(|fault| format!("{file}: supplier {operator}: {fault}"))
                .collect::<Vec<_>>()
        };
        let found = self.changes.iter().flat_map(of_change);
        found.chain(self.account_faults.iter().cloned()).collect()
    }
}

fn change(one: &Wanted, kind: &'static str) -> Change {
    Change {
        operator: one.stake.operator(),
        file: one.file.clone(),
        kind,
        lines: Vec::new(),
        signer: None,
        pays: Upokt(0),
        returned: Upokt(0),
        faults: Vec::new(),
    }
}

fn stake(
    one: &Wanted,
    old: Option<&Supplier>,
    known: &OnChain,
    keys: &BTreeSet<Address>,
) -> (Change, Option<Any>) {
    let wanted = &one.stake;
    let mut change = change(one, if old.is_some() { "change" } else { "new" });
    let before = old
        .and_then(|old| old.stake.as_ref())
        .and_then(|coin| Upokt::try_from(coin).ok())
        .unwrap_or_default();
    let after = wanted.stake_amount.map_or(before, |amount| amount.0);
    let unbonding = old.is_some_and(|old| old.unstake_session_end_height > 0);
    let new_owner = old.is_some_and(|old| old.owner_address != wanted.owner_address.to_string());
    let services: Vec<SupplierServiceConfig> = wanted
        .services
        .iter()
        .map(|service| config(wanted, service))
        .collect();
    if before != after {
        change.lines.push(match old {
            Some(_) => format!("stake {before} -> {after}"),
            None => format!("stake {after}"),
        });
    }
    if let Some(old) = old.filter(|_| new_owner) {
        change
            .lines
            .push(format!("owner {} -> {}", old.owner_address, wanted.owner_address));
    }
    if unbonding {
        change.lines.push("unbonding is cancelled".to_owned());
    }
    let staked = old.map(staked_services).unwrap_or_default();
    let new_services = !services.is_empty() && !same(&staked, &services);
    if new_services {
        compare(&staked, &services, &mut change.lines);
    }
    for service in wanted
        .services
        .iter()
        .filter(|service| !known.services.contains(&service.service_id))
    {
        change
            .faults
            .push(format!("service {} does not exist on chain", service.service_id));
    }
    if old.is_none() && wanted.stake_amount.is_none() {
        change
            .faults
            .push("it is not staked: the file needs stake_amount".to_owned());
    } else if after < known.min_stake {
        change
            .faults
            .push(format!("the chain takes stakes from {} on", known.min_stake));
    }
    if before == after && !new_owner && !unbonding && !new_services {
        change.kind = "same";
        return (change, None);
    }
    let owner = old.map_or_else(
        || wanted.owner_address.to_string(),
        |old| old.owner_address.clone(),
    );
    let owner_only = new_owner || unbonding;
    let signer = signer(
        wanted.operator(),
        &owner,
        new_services,
        owner_only,
        keys,
        &mut change.faults,
    );
    change.signer = signer;
    change.returned = Upokt(before.0.saturating_sub(after.0));
    change.pays = Upokt(
        after
            .0
            .saturating_sub(before.0)
            .saturating_add(known.staking_fee.0),
    );
    let message = signer.map(|signer| {
        pack(&MsgStakeSupplier {
            signer: signer.to_string(),
            owner_address: wanted.owner_address.to_string(),
            operator_address: wanted.operator().to_string(),
            stake: Some(after.into()),
            services: if new_services { services } else { Vec::new() },
        })
    });
    (change, message)
}

/// Only the operator may set services; only the owner may change the owner or cancel unbonding; either may change the stake.
fn signer(
    operator: Address,
    owner: &str,
    services: bool,
    owner_only: bool,
    keys: &BTreeSet<Address>,
    faults: &mut Vec<String>,
) -> Option<Address> {
    let owner: Option<Address> = owner.parse().ok();
    if services && owner_only && owner != Some(operator) {
        let what = "the owner must sign for a new owner or the end of unbonding, the operator for services: make two files of it, the owner's \
                    without services";
        faults.push(what.to_owned());
        return None;
    }
    let candidates = match (services, owner_only) {
        (true, _) => vec![Some(operator)],
        (_, true) => vec![owner],
        _ => vec![Some(operator), owner],
    };
    let found = candidates
        .iter()
        .flatten()
        .find(|address| keys.contains(address))
        .copied();
    if found.is_none() {
        let names: Vec<String> = candidates.iter().flatten().map(Address::to_string).collect();
        faults.push(format!(
            "the key of {} is not among those named with --keys and --from",
            names.join(" or ")
        ));
    }
    found
}

fn unstake(one: &Wanted, old: Option<&Supplier>, keys: &BTreeSet<Address>) -> (Change, Option<Any>) {
    let mut change = change(one, "unstake");
    let Some(old) = old else {
        change.kind = "same";
        change.lines.push("not staked".to_owned());
        return (change, None);
    };
    if old.unstake_session_end_height > 0 {
        change.kind = "same";
        change.lines.push(format!(
            "unbonding already, after the session that ends at {}",
            old.unstake_session_end_height
        ));
        return (change, None);
    }
    let operator = one.stake.operator();
    change.signer = signer(
        operator,
        &old.owner_address,
        false,
        false,
        keys,
        &mut change.faults,
    );
    change.lines.push(format!(
        "serves until the current session ends; its stake goes to owner {} when unbonding is over",
        old.owner_address
    ));
    let message = change.signer.map(|signer| {
        pack(&MsgUnstakeSupplier {
            signer: signer.to_string(),
            operator_address: operator.to_string(),
        })
    });
    (change, message)
}

/// The services that a supplier is staked for, those included that begin with the next session.
pub(super) fn staked_services(supplier: &Supplier) -> Vec<SupplierServiceConfig> {
    let history = &supplier.service_config_history;
    if history.is_empty() {
        return supplier.services.clone();
    }
    let newest = history.iter().filter(|update| update.deactivation_height == 0);
    newest.filter_map(|update| update.service.clone()).collect()
}

fn config(stake: &SupplierStake, service: &StakedService) -> SupplierServiceConfig {
    let endpoints = service.endpoints.iter().map(|endpoint| {
        let timeout = endpoint.config.timeout.iter().map(|value| ConfigOption {
            key: ConfigOptions::Timeout.into(),
            value: value.clone(),
        });
        SupplierEndpoint {
            url: endpoint.publicly_exposed_url.clone(),
            rpc_type: endpoint.rpc_type.number(),
            configs: timeout.collect(),
        }
    });
    let shares = stake.shares(service).into_iter();
    SupplierServiceConfig {
        service_id: service.service_id.to_string(),
        endpoints: endpoints.collect(),
        rev_share: shares
            .map(|(address, percent)| ServiceRevenueShare {
                address: address.to_string(),
                rev_share_percentage: percent,
            })
            .collect(),
    }
}

fn by_id(services: &[SupplierServiceConfig]) -> BTreeMap<&str, &SupplierServiceConfig> {
    services
        .iter()
        .map(|service| (service.service_id.as_str(), service))
        .collect()
}

fn same(old: &[SupplierServiceConfig], new: &[SupplierServiceConfig]) -> bool {
    by_id(old) == by_id(new)
}

/// `+` for services that begin, `-` for those that end, `~` for those that change.
fn compare(old: &[SupplierServiceConfig], new: &[SupplierServiceConfig], lines: &mut Vec<String>) {
    let (old, new) = (by_id(old), by_id(new));
    for (id, service) in &new {
        match old.get(id) {
            None => lines.push(format!("+ {}", shown(service))),
            Some(before) if before == service => {}
            Some(before) => {
                lines.push(format!("~ {}", shown(service)));
                lines.push(format!("  was {}", shown(before)));
            }
        }
    }
    lines.extend(
        old.iter()
            .filter(|(id, _)| !new.contains_key(*id))
            .map(|(_, service)| format!("- {}", shown(service))),
    );
}

fn shown(service: &SupplierServiceConfig) -> String {
    use portico_config::stake::StakedRpcType;
    let kind = |number: i32| {
        let known = StakedRpcType::ALL
            .iter()
            .find(|(_, kind)| kind.number() == number);
        known.map_or("unknown", |(name, _)| *name)
    };
    let endpoints = service
        .endpoints
        .iter()
        .map(|endpoint| format!("{} {}", kind(endpoint.rpc_type), endpoint.url));
    let shares = service
        .rev_share
        .iter()
        .map(|share| format!("{}% {}", share.rev_share_percentage, share.address));
    let (endpoints, shares): (Vec<_>, Vec<_>) = (endpoints.collect(), shares.collect());
    format!(
        "{}: {}; {}",
        service.service_id,
        endpoints.join(", "),
        shares.join(", ")
    )
}

#[cfg(test)]
mod tests;
