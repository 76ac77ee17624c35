//! `cosmos.base.node.v1beta1.Service`: how the node is set up, and how far it is; and the params of consensus, which are the node's.

use bytes::Bytes;
use portico_protocol::wire::cosmos::base::node::v1beta1::{ConfigResponse, StatusResponse};
use portico_protocol::wire::cosmos::consensus::v1::{
    AbciParams, BlockParams, ConsensusParams, EvidenceParams, QueryParamsResponse, ValidatorParams,
    VersionParams,
};
use prost::Message as _;
use tonic::Status;

use super::status;
use crate::api::Api;
use crate::block::{self, bytes_of};

/// Answers a method of the service; `height` is the one that was asked for.
pub(super) async fn answer(api: &Api, method: &str, height: Option<i64>) -> Result<Bytes, Status> {
    let answer = match method {
        "Config" => ConfigResponse {
            minimum_gas_price: api.machine.mempool.min_gas_price(),
            pruning_keep_recent: api.machine.store().retain().to_string(),
            pruning_interval: "1".to_owned(),
            halt_height: 0,
        }
        .encode_to_vec(),
        "Status" => whole(api, height).await?.encode_to_vec(),
        _ => {
            let text = format!("cosmos.base.node.v1beta1.Service/{method}");
            return Err(Status::unimplemented(text));
        }
    };
    Ok(answer.into())
}

async fn whole(api: &Api, height: Option<i64>) -> Result<StatusResponse, Status> {
    let stored = api.block(height).await.map_err(|error| status(&error))?;
    let oldest = api.oldest_state().await.map_err(|error| status(&error))?;
    let header = &stored.block.header;
    let time = header.time;
    Ok(StatusResponse {
        earliest_store_height: u64::try_from(oldest).unwrap_or(0),
        height: u64::from(header.height),
        timestamp: Some(prost_types::Timestamp {
            seconds: time.unix_timestamp(),
            nanos: i32::try_from(time.unix_timestamp_nanos().rem_euclid(1_000_000_000)).unwrap_or(0),
        }),
        app_hash: header.app_hash.as_bytes().to_vec(),
        validator_hash: bytes_of(&header.next_validators_hash).to_vec(),
    })
}

/// Answers a method of `cosmos.consensus.v1.Query`.
pub(super) fn consensus(method: &str) -> Result<Bytes, Status> {
    if method != "Params" {
        return Err(Status::unimplemented(format!(
            "cosmos.consensus.v1.Query/{method}"
        )));
    }
    let params = ConsensusParams {
        block: Some(BlockParams {
            max_bytes: i64::from(block::MAX_BLOCK_BYTES),
            max_gas: block::MAX_BLOCK_GAS,
        }),
        evidence: Some(EvidenceParams {
            max_age_num_blocks: block::EVIDENCE_BLOCKS,
            max_age_duration: Some(prost_types::Duration {
                seconds: block::EVIDENCE_SECONDS,
                nanos: 0,
            }),
            max_bytes: block::EVIDENCE_BYTES,
        }),
        validator: Some(ValidatorParams {
            pub_key_types: vec!["ed25519".to_owned()],
        }),
        version: Some(VersionParams {
            app: block::APP_VERSION,
        }),
        abci: Some(AbciParams {
            vote_extensions_enable_height: 0,
        }),
    };
    let answer = QueryParamsResponse { params: Some(params) };
    Ok(answer.encode_to_vec().into())
}
