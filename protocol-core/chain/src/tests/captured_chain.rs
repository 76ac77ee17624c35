//! A whole chain that the network's own program made, run here from its genesis: each transaction must have the same code, text, data and
//! events, each block the same events, and the state of the modules must be the same where it was exported. What differs is listed in
//! [`DIFFERENCES`], with the reason; anything else fails, and so does a difference that is gone.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use portico_protocol::tx::{decode_tx, module_address, pack, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::BaseAccount;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::gateway::Gateway;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, Metadata, RpcType, Service, ServiceRevenueShare, Supplier, SupplierEndpoint,
    SupplierServiceConfig,
};
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Address, Height, Upokt};
use serde_json::{Value, json};

use super::lab::{Lab, Memory, apply, number, text};
use super::replay::{proof_params, shared_params, tokenomics_params};
use crate::block::{BlockContext, BlockOutcome, Execution, TxOutcome};
use crate::context::Context;
use crate::error::Fault;
use crate::genesis::GenesisParams;
use crate::state::{StateRead, Store};
use crate::{application, auth, bank, gateway, json as texts, proof, service, supplier, tokenomics};

/// Differences that are meant, or known: where, part of what differs, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "block 37 tx 0",
        "gas is counted by size here (decisions/0004): this one runs out of it in its message there",
    ),
    (
        "is not allowed to unstake supplier {OwnerAddress",
        "the text there is Go's form of the whole supplier",
    ),
    (
        "proof: EOF: invalid proof",
        "the text there is of Go's gob decoder",
    ),
    (
        "decoding bech32 failed",
        "the text there is of Go's bech32 decoder",
    ),
    (
        "failed to delete grant with key",
        "raw bytes of the key there, which are no text; here its parts",
    ),
    (
        "balance pokt17xpfvakm2amg962yls6f84z3kell8c5ldlu5h9",
        "fees stay with the fee collector here: there is no module distribution",
    ),
    (
        "balance pokt1jv65s3grqf6v6jl3dp4t6c9t9rk99cd86emg48",
        "what the module distribution got from the fee collector",
    ),
];

/// Code of a transaction that ran out of gas.
const OUT_OF_GAS: u64 = 11;

/// Module accounts that the network's genesis makes, in its order.
const GENESIS_MODULES: [&str; 6] = [
    "fee_collector",
    "distribution",
    "bonded_tokens_pool",
    "not_bonded_tokens_pool",
    "gov",
    "mint",
];

/// Whether other data than our own is tried: what is listed of ours need not be in it.
pub(super) fn is_other() -> bool {
    std::env::var_os("PORTICO_VECTORS").is_some()
}

pub(super) fn folder() -> String {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| default.into());
    format!("{folder}/chain/chain")
}

pub(super) fn file(name: &str) -> String {
    let path = format!("{}/{name}", folder());
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn lines(name: &str) -> Vec<Value> {
    file(name)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn coins(value: &Value) -> Upokt {
    let amount = value["amount"].as_str().unwrap_or("0");
    Upokt(amount.parse().unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The network's state before the first block.
fn genesis(state: &Value) -> Lab {
    let mut lab = Lab::default();
    lab.at(0, |ctx| {
        crate::genesis::set_params(ctx, &params(state))?;
        accounts(ctx, &state["auth"], &state["bank"])?;
        for item in list(&state["service"]["serviceList"]) {
            service::genesis_service(ctx, &service_of(item))?;
        }
        for item in list(&state["gateway"]["gatewayList"]) {
            let new = Gateway {
                address: text(&item["address"]),
                stake: Some(coins(&item["stake"]).into()),
                ..Gateway::default()
            };
            gateway::save(ctx, &new);
        }
        for item in list(&state["application"]["applicationList"]) {
            application::save(ctx, &application_of(item));
        }
        for item in list(&state["supplier"]["supplierList"]) {
            let (mut new, services) = supplier_of(item);
            supplier::replace_services(&mut new, &services, Height(1));
            supplier::save(ctx, None, &new);
        }
        list(&state["genutil"]["gen_txs"])
            .iter()
            .try_for_each(|tx| bond(ctx, tx))
    })
    .unwrap();
    lab
}

fn params(state: &Value) -> GenesisParams {
    let of = |module: &str| &state[module]["params"];
    let mut tokenomics = of("tokenomics").clone();
    let multiplier = &mut tokenomics["overservicing_bonus_multiplier"];
    *multiplier = number(multiplier).into();
    let mut shared = of("shared").clone();
    for value in shared.as_object_mut().unwrap().values_mut() {
        *value = number(value).into();
    }
    let mut proof = of("proof").clone();
    for value in proof.as_object_mut().unwrap().values_mut() {
        if value.is_object() {
            *value = coins(value).0.to_string().into();
        }
    }
    GenesisParams {
        authority: None,
        features: Vec::new(),
        shared: shared_params(&shared),
        num_suppliers_per_session: number(&of("session")["num_suppliers_per_session"]),
        max_delegated_gateways: number(&of("application")["max_delegated_gateways"]),
        application_min_stake: coins(&of("application")["min_stake"]),
        gateway_min_stake: coins(&of("gateway")["min_stake"]),
        supplier_min_stake: coins(&of("supplier")["min_stake"]),
        supplier_staking_fee: coins(&of("supplier")["staking_fee"]),
        add_service_fee: coins(&of("service")["add_service_fee"]),
        target_num_relays: number(&of("service")["target_num_relays"]),
        proof: proof_params(&proof),
        tokenomics: tokenomics_params(&tokenomics),
    }
}

/// Accounts and balances as they are; the accounts of modules get their numbers as the network gives them.
fn accounts(ctx: &mut Context<'_>, auth: &Value, bank: &Value) -> Result<(), Fault> {
    let mut next = 0_u64;
    for account in list(&auth["accounts"]) {
        let address: Address = text(&account["address"]).parse().unwrap();
        let key = BASE64_STANDARD.decode(text(&account["pub_key"]["key"])).unwrap();
        let number = number(&account["account_number"]);
        next = next.max(number + 1);
        let account = BaseAccount {
            address: address.to_string(),
            account_number: number,
            sequence: self::number(&account["sequence"]),
            pub_key: (!key.is_empty()).then(|| pack(&PubKey { key })),
        };
        crate::auth::save(ctx, &address, &account);
    }
    ctx.state.set(
        Store::Auth,
        b"next_account_number".to_vec(),
        next.to_be_bytes().to_vec(),
    );
    for module in GENESIS_MODULES {
        crate::auth::ensure_account(ctx, &module_address(module))?;
    }
    let mut supply = 0;
    for item in list(&bank["balances"]) {
        let address: Address = text(&item["address"]).parse().unwrap();
        let amount = item["coins"].get(0).map_or(0, |coin| coins(coin).0);
        let key = [bank::BALANCES, address.as_bytes()].concat();
        ctx.state.set(Store::Bank, key, amount.to_string().into_bytes());
        supply += amount;
    }
    ctx.state.set(
        Store::Bank,
        b"supply/upokt/".to_vec(),
        supply.to_string().into_bytes(),
    );
    Ok(())
}

/// The validator of a genesis transaction.
fn bond(ctx: &mut Context<'_>, tx: &Value) -> Result<(), Fault> {
    let message = &tx["body"]["messages"][0];
    let tokens = coins(&message["value"]);
    let key = BASE64_STANDARD
        .decode(text(&tx["auth_info"]["signer_infos"][0]["public_key"]["key"]))
        .unwrap();
    let account = portico_protocol::PublicKey::from_slice(&key).unwrap().address();
    bank::send(ctx, &account, &module_address("bonded_tokens_pool"), tokens)?;
    let mut stored = auth::account(&ctx.state, &account)?.unwrap();
    stored.sequence = 1;
    auth::save(ctx, &account, &stored);
    let validator = tokenomics::Validator {
        account,
        tokens,
        commission: text(&message["commission"]["rate"]),
        delegations: BTreeMap::from([(account.to_string(), tokens)]),
    };
    tokenomics::set_validators(ctx, &[validator])
}

fn service_of(item: &Value) -> Service {
    Service {
        id: text(&item["id"]),
        name: text(&item["name"]),
        compute_units_per_relay: number(&item["compute_units_per_relay"]),
        owner_address: text(&item["owner_address"]),
        metadata: None,
    }
}

fn application_of(item: &Value) -> Application {
    let id = |config: &Value| ApplicationServiceConfig {
        service_id: text(&config["service_id"]),
    };
    Application {
        address: text(&item["address"]),
        stake: Some(coins(&item["stake"]).into()),
        service_configs: list(&item["service_configs"]).iter().map(id).collect(),
        delegatee_gateway_addresses: list(&item["delegatee_gateway_addresses"])
            .iter()
            .map(text)
            .collect(),
        ..Application::default()
    }
}

fn supplier_of(item: &Value) -> (Supplier, Vec<SupplierServiceConfig>) {
    let endpoint = |item: &Value| SupplierEndpoint {
        url: text(&item["url"]),
        rpc_type: RpcType::from_str_name(&text(&item["rpc_type"])).unwrap().into(),
        configs: Vec::new(),
    };
    let share = |item: &Value| ServiceRevenueShare {
        address: text(&item["address"]),
        rev_share_percentage: number(&item["rev_share_percentage"]),
    };
    let config = |item: &Value| SupplierServiceConfig {
        service_id: text(&item["service_id"]),
        endpoints: list(&item["endpoints"]).iter().map(endpoint).collect(),
        rev_share: list(&item["rev_share"]).iter().map(share).collect(),
    };
    let supplier = Supplier {
        owner_address: text(&item["owner_address"]),
        operator_address: text(&item["operator_address"]),
        stake: Some(coins(&item["stake"]).into()),
        ..Supplier::default()
    };
    (supplier, list(&item["services"]).iter().map(config).collect())
}

/// The chain as it is replayed, and what differs.
pub(super) struct Replayed {
    lab: Lab,
    proposer: String,
    differences: Vec<String>,
    compared: usize,
}

impl Replayed {
    /// A chain that begins with the network's genesis.
    pub(super) fn of(genesis_file: &Value) -> Self {
        Self {
            lab: genesis(&genesis_file["app_state"]),
            proposer: String::new(), // the share of proposers goes to all validators
            differences: Vec::new(),
            compared: 0,
        }
    }

    /// The state after the last block.
    pub(super) fn memory(&self) -> &Memory {
        &self.lab.memory
    }

    /// A block at `height` with the time and hash of a captured one.
    pub(super) fn context(&self, block: &Value, height: Height) -> BlockContext {
        let header = &block["block"]["header"];
        let time = text(&header["time"]).parse::<prost_types::Timestamp>().unwrap();
        let hash = hex::decode(text(&block["block_id"]["hash"])).unwrap();
        BlockContext {
            chain_id: text(&header["chain_id"]),
            height,
            time_ms: u64::try_from(time.seconds).unwrap() * 1_000
                + u64::try_from(time.nanos / 1_000_000).unwrap(),
            hash: hash.try_into().unwrap(),
            proposer_account: self.proposer.clone(),
        }
    }

    fn text(&mut self, place: &str, theirs: String, ours: String) {
        self.compared += 1;
        if theirs != ours {
            self.differences
                .push(format!("{place}\n  theirs {theirs}\n  ours   {ours}"));
        }
    }

    /// Executes the block, and compares the results.
    pub(super) fn block(&mut self, block: &Value, results: &Value) {
        let height = number(&block["block"]["header"]["height"]);
        let height = i64::try_from(height).unwrap();
        let context = self.context(block, Height(height));
        let txs = list(&block["block"]["data"]["txs"]).iter();
        let txs: Vec<Bytes> = txs
            .map(|tx| BASE64_STANDARD.decode(text(tx)).unwrap().into())
            .collect();
        let memory = self.lab.memory.clone();
        let mut execution = Execution::begin(&memory, &context).unwrap();
        let mut refused = Vec::new();
        for (index, tx) in txs.iter().enumerate() {
            if let Err(outcome) = execution.offer(tx).unwrap() {
                refused.push((index, outcome));
            }
        }
        let mut outcome = execution.end(&context.hash).unwrap();
        for (index, refusal) in refused {
            outcome.txs.insert(index, refusal);
        }
        apply(&mut self.lab.memory, outcome.changes.clone());
        for (tx, result) in txs.iter().zip(list(&results["txs_results"])) {
            if number(&result["code"]) == OUT_OF_GAS {
                self.give_back(height, tx);
            }
        }
        self.results(height, &outcome, results);
    }

    /// Gas is counted otherwise there: takes back what a payment did here that ran out of gas there.
    fn give_back(&mut self, height: i64, tx: &[u8]) {
        let tx = decode_tx(tx).unwrap();
        let sent: MsgSend = unpack(&tx.body.messages[0]).unwrap();
        let amount = bank::upokt_of(&sent.amount).unwrap();
        let (from, to) = (
            sent.from_address.parse().unwrap(),
            sent.to_address.parse().unwrap(),
        );
        self.lab
            .at(height, |ctx| bank::send(ctx, &to, &from, amount))
            .unwrap();
    }

    fn results(&mut self, height: i64, outcome: &BlockOutcome, results: &Value) {
        for (index, (ours, theirs)) in outcome.txs.iter().zip(list(&results["txs_results"])).enumerate() {
            self.tx(&format!("block {height} tx {index}"), ours, theirs);
        }
        let (theirs, ours) = (list(&results["finalize_block_events"]), &outcome.events);
        let theirs = theirs
            .iter()
            .map(their_line)
            .filter(|line| !is_distribution(line));
        let theirs = checked_sorted(theirs.collect());
        let ours = checked_sorted(ours.iter().map(our_line).collect());
        self.text(
            &format!("block {height} events"),
            theirs.join("\n    "),
            ours.join("\n    "),
        );
    }

    fn tx(&mut self, place: &str, ours: &TxOutcome, theirs: &Value) {
        let code = |codespace: &str, code: u64| format!("{code}/{codespace}");
        let their_code = code(&text(&theirs["codespace"]), number(&theirs["code"]));
        self.text(
            &format!("{place} code"),
            their_code,
            code(&ours.codespace, ours.code.into()),
        );
        self.text(&format!("{place} log"), text(&theirs["log"]), ours.log.clone());
        let data = BASE64_STANDARD.encode(&ours.data);
        self.text(&format!("{place} data"), text(&theirs["data"]), data);
        let their_events: Vec<String> = list(&theirs["events"]).iter().map(their_line).collect();
        let our_events: Vec<String> = ours.events.iter().map(our_line).collect();
        let joined = |lines: Vec<String>| lines.join("\n    ");
        self.text(
            &format!("{place} events"),
            joined(their_events),
            joined(our_events),
        );
    }

    /// Compares the modules' state with what was exported after `height`.
    fn state(&mut self, height: i64, exported: &Value) {
        let state = self.lab.memory.clone();
        let applications = by(&exported["application"]["application_list"], "address");
        let found = |store, prefix: &[u8]| StateRead::range(&state, store, prefix, None, usize::MAX).unwrap();
        let balances: BTreeMap<String, String> = found(Store::Bank, bank::BALANCES)
            .into_iter()
            .filter_map(|(key, value)| {
                let address: [u8; 20] = key.strip_prefix(bank::BALANCES)?.try_into().ok()?;
                Some((
                    Address::new(address).to_string(),
                    String::from_utf8(value).unwrap(),
                ))
            })
            .collect();
        for item in list(&exported["bank"]["balances"]) {
            let address = text(&item["address"]);
            let amount = item["coins"]
                .get(0)
                .map_or("0".into(), |coin| text(&coin["amount"]));
            let ours = balances.get(&address).cloned().unwrap_or("0".into());
            self.text(&format!("height {height} balance {address}"), amount, ours);
        }
        for item in list(&exported["auth"]["accounts"]) {
            let base = item.get("base_account").unwrap_or(item);
            let address = text(&base["address"]);
            let ours = auth::account(&state, &address.parse().unwrap())
                .unwrap()
                .unwrap_or_default();
            let theirs = format!("{}/{}", text(&base["account_number"]), text(&base["sequence"]));
            let ours = format!("{}/{}", ours.account_number, ours.sequence);
            self.text(&format!("height {height} account {address}"), theirs, ours);
        }
        for (address, theirs) in applications {
            let ours = application::application(&state, &address).unwrap();
            let ours = ours.map_or("none".into(), |one| sorted(&texts::application(&one)));
            self.text(
                &format!("height {height} application {address}"),
                theirs.to_string(),
                ours,
            );
        }
        for (address, theirs) in by(&exported["gateway"]["gateway_list"], "address") {
            let ours = gateway::gateway(&state, &address).unwrap();
            let ours = ours.map_or("none".into(), |one| {
                let mut json: Value = serde_json::from_str(&texts::gateway(&one)).unwrap();
                let card = |metadata: &Metadata| json!({"card": BASE64_STANDARD.encode(&metadata.card)});
                json["metadata"] = one.metadata.as_ref().map_or(Value::Null, card);
                json.to_string()
            });
            self.text(
                &format!("height {height} gateway {address}"),
                theirs.to_string(),
                ours,
            );
        }
        for (address, mut theirs) in by(&exported["supplier"]["supplierList"], "operator_address") {
            let ours = supplier::supplier(&state, &address).unwrap();
            let ours = ours.map_or("none".into(), |mut one| {
                one.services.clear();
                sorted(&texts::supplier(&one))
            });
            theirs["services"] = json!([]); // those that are active, which the history says
            self.text(
                &format!("height {height} supplier {address}"),
                theirs.to_string(),
                ours,
            );
        }
        for (id, theirs) in by(&exported["service"]["service_list"], "id") {
            let ours = service::service(&state, &id).unwrap().unwrap_or_default();
            let ours = json!({"id": ours.id, "name": ours.name, "owner_address": ours.owner_address, "metadata": null,
                "compute_units_per_relay": ours.compute_units_per_relay.to_string()});
            self.text(
                &format!("height {height} service {id}"),
                theirs.to_string(),
                ours.to_string(),
            );
        }
        for (id, theirs) in by(&exported["service"]["relayMiningDifficultyList"], "service_id") {
            let ours = service::difficulty(&state, &id, Height(height)).unwrap();
            let ours = json!({"service_id": ours.service_id, "block_height": ours.block_height.to_string(),
                "num_relays_ema": ours.num_relays_ema.to_string(), "target_hash": BASE64_STANDARD.encode(ours.target_hash)});
            self.text(
                &format!("height {height} difficulty {id}"),
                theirs.to_string(),
                ours.to_string(),
            );
        }
        let claims = list(&exported["proof"]["claim_list"]);
        for claim in claims {
            let header = &claim["session_header"];
            let (session, operator) = (
                text(&header["session_id"]),
                text(&claim["supplier_operator_address"]),
            );
            let ours = proof::claim(&state, &session, &operator).unwrap();
            let ours = ours.map_or("none".into(), |one| BASE64_STANDARD.encode(one.root_hash));
            self.text(
                &format!("height {height} claim {session}"),
                text(&claim["root_hash"]),
                ours,
            );
        }
    }
}

/// Items by what their field `name` says.
fn by(items: &Value, name: &str) -> Vec<(String, Value)> {
    list(items)
        .iter()
        .map(|item| (text(&item[name]), item.clone()))
        .collect()
}

fn sorted(json: &str) -> String {
    serde_json::from_str::<Value>(json).unwrap().to_string()
}

fn line(kind: &str, attributes: impl Iterator<Item = (String, String)>) -> String {
    let attributes: Vec<String> = attributes.map(|(key, value)| format!("{key}={value}")).collect();
    format!("{kind} {}", attributes.join(" "))
}

pub(super) fn our_line(event: &Event) -> String {
    let attributes = event.attributes.iter();
    line(
        &event.r#type,
        attributes.map(|one| (one.key.clone(), one.value.clone())),
    )
}

fn their_line(event: &Value) -> String {
    let attributes = list(&event["attributes"]).iter();
    line(
        event["type"].as_str().unwrap(),
        attributes.map(|one| (text(&one["key"]), text(&one["value"]))),
    )
}

/// Proofs of a block are validated in parallel there, and their events come in any order: here they are sorted. They come first.
fn checked_sorted(mut lines: Vec<String>) -> Vec<String> {
    let kind = "pocket.proof.EventProofValidityChecked";
    let first = lines
        .iter()
        .position(|line| line.starts_with(kind))
        .unwrap_or_default();
    let count = lines.iter().filter(|line| line.starts_with(kind)).count();
    lines[first..first + count].sort();
    lines
}

/// Events of the modules mint and distribution, which begin the network's blocks and which we do not have.
fn is_distribution(line: &str) -> bool {
    line.ends_with("mode=BeginBlock") && !line.starts_with("pocket.")
}

#[test]
fn a_captured_chain_replays_from_its_genesis() {
    let genesis_file: Value = serde_json::from_str(&file("genesis.json")).unwrap();
    let mut replayed = Replayed::of(&genesis_file);
    let (blocks, results) = (lines("blocks.jsonl"), lines("block_results.jsonl"));
    assert_eq!(blocks.len(), results.len());
    let mut exports = 0;
    for (block, results) in blocks.iter().zip(&results) {
        replayed.block(block, results);
        let height: i64 = text(&results["height"]).parse().unwrap();
        let path = format!("export.height{height}.json");
        if std::path::Path::new(&format!("{}/{path}", folder())).exists() {
            exports += 1;
            let exported: Value = serde_json::from_str(&file(&path)).unwrap();
            replayed.state(height, &exported["app_state"]);
        }
    }
    let known = |difference: &&String| DIFFERENCES.iter().any(|(part, _)| difference.contains(part));
    let unknown: Vec<&String> = replayed.differences.iter().filter(|one| !known(one)).collect();
    for (part, why) in DIFFERENCES {
        let count = replayed
            .differences
            .iter()
            .filter(|one| one.contains(part))
            .count();
        assert!(
            count > 0 || is_other(),
            "nothing differs any more in {part:?}: {why}"
        );
        println!("differs {count} times: {part}: {why}");
    }
    println!(
        "chain/chain: {} blocks, {exports} exports, {} comparisons, {} differ as listed",
        blocks.len(),
        replayed.compared,
        replayed.differences.len() - unknown.len()
    );
    assert!(exports > 0 && replayed.compared > 500);
    assert!(
        unknown.is_empty(),
        "{} differences:\n{}",
        unknown.len(),
        unknown
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    );
}
