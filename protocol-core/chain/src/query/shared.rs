//! Queries of module shared.

use portico_protocol::wire::pocket;

use super::view::{Answer, View, answer, height_of, read, unknown};
use crate::shared;

impl View<'_> {
    pub(super) fn shared(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::shared::{QueryParamsAtHeightRequest, QueryParamsAtHeightResponse, QueryParamsResponse};
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(shared::params(self.state)?),
            }),
            "ParamsAtHeight" => {
                let request: QueryParamsAtHeightRequest = read(request)?;
                let params = shared::params_at(self.state, height_of(request.height)?)?;
                answer(&QueryParamsAtHeightResponse { params: Some(params) })
            }
            _ => unknown("pocket.shared.Query", method),
        }
    }
}
