//! What is wrong, and what to do about it. Pure: the configuration and what was found out go in.

use std::collections::BTreeSet;

use portico_config::servicer::{RpcType, ServicerConfig};
use portico_protocol::wire::pocket::shared::{RpcType as StakedType, Supplier};
use portico_protocol::{Address, ServiceId, Upokt};

use super::look::{Known, Machine, amount};
use crate::finding::{Finding, Found};

/// Free space below which a servicer is warned about, in bytes.
const LOW_SPACE: u64 = 5 << 30;
/// Free space below which it should not start.
const NO_SPACE: u64 = 256 << 20;
/// How far a clock may be behind the newest block, in milliseconds: blocks are of the past.
const MAX_BEHIND_MS: u64 = 30_000;
/// Age of the newest block from which on chain or clock are wrong, in milliseconds.
const MAX_AGE_MS: u64 = 10 * 60_000;

/// Disk.
pub(crate) fn of_machine(machine: &Machine) -> Vec<Finding> {
    let mut found = Found::default();
    found.good("the configuration: keys, addresses, data folder");
    let mib = |bytes: u64| format!("{} MiB are free in the data folder", bytes >> 20);
    match machine.free_bytes {
        None => {}
        Some(bytes) if bytes < NO_SPACE => found.fault(
            mib(bytes),
            "make room: relays that cannot be recorded are refused",
        ),
        Some(bytes) if bytes < LOW_SPACE => {
            found.warning(
                mib(bytes),
                "a recorded relay takes a few KiB until its session is settled; make room in time",
            );
        }
        Some(bytes) => found.good(mib(bytes)),
    }
    found.all()
}

/// Everything that the chain knows.
pub(crate) fn of_chain(config: &ServicerConfig, known: &Known) -> Vec<Finding> {
    let mut found = Found::default();
    of_node(config, known, &mut found);
    let mut earning = BTreeSet::new();
    for (operator, supplier) in &known.suppliers {
        match supplier {
            None => found.fault(
                format!("supplier {operator} is not staked"),
                "stake it: portico tx stake-supplier --config FILE --keys KEY",
            ),
            Some(supplier) => {
                of_stake(operator, supplier, known, &mut found);
                of_services(operator, supplier, config, known, &mut found, &mut earning);
            }
        }
        of_balance(operator, config, known, &mut found);
    }
    for id in config.services.keys() {
        if known.missing_services.contains(id) {
            found.fault(
                format!("service {id} does not exist on chain"),
                "mend its name in the configuration, or remove it",
            );
        } else if !earning.contains(id) {
            found.warning(
                format!("no supplier of this configuration is staked for service {id}"),
                "it earns nothing: add it to a stake file, or remove it from the configuration",
            );
        }
    }
    found.all()
}

fn of_node(config: &ServicerConfig, known: &Known, found: &mut Found) {
    let chain_id = &known.chain_id;
    match known.catching_up {
        true => found.fault(
            format!("the node of chain {chain_id} is still catching up"),
            "wait, or name another node in chain.rpc_url and chain.grpc_url",
        ),
        false => found.good(format!(
            "the node of chain {chain_id} is up to date by its own word"
        )),
    }
    let behind = known.block_ms.saturating_sub(known.now_ms);
    let age = known.now_ms.saturating_sub(known.block_ms);
    if behind > MAX_BEHIND_MS {
        found.fault(
            format!(
                "this machine's clock is {} s behind the newest block",
                behind / 1_000
            ),
            "set the clock (NTP)",
        );
    } else if age > MAX_AGE_MS {
        found.warning(
            format!("the newest block is {} s old", age / 1_000),
            "the chain stands still, the node has lost its peers, or this machine's clock is ahead",
        );
    } else {
        found.good(format!(
            "clock and newest block are {} s apart",
            age.max(behind) / 1_000
        ));
    }
    let public = matches!(
        chain_id.as_str(),
        "pocket" | "pocket-beta" | "pocket-lego-testnet"
    );
    if public && config.tx.gas_price_micro_upokt == 0 {
        found.warning(
            "tx.gas_price_micro_upokt is 0: claims and proofs offer no fee",
            "nodes of a public network refuse such transactions; 1000 is 0.001upokt per unit of gas",
        );
    }
}

fn of_stake(operator: &Address, supplier: &Supplier, known: &Known, found: &mut Found) {
    let stake = amount(supplier.stake.as_ref());
    if supplier.unstake_session_end_height > 0 {
        found.fault(
            format!(
                "supplier {operator} is unbonding: it serves until the session that ends at {}",
                supplier.unstake_session_end_height
            ),
            "its owner can stake it again: portico tx stake-supplier --config FILE --keys KEY",
        );
    } else if stake < known.min_stake {
        found.fault(
            format!(
                "supplier {operator} has a stake of {stake}, below the least of {}",
                known.min_stake
            ),
            "raise its stake",
        );
    } else if stake.0.saturating_sub(known.proof_missing_penalty.0) < known.min_stake.0 {
        found.warning(
            format!(
                "supplier {operator} has a stake of {stake}: one missed proof ({}) unstakes it",
                known.proof_missing_penalty
            ),
            "raise its stake by some penalties",
        );
    } else {
        found.good(format!("supplier {operator} has a stake of {stake}"));
    }
}

fn of_services(
    operator: &Address,
    supplier: &Supplier,
    config: &ServicerConfig,
    known: &Known,
    found: &mut Found,
    earning: &mut BTreeSet<ServiceId>,
) {
    if supplier.services.is_empty() {
        found.warning(
            format!("supplier {operator} has no active service"),
            "services of a new stake begin with the next session; else stake it for some",
        );
    }
    for service in &supplier.services {
        let Ok(id) = service.service_id.parse::<ServiceId>() else {
            continue;
        };
        let Some(configured) = config.services.get(&id) else {
            found.fault(
                format!("supplier {operator} is staked for service {id}, which is not configured: its relays are refused"),
                "add it under services, or take it out of the stake",
            );
            continue;
        };
        earning.insert(id.clone());
        for endpoint in &service.endpoints {
            let name = format!("supplier {operator}, service {id}: {}", endpoint.url);
            let kind = StakedType::try_from(endpoint.rpc_type).unwrap_or_default();
            let needs = match kind {
                StakedType::Websocket => Some((RpcType::Websocket, "WebSocket")),
                StakedType::Grpc => Some((RpcType::Grpc, "gRPC")),
                _ => None, // the service's first backend answers every other kind
            };
            if let Some((rpc_type, kind)) = needs.filter(|(of, _)| !configured.rpc_types.contains_key(of)) {
                found.fault(
                    format!("{name} is staked for {kind}, which no backend of the service serves"),
                    format!(
                        "add one at services.{id}.rpc_types.{}, or stake the endpoint without it",
                        rpc_type.name()
                    ),
                );
            }
            match known.silent.get(&endpoint.url) {
                Some(why) => found.warning(
                    format!("{name} does not answer from here: {why}"),
                    "gateways send relays there: it must lead to `listen`; not every network lets a machine reach its own public address",
                ),
                None => found.good(name),
            }
        }
    }
}

fn of_balance(operator: &Address, config: &ServicerConfig, known: &Known, found: &mut Found) {
    let fees = config.tx.gas_price_micro_upokt > 0 || known.proof_fee.0 > 0;
    // One proof in each service at the same time.
    let services = u128::try_from(config.services.len()).unwrap_or(u128::MAX);
    let needed = Upokt(known.proof_fee.0.saturating_mul(services));
    match known.balances.get(operator).copied().flatten() {
        None => found.fault(
            format!("supplier {operator} has no account: it cannot sign claims"),
            format!("send it some tokens: portico tx send {operator} 1000000 --from KEY"),
        ),
        Some(Upokt(0)) if fees => found.fault(
            format!("supplier {operator} holds nothing: claims and proofs cannot be paid"),
            format!("send it some tokens: portico tx send {operator} 1000000 --from KEY"),
        ),
        Some(balance) if balance < needed => found.warning(
            format!(
                "supplier {operator} holds {balance}: less than a proof in each service costs ({needed})"
            ),
            format!("send it more: portico tx send {operator} 1000000 --from KEY"),
        ),
        Some(balance) => found.good(format!("supplier {operator} holds {balance}")),
    }
}

#[cfg(test)]
mod tests;
