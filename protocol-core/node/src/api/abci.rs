//! `abci_query`: queries of the router and raw keys with proofs, at any retained height.

use bytes::Bytes;
use portico_chain::query::QueryError;
use portico_store::ProofStep;

use super::{Api, ApiError};

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

impl Api {
    /// Answers any query of the router by its path, or `/store/<name>/key`: the raw value at the key `data`, proved if asked for.
    /// Queries of the router have no proofs, as in the SDK.
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
        let answered = match store {
            Some(store) => self.key(store.to_owned(), data, height, prove).await,
            None => self
                .query(path, data, height)
                .await
                .map(|(value, height)| Answered {
                    value: value.into(),
                    height,
                    ..Answered::default()
                }),
        };
        answered.or_else(|error| match sdk_code(&error) {
            Some(code) => Ok(Answered {
                fault: Some((code, error.to_string())),
                height: self.head().height.0,
                ..Answered::default()
            }),
            None => Err(error),
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

/// The SDK's code for a query's error (`types/errors`); `None` for what is no fault of the query.
const fn sdk_code(error: &ApiError) -> Option<u32> {
    match error {
        ApiError::Query(QueryError::NotFound(_)) => Some(22),
        ApiError::Query(QueryError::Unimplemented(_)) => Some(6),
        ApiError::Query(QueryError::InvalidArgument(_))
        | ApiError::Refused(_)
        | ApiError::NotRetained { .. } => Some(18),
        ApiError::Query(QueryError::Internal(_)) => Some(1),
        ApiError::FutureState { .. } => Some(26),
        _ => None,
    }
}
