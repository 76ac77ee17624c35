//! `abci_query`: every gRPC method by its path, raw keys with proofs at any retained height, and the application's own questions.

use bytes::Bytes;
use portico_chain::query::QueryError;
use portico_store::ProofStep;
use tonic::{Code, Status};

use super::{Api, ApiError};
use crate::grpc;

/// Method that asks for an `abci_query`: it is not answered within one.
const NESTED: &str = "/cosmos.base.tendermint.v1beta1.Service/ABCIQuery";

/// The answer to an `abci_query`, which may be a failure of the query itself.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// The SDK's code and the reason, when there is no answer.
    pub(crate) fault: Option<(u32, String)>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) proof: Vec<ProofStep>,
    /// Height of the state that was asked; the newest for a failure.
    pub(crate) height: i64,
}

/// The SDK's codes (`types/errors`).
mod code {
    pub(super) const UNKNOWN_REQUEST: u32 = 6;
    pub(super) const INVALID_REQUEST: u32 = 18;
    pub(super) const KEY_NOT_FOUND: u32 = 22;
    pub(super) const INVALID_HEIGHT: u32 = 26;
}

impl Api {
    /// Answers any gRPC method by its path; `/store/<name>/key`: the raw value at the key `data`, proved if asked for; `/app/version` and
    /// `/app/simulate`. Methods have no proofs, as in the SDK.
    pub(crate) async fn abci_query(
        &self,
        path: String,
        data: Bytes,
        height: Option<i64>,
        prove: bool,
    ) -> Result<Answered, ApiError> {
        let store = path
            .strip_prefix("/store/")
            .and_then(|rest| rest.strip_suffix("/key"));
        let answered = match (store, path.as_str()) {
            (Some(store), _) => self.key(store.to_owned(), data, height, prove).await,
            (None, "/app/version") => Ok(self.of_tip(portico_chain::RULES_VERSION.as_bytes().to_vec())),
            (None, "/app/simulate") => return self.app_simulate(data).await,
            (None, NESTED) => Err(ApiError::Query(QueryError::Unimplemented(path))),
            (None, _) => match Box::pin(grpc::service(self, &path, &data, height)).await {
                Some(Ok(value)) => Ok(self.of_tip(value.into())),
                Some(Err(status)) => return self.failed(of_status(&status)),
                None => self
                    .query(path, data, height)
                    .await
                    .map(|(value, height)| Answered {
                        value: value.into(),
                        height,
                        ..Answered::default()
                    }),
            },
        };
        answered.or_else(|error| match of_error(&error) {
            Some(fault) => self.failed(fault),
            None => Err(error),
        })
    }

    /// What a transaction would do, as JSON.
    async fn app_simulate(&self, tx: Bytes) -> Result<Answered, ApiError> {
        let outcome = self.simulate(tx).await?;
        if outcome.code != 0 {
            return Ok(Answered {
                fault: Some((outcome.code, format!("failed to simulate tx: {}", outcome.log))),
                ..Answered::default()
            });
        }
        Ok(self.of_tip(super::simulated::json(&outcome).into_bytes()))
    }

    fn of_tip(&self, value: Vec<u8>) -> Answered {
        Answered {
            value,
            height: self.head().height.0,
            ..Answered::default()
        }
    }

    fn failed(&self, fault: (u32, String)) -> Result<Answered, ApiError> {
        Ok(Answered {
            fault: Some(fault),
            height: self.head().height.0,
            ..Answered::default()
        })
    }

    async fn key(
        &self,
        store: String,
        key: Bytes,
        height: Option<i64>,
        prove: bool,
    ) -> Result<Answered, ApiError> {
        let stored = self.value(store, key.clone(), height, prove).await?;
        Ok(Answered {
            fault: None,
            key: key.into(),
            value: stored.value.unwrap_or_default(),
            proof: stored.proof,
            height: stored.height,
        })
    }
}

/// The SDK's code for a query's error, and its text; `None` for what is no fault of the query.
fn of_error(error: &ApiError) -> Option<(u32, String)> {
    let code = match error {
        ApiError::Query(QueryError::Unimplemented(_)) => {
            return Some((
                code::UNKNOWN_REQUEST,
                "unknown query path: unknown request".into(),
            ));
        }
        ApiError::Query(error) => {
            let code = Code::from_i32(error.grpc_code());
            return Some(of_status(&Status::new(code, error.to_string())));
        }
        ApiError::Refused(_) | ApiError::NotRetained { .. } => code::INVALID_REQUEST,
        ApiError::FutureState { .. } => code::INVALID_HEIGHT,
        _ => return None,
    };
    Some((code, error.to_string()))
}

/// A gRPC status as `abci_query` tells it (`baseapp`, `gRPCErrorToSDKError`).
fn of_status(status: &Status) -> (u32, String) {
    let text = status.message();
    let (name, code, meaning) = match status.code() {
        Code::Unknown => return (code::INVALID_REQUEST, format!("{text}: invalid request")),
        Code::NotFound => ("NotFound", code::KEY_NOT_FOUND, "key not found"),
        Code::InvalidArgument => ("InvalidArgument", code::INVALID_REQUEST, "invalid request"),
        Code::FailedPrecondition => ("FailedPrecondition", code::INVALID_REQUEST, "invalid request"),
        Code::Unimplemented => ("Unimplemented", code::UNKNOWN_REQUEST, "unknown request"),
        Code::Unavailable => ("Unavailable", code::UNKNOWN_REQUEST, "unknown request"),
        _ => ("Internal", code::UNKNOWN_REQUEST, "unknown request"),
    };
    (code, format!("rpc error: code = {name} desc = {text}: {meaning}"))
}
