//! The state machine as the vectors need it: from a genesis, block by block, with signed transactions and queries; block hashes as the
//! vectors have them.

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::wire::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Address, Height, ServiceId, SigningKey, Upokt};
use prost::{Message, Name};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::lab::{Memory, apply, bytes, text, upokt, vectors};
use crate::block::{BlockContext, BlockOutcome, TxOutcome, execute, init, simulate};
use crate::context::Context;
use crate::error::Fault;
use crate::genesis::{
    Genesis, GenesisAccount, GenesisParams, GenesisService, GenesisValidator, ProofParams, SharedParams,
    TokenomicsParams,
};
use crate::query::{QueryError, query};
use crate::state::StateRead;

/// Keys of the vectors' actors, by address.
pub(crate) type Keys = BTreeMap<String, SigningKey>;

/// Keys of all actors in these files.
pub(crate) fn keys() -> Keys {
    let mut keys = Keys::new();
    for file in ["proof.json", "tokenomics.json", "relay.json"] {
        vectors(file).values().for_each(|value| collect(value, &mut keys));
    }
    for name in ["authority", "validator"] {
        let key = key(name);
        keys.insert(key.address().to_string(), key);
    }
    keys
}

fn collect(value: &Value, keys: &mut Keys) {
    if let (Some(address), Some(key)) = (value["address"].as_str(), value["private_key"].as_str()) {
        let key = SigningKey::from_bytes(&hex::decode(key).unwrap().try_into().unwrap()).unwrap();
        keys.insert(address.to_owned(), key);
    } else if let Some(list) = value.as_array() {
        // Lists of cases hold no actors.
        let actors = list.iter().take(200).filter(|one| one.is_object());
        actors.for_each(|one| collect(one, keys));
    } else if let Some(fields) = value.as_object() {
        fields
            .values()
            .filter(|one| one.is_object())
            .for_each(|one| collect(one, keys));
    }
}

/// A key of ours, for those whom the vectors do not name.
pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(name).into()).unwrap()
}

/// Block hashes of the vectors.
pub(crate) fn hash_of(height: i64) -> [u8; 32] {
    Sha256::digest(format!("block {height}")).into()
}

/// The network's rules, and an authority whose key is known.
pub(crate) fn genesis(params: GenesisParams) -> Genesis {
    Genesis {
        chain_id: "pocket".into(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams {
            authority: Some(key("authority").address()),
            features: Vec::new(),
            ..params
        },
        validators: vec![GenesisValidator {
            consensus_public_key: "11".repeat(32),
            account: key("validator").address(),
            tokens: Upokt(1_000),
        }],
        accounts: vec![GenesisAccount::new(
            &key("authority").public_key(),
            Upokt(1_000_000),
        )],
        services: Vec::new(),
        gateways: Vec::new(),
        applications: Vec::new(),
        suppliers: Vec::new(),
    }
}

pub(crate) fn service(id: &str, compute_units_per_relay: u64, owner: &str) -> GenesisService {
    GenesisService {
        id: ServiceId::new(id).unwrap(),
        name: String::new(),
        compute_units_per_relay,
        owner: owner.parse().unwrap(),
    }
}

/// Shared params of a vector as a genesis states them; the chain sets the anchor itself.
pub(crate) fn shared_params(value: &Value) -> SharedParams {
    let mut fields = value.as_object().unwrap().clone();
    fields.retain(|name, _| {
        !["session_grid_anchor_height", "session_number_at_anchor"].contains(&name.as_str())
    });
    serde_json::from_value(Value::from(fields)).unwrap()
}

/// Begins a chain with these shared params: by its genesis, if one may state them; else they are put into state.
pub(crate) fn begin(mut genesis: Genesis, shared: &Value) -> Replay {
    let exact = super::lab::shared_params(shared);
    genesis.params.shared = shared_params(shared);
    if (exact.session_grid_anchor_height, exact.session_number_at_anchor) == (1, 1) && init(&genesis).is_ok()
    {
        return Replay::new(&genesis);
    }
    genesis.params.shared = SharedParams::default();
    let mut chain = Replay::new(&genesis);
    chain.place(|ctx| {
        crate::shared::set_params(ctx, &exact);
        Ok(())
    });
    chain
}

pub(crate) fn proof_params(value: &Value) -> ProofParams {
    ProofParams {
        proof_request_probability: value["proof_request_probability"].as_f64().unwrap(),
        proof_requirement_threshold: upokt(&value["proof_requirement_threshold"]),
        proof_missing_penalty: upokt(&value["proof_missing_penalty"]),
        proof_submission_fee: value.get("proof_submission_fee").map_or(Upokt(0), upokt),
    }
}

pub(crate) fn tokenomics_params(value: &Value) -> TokenomicsParams {
    serde_json::from_value(value.clone()).unwrap()
}

/// A chain of the vectors.
#[derive(Clone)]
pub(crate) struct Replay {
    pub(crate) memory: Memory,
    pub(crate) height: i64,
    /// Hashes of blocks that a case names.
    pub(crate) hashes: BTreeMap<i64, [u8; 32]>,
}

impl Replay {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let mut memory = Memory::new();
        apply(&mut memory, init(genesis).unwrap());
        Self {
            memory,
            height: 0,
            hashes: BTreeMap::new(),
        }
    }

    pub(crate) fn state(&self) -> &dyn StateRead {
        &self.memory
    }

    /// What a message would come to in the block at `height`, if its signer signed it.
    pub(crate) fn simulate<M: Message + Name>(&self, height: i64, signer: &str, message: &M) -> TxOutcome {
        let (tx, _) = self.tx(&Keys::new(), signer, message, 0);
        simulate(self.state(), &self.context(height), &tx).unwrap()
    }

    fn context(&self, height: i64) -> BlockContext {
        BlockContext {
            chain_id: "pocket".into(),
            height: Height(height),
            time_ms: 1_700_000_000_000 + u64::try_from(height).unwrap(),
            hash: self.hashes.get(&height).copied().unwrap_or(hash_of(height)),
            proposer_account: String::new(),
        }
    }

    /// Executes the next block.
    pub(crate) fn block(&mut self, txs: &[Bytes]) -> BlockOutcome {
        self.block_at(self.height + 1, txs)
    }

    /// Executes a block at a later height, as if those between had been empty and without consequence.
    pub(crate) fn block_at(&mut self, height: i64, txs: &[Bytes]) -> BlockOutcome {
        let outcome = execute(self.state(), &self.context(height), txs).unwrap();
        apply(&mut self.memory, outcome.changes.clone());
        self.height = height;
        outcome
    }

    /// Executes empty blocks until the chain is at `height`; returns the events of the last.
    pub(crate) fn run_to(&mut self, height: i64) -> Vec<Event> {
        let mut events = Vec::new();
        while self.height < height {
            events = self.block(&[]).events;
        }
        events
    }

    /// A transaction of one message, `offset` transactions after what the chain knows of its signer; without the signer's key unsigned.
    pub(crate) fn tx<M: Message + Name>(
        &self,
        keys: &Keys,
        signer: &str,
        message: &M,
        offset: u64,
    ) -> (Bytes, bool) {
        let request = QueryAccountRequest {
            address: signer.to_owned(),
        };
        let answer: Result<QueryAccountResponse, QueryError> =
            self.ask("/cosmos.auth.v1beta1.Query/Account", &request);
        let account: BaseAccount = answer.map_or_else(
            |_| BaseAccount::default(),
            |answer| unpack(&answer.account.unwrap()).unwrap(),
        );
        let context = SignerContext {
            chain_id: "pocket".into(),
            account_number: account.account_number,
            sequence: account.sequence + offset,
        };
        let options = TxOptions {
            gas_limit: 10_000_000,
            ..TxOptions::default()
        };
        let known = keys.get(signer);
        let stranger = key("stranger");
        let tx = sign_tx(
            vec![pack(message)],
            &options,
            &context,
            known.unwrap_or(&stranger),
        );
        (tx.into(), known.is_some())
    }

    /// Executes the next block with one message. Of a signer whose key the vectors do not give, the block is empty and the message simulated:
    /// so it must be one that is refused.
    pub(crate) fn deliver<M: Message + Name>(
        &mut self,
        keys: &Keys,
        signer: &str,
        message: &M,
    ) -> (TxOutcome, Vec<Event>) {
        let sender: Address = signer.parse().unwrap();
        if crate::auth::account(self.state(), &sender).unwrap().is_none() {
            self.place(|ctx| crate::bank::genesis_balance(ctx, &sender, Upokt(1_000_000)));
        }
        let (tx, signed) = self.tx(keys, signer, message, 0);
        if signed {
            let outcome = self.block(&[tx]);
            return (outcome.txs[0].clone(), outcome.events);
        }
        let trial = simulate(self.state(), &self.context(self.height + 1), &tx).unwrap();
        assert_ne!(trial.code, 0, "{signer} has no key, and would be accepted");
        (trial, self.block(&[]).events)
    }

    /// Puts into state what no message of the case could.
    pub(crate) fn place(&mut self, step: impl FnOnce(&mut Context<'_>) -> Result<(), Fault>) {
        let block = self.context(self.height);
        let mut ctx = Context::new(&self.memory as &dyn StateRead, &block);
        step(&mut ctx).unwrap();
        let changes = ctx.state.into_changes();
        apply(&mut self.memory, changes);
    }

    pub(crate) fn ask<A: Message + Default>(
        &self,
        path: &str,
        request: &impl Message,
    ) -> Result<A, QueryError> {
        let answer = query(self.state(), Height(self.height), path, &request.encode_to_vec())?;
        Ok(A::decode(answer.as_slice()).unwrap())
    }

    pub(crate) fn balance(&self, address: &Address) -> u128 {
        let request = QueryBalanceRequest {
            address: address.to_string(),
            denom: "upokt".into(),
        };
        let answer: QueryBalanceResponse = self.ask("/cosmos.bank.v1beta1.Query/Balance", &request).unwrap();
        Upokt::try_from(&answer.balance.unwrap()).unwrap().0
    }
}

/// Text of a refusal without what the transaction adds.
pub(crate) fn refusal(outcome: &TxOutcome) -> &str {
    let prefix = "failed to execute message; message index: 0: ";
    let text = outcome.log.strip_prefix(prefix).unwrap_or(&outcome.log);
    let status = text
        .strip_prefix("rpc error: code = ")
        .and_then(|text| text.split_once(" desc = "));
    status.map_or(text, |(_, text)| text)
}

/// What kind of error a text ends with.
pub(crate) fn kind_of(text: &str) -> &str {
    text.rsplit(": ").next().unwrap_or_default()
}

/// Events of a kind.
pub(crate) fn of_kind<'a>(events: &'a [Event], kind: &'a str) -> impl Iterator<Item = &'a Event> {
    events.iter().filter(move |event| event.r#type == kind)
}

/// An attribute's JSON.
pub(crate) fn attribute(event: &Event, key: &str) -> Value {
    let found = event.attributes.iter().find(|one| one.key == key);
    serde_json::from_str(&found.unwrap_or_else(|| panic!("{key} of {event:?}")).value).unwrap()
}

/// An account of an actor of the vectors.
pub(crate) fn account(actor: &Value, balance: Upokt) -> GenesisAccount {
    GenesisAccount {
        address: text(&actor["address"]).parse().unwrap(),
        public_key: Some(hex::encode(bytes(&actor["public_key"]))),
        balance,
    }
}
