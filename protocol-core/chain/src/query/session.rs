//! Queries of module session.

use portico_protocol::Height;
use portico_protocol::wire::pocket;

use super::view::{Answer, QueryError, View, address, answer, read, unknown};
use crate::{session, shared};

impl View<'_> {
    pub(super) fn session(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse, QueryParamsResponse};
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(session::params(self.state)?),
            }),
            "GetSession" => {
                let request: QueryGetSessionRequest = read(request)?;
                if request.block_height < 0 {
                    return Err(QueryError::InvalidArgument("block_height is negative".into()));
                }
                let height = if request.block_height == 0 {
                    self.height
                } else {
                    Height(request.block_height)
                };
                let (app, service) = (&request.application_address, &request.service_id);
                address(app)?;
                if let Some(text) = shared::service_id_fault(service) {
                    return Err(QueryError::InvalidArgument(format!("{text}: invalid service ID")));
                }
                let session = session::hydrate(self.state, self.height, app, service, height)?;
                answer(&QueryGetSessionResponse {
                    session: Some(session),
                })
            }
            _ => unknown("pocket.session.Query", method),
        }
    }
}
