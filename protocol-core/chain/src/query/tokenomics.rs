//! Queries of module tokenomics.

use portico_protocol::wire::pocket;

use super::view::{Answer, View, answer, unknown};
use crate::tokenomics;

impl View<'_> {
    pub(super) fn tokenomics(&self, method: &str, _request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::tokenomics::QueryParamsResponse;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(tokenomics::params(self.state)?),
            }),
            _ => unknown("pocket.tokenomics.Query", method),
        }
    }
}
