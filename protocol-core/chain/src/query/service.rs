//! Queries of module service.

use portico_protocol::wire::pocket;

use super::page::{history, paged};
use super::view::{Answer, View, answer, found, height_of, read, unknown};
use crate::service;
use crate::state::Store;

impl View<'_> {
    pub(super) fn service(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::service::*;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(service::params(self.state)?),
            }),
            "Service" => {
                let request: QueryGetServiceRequest = read(request)?;
                let service = service::service(self.state, &request.id)?;
                let mut service = found(service, || format!("service ID not found: {:?}", request.id))?;
                if request.dehydrated {
                    service.metadata = None;
                }
                answer(&QueryGetServiceResponse {
                    service: Some(service),
                })
            }
            "AllServices" => {
                let request: QueryAllServicesRequest = read(request)?;
                let (service, pagination) =
                    paged(self.state, Store::Service, service::SERVICES, request.pagination)?;
                answer(&QueryAllServicesResponse { service, pagination })
            }
            "RelayMiningDifficulty" => {
                let request: QueryGetRelayMiningDifficultyRequest = read(request)?;
                self.existing_service(&request.service_id)?;
                let relay_mining_difficulty =
                    Some(service::difficulty(self.state, &request.service_id, self.height)?);
                answer(&QueryGetRelayMiningDifficultyResponse {
                    relay_mining_difficulty,
                })
            }
            "RelayMiningDifficultyAll" => {
                let request: QueryAllRelayMiningDifficultyRequest = read(request)?;
                let (relay_mining_difficulty, pagination) = paged(
                    self.state,
                    Store::Service,
                    service::DIFFICULTIES,
                    request.pagination,
                )?;
                answer(&QueryAllRelayMiningDifficultyResponse {
                    relay_mining_difficulty,
                    pagination,
                })
            }
            "RelayMiningDifficultyAtHeight" => {
                let request: QueryGetRelayMiningDifficultyAtHeightRequest = read(request)?;
                let height = height_of(request.block_height)?;
                self.existing_service(&request.service_id)?;
                let difficulty = service::difficulty_at(self.state, &request.service_id, height)?;
                answer(&QueryGetRelayMiningDifficultyAtHeightResponse {
                    relay_mining_difficulty: Some(difficulty),
                })
            }
            "RelayMiningDifficultyHistory" => {
                let request: QueryRelayMiningDifficultyHistoryRequest = read(request)?;
                self.existing_service(&request.service_id)?;
                let prefix = service::difficulty_history(&request.service_id);
                let (relay_mining_difficulty_history, pagination) =
                    history(self.state, Store::Service, &prefix, request.pagination)?;
                answer(&QueryRelayMiningDifficultyHistoryResponse {
                    relay_mining_difficulty_history,
                    pagination,
                })
            }
            "ComputeUnitsPerRelayAtHeight" => {
                let request: QueryComputeUnitsPerRelayAtHeightRequest = read(request)?;
                let height = height_of(request.block_height)?;
                self.existing_service(&request.service_id)?;
                let compute_units_per_relay = found(
                    service::compute_units_at(self.state, &request.service_id, height)?,
                    || format!("serviceID: {}: service not found", request.service_id),
                )?;
                answer(&QueryComputeUnitsPerRelayAtHeightResponse {
                    compute_units_per_relay,
                })
            }
            "ComputeUnitsPerRelayHistory" => {
                let request: QueryComputeUnitsPerRelayHistoryRequest = read(request)?;
                self.existing_service(&request.service_id)?;
                let prefix = service::units_history(&request.service_id);
                let (compute_units_per_relay_history, pagination) =
                    history(self.state, Store::Service, &prefix, request.pagination)?;
                answer(&QueryComputeUnitsPerRelayHistoryResponse {
                    compute_units_per_relay_history,
                    pagination,
                })
            }
            _ => unknown("pocket.service.Query", method),
        }
    }

    fn existing_service(&self, id: &str) -> Answer<pocket::shared::Service> {
        found(service::service(self.state, id)?, || {
            format!("serviceID: {id}: service not found")
        })
    }
}
