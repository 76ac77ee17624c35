//! Queries of module gateway.

use portico_protocol::wire::pocket;

use super::page::paged;
use super::view::{Answer, View, answer, found, read, unknown};
use crate::gateway;
use crate::state::Store;

impl View<'_> {
    pub(super) fn gateway(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::gateway::{
            Gateway, QueryAllGatewaysRequest, QueryAllGatewaysResponse, QueryGetGatewayRequest,
            QueryGetGatewayResponse, QueryParamsResponse,
        };
        let bare = |mut gateway: Gateway, dehydrated: bool| {
            if dehydrated {
                gateway.metadata = None;
            }
            gateway
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(gateway::params(self.state)?),
            }),
            "Gateway" => {
                let request: QueryGetGatewayRequest = read(request)?;
                let gateway = found(gateway::gateway(self.state, &request.address)?, || {
                    format!("gateway not found: address {}", request.address)
                })?;
                answer(&QueryGetGatewayResponse {
                    gateway: Some(bare(gateway, request.dehydrated)),
                })
            }
            "AllGateways" => {
                let request: QueryAllGatewaysRequest = read(request)?;
                let (gateways, pagination) =
                    paged(self.state, Store::Gateway, gateway::GATEWAYS, request.pagination)?;
                let gateways = gateways
                    .into_iter()
                    .map(|gateway| bare(gateway, request.dehydrated))
                    .collect();
                answer(&QueryAllGatewaysResponse { gateways, pagination })
            }
            _ => unknown("pocket.gateway.Query", method),
        }
    }
}
