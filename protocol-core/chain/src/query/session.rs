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
                    return Err(QueryError::InvalidArgument(format!(
                        "invalid block height for session being retrieved {};: invalid block height for session",
                        request.block_height
                    )));
                }
                let height = if request.block_height == 0 {
                    self.height
                } else {
                    Height(request.block_height)
                };
                let (app, service) = (&request.application_address, &request.service_id);
                let invalid = |error| {
                    let text = match app.is_empty() {
                        true => "empty address string is not allowed".to_owned(),
                        false => format!("{error}"),
                    };
                    QueryError::InvalidArgument(format!("{text}: invalid application address for session"))
                };
                address(app).map_err(invalid)?;
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
