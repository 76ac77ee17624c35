//! Queries of module feature.

use portico_protocol::Height;
use portico_protocol::wire::portico::feature::{
    Flag, QueryFlagHistoryRequest, QueryFlagHistoryResponse, QueryFlagRequest, QueryFlagResponse,
    QueryFlagsRequest, QueryFlagsResponse,
};

use super::page::{filtered, history};
use super::view::{Answer, QueryError, View, answer, found, read, unknown};
use crate::feature;
use crate::state::Store;

impl View<'_> {
    pub(super) fn feature(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Flag" => {
                let request: QueryFlagRequest = read(request)?;
                answer(&self.flag(&request.name, self.asked(request.height)?)?)
            }
            "Flags" => {
                let request: QueryFlagsRequest = read(request)?;
                let height = self.asked(request.height)?;
                let begun = |oldest: &Flag| oldest.from_height <= height.0;
                let (oldest, pagination) = filtered(
                    self.state,
                    Store::Feature,
                    feature::NAMES,
                    request.pagination,
                    begun,
                )?;
                let flags = oldest
                    .iter()
                    .map(|flag| self.flag(&flag.name, height))
                    .collect::<Answer<_>>()?;
                answer(&QueryFlagsResponse { flags, pagination })
            }
            "FlagHistory" => {
                let request: QueryFlagHistoryRequest = read(request)?;
                let prefix = feature::entries(&request.name);
                let (flags, pagination) = history(self.state, Store::Feature, &prefix, request.pagination)?;
                answer(&QueryFlagHistoryResponse { flags, pagination })
            }
            _ => unknown("portico.feature.Query", method),
        }
    }

    fn asked(&self, height: i64) -> Answer<Height> {
        match height {
            ..0 => Err(QueryError::InvalidArgument("height is negative".into())),
            0 => Ok(self.height),
            _ => Ok(Height(height)),
        }
    }

    fn flag(&self, name: &str, height: Height) -> Answer<QueryFlagResponse> {
        let flag = found(feature::flag_at(self.state, name, height)?, || {
            format!("flag {name:?} is not set at height {height}")
        })?;
        Ok(QueryFlagResponse {
            known: feature::is_known(name),
            flag: Some(flag),
        })
    }
}
