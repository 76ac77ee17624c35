//! State in memory that tests set up directly, and the files of vectors.

use std::collections::BTreeMap;

use portico_protocol::{Height, Upokt};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::block::BlockContext;
use crate::context::Context;
use crate::error::Fault;
use crate::genesis::GenesisParams;
use crate::state::{Changes, StateRead, Store};

/// State in memory.
pub(crate) type Memory = BTreeMap<(Store, Vec<u8>), Vec<u8>>;

/// Applies a block's writes.
pub(crate) fn apply(memory: &mut Memory, changes: Changes) {
    for (key, change) in changes {
        match change {
            Some(value) => memory.insert(key, value),
            None => memory.remove(&key),
        };
    }
}

/// State that a test sets up without transactions.
#[derive(Clone, Default)]
pub(crate) struct Lab {
    pub(crate) memory: Memory,
}

impl Lab {
    /// Default params of every module, and no feature: the network's rules.
    pub(crate) fn new() -> Self {
        let mut lab = Self::default();
        lab.at(0, |ctx| {
            crate::genesis::set_params(ctx, &GenesisParams::default())
        })
        .unwrap();
        lab
    }

    pub(crate) fn state(&self) -> &dyn StateRead {
        &self.memory
    }

    /// Runs `step` in the block at `height` and keeps what it wrote, unless it failed.
    pub(crate) fn at<T>(
        &mut self,
        height: i64,
        step: impl FnOnce(&mut Context<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let block = block(height);
        let mut ctx = Context::new(&self.memory as &dyn StateRead, &block);
        let result = step(&mut ctx);
        let changes = ctx.state.into_changes();
        if result.is_ok() {
            apply(&mut self.memory, changes);
        }
        result
    }
}

fn block(height: i64) -> BlockContext {
    BlockContext {
        chain_id: "pocket".into(),
        height: Height(height),
        time_ms: 1_700_000_000_000,
        hash: Sha256::digest(format!("block {height}")).into(),
        proposer_account: String::new(),
    }
}

/// Reads a file of vectors.
pub(crate) fn vectors(file: &str) -> serde_json::Map<String, Value> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| default.into());
    let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Runs `check` on every case of a section and prints how many there were.
pub(crate) fn each(file: &str, section: &str, cases: &Value, mut check: impl FnMut(&Value)) {
    let cases = cases.as_array().unwrap();
    cases.iter().for_each(&mut check);
    println!("{file} {section}: {} cases", cases.len());
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

pub(crate) fn upokt(value: &Value) -> Upokt {
    Upokt(value.as_str().unwrap().trim_end_matches("upokt").parse().unwrap())
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Shared params of a vector.
pub(crate) fn shared_params(value: &Value) -> portico_protocol::wire::pocket::shared::Params {
    let field = |name: &str| number(&value[name]);
    portico_protocol::wire::pocket::shared::Params {
        num_blocks_per_session: field("num_blocks_per_session"),
        grace_period_end_offset_blocks: field("grace_period_end_offset_blocks"),
        claim_window_open_offset_blocks: field("claim_window_open_offset_blocks"),
        claim_window_close_offset_blocks: field("claim_window_close_offset_blocks"),
        proof_window_open_offset_blocks: field("proof_window_open_offset_blocks"),
        proof_window_close_offset_blocks: field("proof_window_close_offset_blocks"),
        supplier_unbonding_period_sessions: field("supplier_unbonding_period_sessions"),
        application_unbonding_period_sessions: field("application_unbonding_period_sessions"),
        compute_units_to_tokens_multiplier: field("compute_units_to_tokens_multiplier"),
        gateway_unbonding_period_sessions: field("gateway_unbonding_period_sessions"),
        compute_unit_cost_granularity: field("compute_unit_cost_granularity"),
        session_grid_anchor_height: field("session_grid_anchor_height"),
        session_number_at_anchor: field("session_number_at_anchor"),
    }
}
