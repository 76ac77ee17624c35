//! Blocks, headers, commits and what they follow.

use serde_json::{Value, json};

use super::search::{Order, Search};
use super::{Answer, Methods};
use crate::api::{ApiError, stored_block};
use crate::block::{self, MAX_BLOCK_BYTES, MAX_BLOCK_GAS};
use crate::rpc::error::RpcError;
use crate::rpc::request::Params;
use crate::rpc::shape::{self, number};
use crate::search;

/// Most headers of an answer.
const MAX_METAS: i64 = 20;
/// Validators of a page, unless asked otherwise; CometBFT's.
const PER_PAGE: usize = 30;
/// Most validators of a page; CometBFT's.
const MAX_PER_PAGE: usize = 100;
/// Bytes of a piece of the genesis; CometBFT's.
const GENESIS_CHUNK_BYTES: usize = 16 << 20;

impl Methods {
    pub(super) async fn block_by_hash(&self, params: &Params) -> Answer {
        match self.api.block_by_hash(params.hash("hash")?).await? {
            Some(stored) => shape::block(&stored),
            None => Ok(json!({
                "block_id": {"hash": "", "parts": {"total": 0, "hash": ""}},
                "block": null,
            })),
        }
    }

    /// Blocks whose events match, newest first unless asked otherwise.
    pub(super) async fn block_search(&self, params: &Params) -> Answer {
        let asked = Search::read(params, Order::Descending)?;
        let found = self.api.search(move |view| {
            let hits = search::blocks(view, &asked.query)?;
            let total = hits.len();
            let blocks = asked.page(hits)?.into_iter().map(|height| {
                let stored = stored_block(&view.snapshot, height)?;
                stored.ok_or(ApiError::NoHeight(height))
            });
            Ok((blocks.collect::<Result<Vec<_>, _>>()?, total))
        });
        let (blocks, total) = found.await?;
        let blocks = blocks.iter().map(shape::block).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({"blocks": blocks, "total_count": number(total)}))
    }

    pub(super) async fn block_results(&self, params: &Params) -> Answer {
        let (height, results) = self.api.results(params.number("height")?).await?;
        let txs: Vec<_> = results.tx_results.iter().map(shape::tx_result).collect();
        let txs = (!txs.is_empty()).then_some(txs); // Go's nil
        Ok(json!({
            "height": number(height),
            "txs_results": txs,
            "finalize_block_events": shape::events(&results.events),
            "validator_updates": null,
            "consensus_param_updates": null,
            "app_hash": shape::bytes(&results.app_hash),
        }))
    }

    /// Headers from `maxHeight` down, at most [`MAX_METAS`].
    pub(super) async fn blockchain(&self, params: &Params) -> Answer {
        let newest = self.api.head().height.0;
        let highest = params
            .number("maxHeight")?
            .filter(|height| *height > 0)
            .unwrap_or(newest);
        let highest = highest.min(newest);
        let lowest = params.number("minHeight")?.unwrap_or(1).max(1);
        let lowest = lowest.max(highest.saturating_sub(MAX_METAS - 1));
        let mut metas = Vec::new();
        for height in (lowest..=highest).rev() {
            metas.push(shape::block_meta(&self.api.block(Some(height)).await?)?);
        }
        Ok(json!({"last_height": number(newest), "block_metas": metas}))
    }

    pub(super) async fn commit(&self, params: &Params) -> Answer {
        let stored = self.api.block(params.number("height")?).await?;
        let header = shape::header(&stored.block)?;
        let commit = shape::commit(Some(&stored.commit))?;
        Ok(json!({"signed_header": {"header": header, "commit": commit}, "canonical": true}))
    }

    pub(super) async fn header(&self, params: &Params) -> Answer {
        let stored = self.api.block(params.number("height")?).await?;
        Ok(json!({"header": shape::header(&stored.block)?}))
    }

    pub(super) async fn header_by_hash(&self, params: &Params) -> Answer {
        let stored = self.api.block_by_hash(params.hash("hash")?).await?;
        let header = stored.map(|stored| shape::header(&stored.block)).transpose()?;
        Ok(json!({"header": header}))
    }

    /// The height that a call about what never changes is about.
    pub(super) fn height(&self, params: &Params) -> Result<i64, RpcError> {
        let newest = self.api.head().height.0;
        match params.number("height")? {
            Some(height) if height > newest => Err(ApiError::Future { height, newest }.into()),
            Some(height) if height <= 0 => {
                let text = format!("height must be greater than 0, but got {height}");
                Err(RpcError::internal(text))
            }
            height => Ok(height.unwrap_or(newest)),
        }
    }

    pub(super) fn consensus_params(&self, params: &Params) -> Answer {
        let height = number(self.height(params)?);
        Ok(json!({"block_height": height, "consensus_params": consensus_params()}))
    }

    /// The genesis as base64 in pieces of [`GENESIS_CHUNK_BYTES`].
    pub(super) fn genesis_chunked(&self, params: &Params) -> Answer {
        let chunk = params.number("chunk")?.unwrap_or(0);
        let text = self.genesis()?["genesis"].to_string();
        let chunks: Vec<_> = text.as_bytes().chunks(GENESIS_CHUNK_BYTES).collect();
        let data = usize::try_from(chunk).ok().and_then(|chunk| chunks.get(chunk));
        let Some(data) = data else {
            let last = chunks.len().saturating_sub(1);
            let text = format!("there are 0 - {last} chunks, and {chunk} was asked for");
            return Err(RpcError::internal(text));
        };
        Ok(json!({"chunk": number(chunk), "total": number(chunks.len()), "data": shape::bytes(data)}))
    }

    pub(super) fn genesis(&self) -> Answer {
        let state =
            serde_json::to_value(&*self.genesis).map_err(|error| RpcError::internal(error.to_string()))?;
        let genesis = &self.api.machine.rules.validators;
        let validator = |info| {
            let mut value = shape::validator(info);
            value["power"] = value["voting_power"].take();
            value["name"] = "".into();
            if let Some(fields) = value.as_object_mut() {
                fields.retain(|name, _| name != "voting_power" && name != "proposer_priority");
            }
            value
        };
        Ok(json!({"genesis": {
            "genesis_time": shape::time(self.genesis.genesis_time_ms)?,
            "chain_id": self.genesis.chain_id,
            "initial_height": "1",
            "consensus_params": consensus_params(),
            "validators": genesis.infos().iter().map(validator).collect::<Vec<_>>(),
            "app_hash": "",
            "app_state": state,
        }}))
    }

    /// A page of who commits to the block at `height`.
    pub(super) async fn validators(&self, params: &Params) -> Answer {
        let (page, per_page) = (params.number("page")?, params.number("per_page")?);
        let set = self.api.validators(params.number("height")?).await?;
        let infos: Vec<_> = set.validators.infos().iter().collect();
        let shown = search::page(&infos, page, per_page, PER_PAGE, MAX_PER_PAGE)?;
        let validators: Vec<_> = shown.into_iter().map(shape::validator).collect();
        Ok(json!({
            "block_height": number(set.height),
            "count": number(validators.len()),
            "total": number(infos.len()),
            "validators": validators,
        }))
    }
}

fn consensus_params() -> Value {
    json!({
        "block": {"max_bytes": number(MAX_BLOCK_BYTES), "max_gas": number(MAX_BLOCK_GAS)},
        "evidence": {
            "max_age_num_blocks": number(block::EVIDENCE_BLOCKS),
            "max_age_duration": format!("{}000000000", block::EVIDENCE_SECONDS),
            "max_bytes": number(block::EVIDENCE_BYTES),
        },
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {},
        "abci": {"vote_extensions_enable_height": "0"},
    })
}
