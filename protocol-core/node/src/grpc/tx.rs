//! `cosmos.tx.v1beta1.Service`: simulate, broadcast, look up, search.

use bytes::Bytes;
use portico_chain::block::TxOutcome;
use portico_protocol::tx::{decode_tx, tx_hash};
use portico_protocol::wire::cosmos::base::abci::v1beta1::{
    GasInfo, Result as TxMsgResult, TxMsgData, TxResponse,
};
use portico_protocol::wire::cosmos::base::query::v1beta1::PageResponse;
use portico_protocol::wire::cosmos::tx::v1beta1::{
    BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetBlockWithTxsRequest, GetBlockWithTxsResponse,
    GetTxRequest, GetTxResponse, GetTxsEventRequest, GetTxsEventResponse, OrderBy, SimulateRequest,
    SimulateResponse, Tx, TxDecodeRequest, TxDecodeResponse, TxEncodeRequest, TxEncodeResponse, TxRaw,
};
use portico_protocol::wire::tendermint::abci::{Event, EventAttribute};
use prost::Message;
use prost_types::Any;
use tendermint_proto::v0_38::abci;
use tonic::Status;

use super::{read, status};
use crate::api::{Api, ApiError, StoredTx, tx_at};
use crate::search::{self, Query};

/// Transactions of a page, at most and unless asked otherwise; the SDK's.
const MAX_TXS: usize = 100;

/// Answers a method of the service.
pub(super) async fn answer(api: &Api, method: &str, request: &[u8]) -> Result<Bytes, Status> {
    match method {
        "Simulate" => simulate(api, read(request)?)
            .await
            .map(|answer| answer.encode_to_vec().into()),
        "BroadcastTx" => broadcast(api, read(request)?)
            .await
            .map(|answer| answer.encode_to_vec().into()),
        "GetTx" => get(api, read(request)?)
            .await
            .map(|answer| answer.encode_to_vec().into()),
        "GetTxsEvent" => search(api, read(request)?)
            .await
            .map(|answer| answer.encode_to_vec().into()),
        "GetBlockWithTxs" => with_txs(api, read(request)?)
            .await
            .map(|answer| answer.encode_to_vec().into()),
        "TxDecode" => decode(&read::<TxDecodeRequest>(request)?).map(|answer| answer.encode_to_vec().into()),
        "TxEncode" => {
            let request: TxEncodeRequest = read(request)?;
            let tx = request
                .tx
                .ok_or_else(|| Status::invalid_argument("invalid empty tx"))?;
            let tx_bytes = raw(&tx).encode_to_vec();
            Ok(TxEncodeResponse { tx_bytes }.encode_to_vec().into())
        }
        _ => Err(Status::unimplemented(format!(
            "cosmos.tx.v1beta1.Service/{method}"
        ))),
    }
}

async fn simulate(api: &Api, request: SimulateRequest) -> Result<SimulateResponse, Status> {
    let tx = match (request.tx_bytes.is_empty(), &request.tx) {
        (false, _) => request.tx_bytes,
        (true, Some(tx)) => raw(tx).encode_to_vec(),
        (true, None) => return Err(Status::invalid_argument("tx_bytes are empty")),
    };
    let outcome = api.simulate(tx.into()).await.map_err(|error| status(&error))?;
    if outcome.code != 0 {
        return Err(Status::unknown(outcome.log)); // as the SDK does
    }
    let responses = TxMsgData::decode(outcome.data.as_slice());
    Ok(SimulateResponse {
        gas_info: Some(GasInfo {
            gas_wanted: outcome.gas_wanted,
            gas_used: outcome.gas_used,
        }),
        result: Some(TxMsgResult {
            data: outcome.data,
            log: outcome.log,
            events: outcome.events,
            msg_responses: responses.unwrap_or_default().msg_responses,
        }),
    })
}

fn raw(tx: &Tx) -> TxRaw {
    let body = tx.body.as_ref().map(Message::encode_to_vec);
    let auth_info = tx.auth_info.as_ref().map(Message::encode_to_vec);
    TxRaw {
        body_bytes: body.unwrap_or_default(),
        auth_info_bytes: auth_info.unwrap_or_default(),
        signatures: tx.signatures.clone(),
    }
}

async fn broadcast(api: &Api, request: BroadcastTxRequest) -> Result<BroadcastTxResponse, Status> {
    if request.mode() == BroadcastMode::Unspecified || request.mode() == BroadcastMode::Block {
        return Err(Status::invalid_argument("mode must be SYNC or ASYNC"));
    }
    let txhash = tx_hash(&request.tx_bytes);
    let outcome = match api.broadcast(request.tx_bytes.into()).await {
        Ok(outcome) => outcome,
        Err(ApiError::Mempool(error)) if error.code().is_some() => TxOutcome {
            code: error.code().unwrap_or_default(),
            codespace: "sdk".to_owned(),
            log: error.to_string(),
            ..TxOutcome::default()
        },
        Err(error) => return Err(status(&error)),
    };
    let tx_response = TxResponse {
        txhash,
        code: outcome.code,
        codespace: outcome.codespace,
        raw_log: outcome.log,
        gas_wanted: i64::try_from(outcome.gas_wanted).unwrap_or(i64::MAX),
        gas_used: i64::try_from(outcome.gas_used).unwrap_or(i64::MAX),
        ..TxResponse::default()
    };
    Ok(BroadcastTxResponse {
        tx_response: Some(tx_response),
    })
}

async fn get(api: &Api, request: GetTxRequest) -> Result<GetTxResponse, Status> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&request.hash, &mut hash)
        .map_err(|error| Status::invalid_argument(format!("hash {:?}: {error}", request.hash)))?;
    let stored = api.tx(hash).await.map_err(|error| status(&error))?;
    let stored = stored.ok_or_else(|| Status::not_found(format!("tx not found: {}", request.hash)))?;
    let tx = decoded(&stored.tx);
    Ok(GetTxResponse {
        tx_response: Some(response(&stored, &tx)),
        tx: Some(tx),
    })
}

/// A transaction with its parts; those of bytes that were included although they do not decode are empty.
fn decoded(bytes: &[u8]) -> Tx {
    decode_tx(bytes).map_or_else(
        |_| Tx::default(),
        |decoded| Tx {
            body: Some(decoded.body),
            auth_info: Some(decoded.auth_info),
            signatures: decoded.raw.signatures,
        },
    )
}

fn decode(request: &TxDecodeRequest) -> Result<TxDecodeResponse, Status> {
    if request.tx_bytes.is_empty() {
        return Err(Status::invalid_argument("invalid empty tx bytes"));
    }
    let decoded = decode_tx(&request.tx_bytes);
    let decoded =
        decoded.map_err(|error| Status::unknown(format!("codespace sdk code 2: tx parse error: {error}")))?;
    Ok(TxDecodeResponse {
        tx: Some(Tx {
            body: Some(decoded.body),
            auth_info: Some(decoded.auth_info),
            signatures: decoded.raw.signatures,
        }),
    })
}

/// A block, and a page of its transactions.
async fn with_txs(api: &Api, request: GetBlockWithTxsRequest) -> Result<GetBlockWithTxsResponse, Status> {
    let newest = api.head().height.0;
    let height = request.height;
    if height < 1 || height > newest {
        return Err(Status::unknown(format!(
            "codespace sdk code 26: invalid height: requested height {height} but height must not be less than 1 or greater than the current height {newest}"
        )));
    }
    let stored = api.block(Some(height)).await.map_err(|error| status(&error))?;
    let (block_id, block) = super::base::parts(&stored)?;
    let page = request.pagination.unwrap_or_default();
    let from = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let limit = match usize::try_from(page.limit).unwrap_or(MAX_TXS) {
        0 => MAX_TXS,
        limit => limit.min(MAX_TXS),
    };
    let all = &stored.block.data;
    let txs = all.iter().skip(from).take(limit).map(|tx| decoded(tx));
    Ok(GetBlockWithTxsResponse {
        txs: txs.collect(),
        block_id: Some(block_id),
        block: Some(block),
        pagination: Some(PageResponse {
            next_key: Vec::new(),
            total: u64::try_from(all.len()).unwrap_or(u64::MAX),
        }),
    })
}

/// The page of included transactions whose events match.
async fn search(api: &Api, request: GetTxsEventRequest) -> Result<GetTxsEventResponse, Status> {
    let text = match request.query.is_empty() {
        true => request.events.join(" AND "),
        false => request.query.clone(),
    };
    if text.is_empty() {
        return Err(Status::invalid_argument("query cannot be empty"));
    }
    let query = Query::parse(&text).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let number = |number: u64| (number > 0).then(|| i64::try_from(number).unwrap_or(i64::MAX));
    let (page, limit) = (number(request.page), number(request.limit));
    let newest_first = request.order_by() == OrderBy::Desc;
    let found = api.search(move |view| {
        let mut hits = search::txs(view, &query)?;
        if newest_first {
            hits.reverse();
        }
        let total = hits.len();
        let hits = search::page(&hits, page, limit, MAX_TXS, MAX_TXS)?;
        let stored = hits
            .into_iter()
            .map(|(height, index)| tx_at(&view.snapshot, height, index));
        Ok((stored.collect::<Result<Vec<_>, _>>()?, total))
    });
    let (found, total) = found.await.map_err(|error| status(&error))?;
    let txs: Vec<_> = found.iter().map(|stored| decoded(&stored.tx)).collect();
    let tx_responses = found
        .iter()
        .zip(&txs)
        .map(|(stored, tx)| response(stored, tx))
        .collect();
    Ok(GetTxsEventResponse {
        txs,
        tx_responses,
        total: u64::try_from(total).unwrap_or(u64::MAX),
        ..GetTxsEventResponse::default()
    })
}

fn response(stored: &StoredTx, tx: &Tx) -> TxResponse {
    let result = &stored.result;
    TxResponse {
        height: stored.height,
        txhash: tx_hash(&stored.tx),
        codespace: result.codespace.clone(),
        code: result.code,
        data: hex::encode_upper(&result.data),
        raw_log: result.log.clone(),
        info: result.info.clone(),
        gas_wanted: result.gas_wanted,
        gas_used: result.gas_used,
        tx: Some(Any {
            type_url: "/cosmos.tx.v1beta1.Tx".to_owned(),
            value: tx.encode_to_vec(),
        }),
        timestamp: stored.time.to_rfc3339(),
        events: result.events.iter().map(event).collect(),
        ..TxResponse::default()
    }
}

fn event(event: &abci::Event) -> Event {
    let attribute = |attribute: &abci::EventAttribute| EventAttribute {
        key: attribute.key.clone(),
        value: attribute.value.clone(),
        index: attribute.index,
    };
    Event {
        r#type: event.r#type.clone(),
        attributes: event.attributes.iter().map(attribute).collect(),
    }
}
