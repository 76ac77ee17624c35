//! Queries of module application.

use portico_protocol::wire::pocket;

use super::page::filtered;
use super::view::{Answer, QueryError, View, address, answer, found, read, unknown};
use crate::application;
use crate::state::Store;

impl View<'_> {
    pub(super) fn application(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::application::{
            Application, QueryAllApplicationsRequest, QueryAllApplicationsResponse,
            QueryGetApplicationRequest, QueryGetApplicationResponse, QueryParamsResponse,
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(application::params(self.state)?),
            }),
            "Application" => {
                let request: QueryGetApplicationRequest = read(request)?;
                let app = found(application::application(self.state, &request.address)?, || {
                    format!("app address: {}: application not found", request.address)
                })?;
                answer(&QueryGetApplicationResponse {
                    application: Some(app),
                })
            }
            "AllApplications" => {
                let request: QueryAllApplicationsRequest = read(request)?;
                let gateway = request.delegatee_gateway_address;
                if !gateway.is_empty() {
                    let invalid = |error| {
                        QueryError::InvalidArgument(format!(
                            "{gateway:?}; ({error}): invalid gateway address querying for apps with delegatee gateway address"
                        ))
                    };
                    address(&gateway).map_err(invalid)?;
                }
                let wanted = |app: &Application| {
                    gateway.is_empty() || app.delegatee_gateway_addresses.contains(&gateway)
                };
                let (applications, pagination) = filtered(
                    self.state,
                    Store::Application,
                    application::APPLICATIONS,
                    request.pagination,
                    wanted,
                )?;
                answer(&QueryAllApplicationsResponse {
                    applications,
                    pagination,
                })
            }
            _ => unknown("pocket.application.Query", method),
        }
    }
}
