//! `cosmos.base.tendermint.v1beta1.Service`: blocks, validators and what the node is.

use bytes::Bytes;
use portico_chain::validators::MAX_VALIDATORS;
use portico_protocol::Height;
use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use portico_protocol::wire::cosmos::base::tendermint::v1beta1::{
    AbciQueryRequest, AbciQueryResponse, Block as SdkBlock, GetBlockByHeightRequest,
    GetBlockByHeightResponse, GetLatestBlockResponse, GetLatestValidatorSetRequest,
    GetLatestValidatorSetResponse, GetNodeInfoResponse, GetSyncingResponse, GetValidatorSetByHeightRequest,
    GetValidatorSetByHeightResponse, Header as SdkHeader, ProofOp, ProofOps, Validator, VersionInfo,
};
use portico_protocol::wire::cosmos::crypto::ed25519::PubKey;
use portico_protocol::wire::tendermint::p2p::{DefaultNodeInfo, DefaultNodeInfoOther, ProtocolVersion};
use portico_protocol::wire::tendermint::types::{Block, BlockId};
use prost::{Message, Name as _};
use prost_types::Any;
use tendermint::validator::Info;
use tonic::Status;

use super::{read, status};
use crate::api::{Answered, Api, SetAt, StoredBlock};
use crate::block;
use crate::key::{consensus_address, consensus_name};

/// Version of the SDK whose shapes are spoken.
const SDK_VERSION: &str = "v0.53.0";

/// Answers a method of the service.
pub(super) async fn answer(api: &Api, method: &str, request: &[u8]) -> Result<Bytes, Status> {
    let answer = match method {
        "GetNodeInfo" => node_info(api).encode_to_vec(),
        "GetSyncing" => GetSyncingResponse { syncing: false }.encode_to_vec(),
        "GetLatestBlock" => {
            let (block_id, block, sdk_block) = whole(api, None).await?;
            GetLatestBlockResponse {
                block_id,
                block,
                sdk_block,
            }
            .encode_to_vec()
        }
        "GetBlockByHeight" => {
            let request: GetBlockByHeightRequest = read(request)?;
            let (block_id, block, sdk_block) = whole(api, Some(request.height)).await?;
            GetBlockByHeightResponse {
                block_id,
                block,
                sdk_block,
            }
            .encode_to_vec()
        }
        "GetLatestValidatorSet" => latest_validators(api, read(request)?).await?.encode_to_vec(),
        "GetValidatorSetByHeight" => validators_at(api, read(request)?).await?.encode_to_vec(),
        "ABCIQuery" => abci_query(api, read(request)?).await?.encode_to_vec(),
        _ => {
            let text = format!("cosmos.base.tendermint.v1beta1.Service/{method}");
            return Err(Status::unimplemented(text));
        }
    };
    Ok(answer.into())
}

fn node_info(api: &Api) -> GetNodeInfoResponse {
    let rules = &api.machine.rules;
    GetNodeInfoResponse {
        default_node_info: Some(DefaultNodeInfo {
            protocol_version: Some(ProtocolVersion {
                p2p: 8,
                block: block::BLOCK_PROTOCOL,
                app: block::APP_VERSION,
            }),
            default_node_id: hex::encode(consensus_address(&api.own)),
            listen_addr: crate::rpc::NO_PEERS_ADDR.to_owned(),
            network: rules.chain_id.to_string(),
            version: block::COMETBFT_VERSION.to_owned(),
            channels: Vec::new(),
            moniker: "portico".to_owned(),
            other: Some(DefaultNodeInfoOther {
                tx_index: "on".to_owned(),
                rpc_address: String::new(),
            }),
        }),
        application_version: Some(VersionInfo {
            name: "portico".to_owned(),
            app_name: "portico".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cosmos_sdk_version: SDK_VERSION.to_owned(),
            ..VersionInfo::default()
        }),
    }
}

type Whole = (Option<BlockId>, Option<Block>, Option<SdkBlock>);

async fn whole(api: &Api, height: Option<i64>) -> Result<Whole, Status> {
    let stored = api.block(height).await.map_err(|error| status(&error))?;
    let block = wire_block(&stored)?;
    let sdk = sdk_block(&block)?;
    Ok((Some(wire_id(&stored)?), Some(block), Some(sdk)))
}

/// Both crates' messages have the same bytes.
fn same<T: Message + Default>(bytes: &[u8]) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

/// Id and block of what is stored.
pub(super) fn parts(stored: &StoredBlock) -> Result<(BlockId, Block), Status> {
    Ok((wire_id(stored)?, wire_block(stored)?))
}

fn wire_block(stored: &StoredBlock) -> Result<Block, Status> {
    same(&block::encode(&stored.block))
}

fn wire_id(stored: &StoredBlock) -> Result<BlockId, Status> {
    let raw = tendermint_proto::v0_38::types::BlockId::from(stored.id);
    same(&raw.encode_to_vec())
}

/// Name of a consensus address: `poktvalcons1…`.
fn named(address: &[u8]) -> Result<String, Status> {
    consensus_name(address).map_err(|error| Status::internal(error.to_string()))
}

/// The block as the SDK shows it: its proposer by name.
fn sdk_block(block: &Block) -> Result<SdkBlock, Status> {
    let header = block.header.clone().unwrap_or_default();
    Ok(SdkBlock {
        header: Some(SdkHeader {
            proposer_address: named(&header.proposer_address)?,
            version: header.version,
            chain_id: header.chain_id,
            height: header.height,
            time: header.time,
            last_block_id: header.last_block_id,
            last_commit_hash: header.last_commit_hash,
            data_hash: header.data_hash,
            validators_hash: header.validators_hash,
            next_validators_hash: header.next_validators_hash,
            consensus_hash: header.consensus_hash,
            app_hash: header.app_hash,
            last_results_hash: header.last_results_hash,
            evidence_hash: header.evidence_hash,
        }),
        data: block.data.clone(),
        evidence: block.evidence.clone(),
        last_commit: block.last_commit.clone(),
    })
}

/// A page of a validator set, and what pages there are.
fn page_of(set: &SetAt, page: Option<&PageRequest>) -> Result<(Vec<Validator>, PageResponse), Status> {
    let page = page.cloned().unwrap_or_default();
    if page.offset > 0 && !page.key.is_empty() {
        let text = "either offset or key is expected, got both";
        return Err(Status::invalid_argument(text));
    }
    let from = match page.key.as_slice() {
        [] => usize::try_from(page.offset).unwrap_or(usize::MAX),
        key => {
            let text = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
            text.ok_or_else(|| Status::invalid_argument("the page's key is none"))?
        }
    };
    let limit = match page.limit {
        0 => MAX_VALIDATORS,
        limit => usize::try_from(limit).unwrap_or(MAX_VALIDATORS),
    };
    let infos = set.validators.infos();
    let shown = infos.iter().skip(from).take(limit).map(validator);
    let shown: Vec<_> = shown.collect::<Result<_, _>>()?;
    let next = from.saturating_add(shown.len());
    let next_key = match shown.is_empty() || next >= infos.len() {
        true => Vec::new(),
        false => next.to_string().into_bytes(),
    };
    let total = u64::try_from(infos.len()).unwrap_or(u64::MAX);
    Ok((shown, PageResponse { next_key, total }))
}

fn validator(info: &Info) -> Result<Validator, Status> {
    let key = PubKey {
        key: info.pub_key.to_bytes(),
    };
    Ok(Validator {
        address: named(info.address.as_bytes())?,
        pub_key: Some(Any {
            type_url: PubKey::type_url(),
            value: key.encode_to_vec(),
        }),
        voting_power: i64::try_from(info.power()).unwrap_or(i64::MAX),
        proposer_priority: 0,
    })
}

async fn latest_validators(
    api: &Api,
    request: GetLatestValidatorSetRequest,
) -> Result<GetLatestValidatorSetResponse, Status> {
    let set = api.validators(None).await.map_err(|error| status(&error))?;
    let (validators, pagination) = page_of(&set, request.pagination.as_ref())?;
    Ok(GetLatestValidatorSetResponse {
        block_height: set.height,
        validators,
        pagination: Some(pagination),
    })
}

async fn validators_at(
    api: &Api,
    request: GetValidatorSetByHeightRequest,
) -> Result<GetValidatorSetByHeightResponse, Status> {
    let Height(newest) = api.head().height;
    if request.height <= 0 || request.height > newest {
        let text = format!(
            "height must be between 1 and {newest}, but got {}",
            request.height
        );
        return Err(Status::invalid_argument(text));
    }
    let set = api.validators(Some(request.height)).await;
    let set = set.map_err(|error| status(&error))?;
    let (validators, pagination) = page_of(&set, request.pagination.as_ref())?;
    Ok(GetValidatorSetByHeightResponse {
        block_height: set.height,
        validators,
        pagination: Some(pagination),
    })
}

async fn abci_query(api: &Api, request: AbciQueryRequest) -> Result<AbciQueryResponse, Status> {
    let height = (request.height != 0).then_some(request.height);
    let asked = api.abci_query(request.path, request.data.into(), height, request.prove);
    let Answered {
        fault,
        key,
        value,
        proof,
        height,
    } = asked.await.map_err(|error| status(&error))?;
    let (code, log, codespace) = match fault {
        Some((code, log)) => (code, log, "sdk".to_owned()),
        None => Default::default(),
    };
    let ops: Vec<_> = proof
        .into_iter()
        .map(|step| ProofOp {
            r#type: step.kind.to_owned(),
            key: step.key,
            data: step.data,
        })
        .collect();
    Ok(AbciQueryResponse {
        code,
        log,
        key,
        value,
        proof_ops: (!ops.is_empty()).then_some(ProofOps { ops }),
        height,
        codespace,
        ..AbciQueryResponse::default()
    })
}
