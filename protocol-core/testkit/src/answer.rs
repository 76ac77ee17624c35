//! The chain's answers in the client's types, as the node in process gives them.

use portico_chain::block::TxOutcome;
use portico_chain::query::QueryError;
use portico_client::{ChainError, Event, TxResult};
use portico_protocol::Height;
use portico_protocol::wire::tendermint::abci;

pub(crate) fn refused(error: &QueryError) -> ChainError {
    ChainError::of_grpc(error.grpc_code(), error.to_string())
}

pub(crate) fn event(event: &abci::Event) -> Event {
    let attribute = |attribute: &abci::EventAttribute| (attribute.key.clone(), attribute.value.clone());
    Event {
        kind: event.r#type.clone(),
        attributes: event.attributes.iter().map(attribute).collect(),
    }
}

pub(crate) fn tx_result(height: Height, outcome: &TxOutcome) -> TxResult {
    TxResult {
        height,
        code: outcome.code,
        codespace: outcome.codespace.clone(),
        log: outcome.log.clone(),
        gas_used: outcome.gas_used,
        events: outcome.events.iter().map(event).collect(),
    }
}
