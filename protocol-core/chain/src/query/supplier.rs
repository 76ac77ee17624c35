//! Queries of module supplier.

use portico_protocol::wire::pocket;

use super::page::filtered;
use super::view::{Answer, QueryError, View, address, answer, found, read, unknown};
use crate::state::Store;
use crate::supplier;

impl View<'_> {
    pub(super) fn supplier(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::shared::Supplier;
        use pocket::supplier::{
            QueryAllSuppliersRequest, QueryAllSuppliersResponse, QueryGetSupplierRequest,
            QueryGetSupplierResponse, QueryParamsResponse,
        };
        // Shown with the services of the queried height; without revenue shares and history when dehydrated.
        let shown = |mut supplier: Supplier, dehydrated: bool| {
            supplier.services = supplier::active_services(&supplier, self.height);
            if dehydrated {
                supplier.service_config_history.clear();
                for config in &mut supplier.services {
                    config.rev_share.clear();
                }
            }
            supplier
        };
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(supplier::params(self.state)?),
            }),
            "Supplier" => {
                let request: QueryGetSupplierRequest = read(request)?;
                let supplier = found(supplier::supplier(self.state, &request.operator_address)?, || {
                    let operator = &request.operator_address;
                    format!("supplier with operator address: {operator:?}: supplier not found")
                })?;
                answer(&QueryGetSupplierResponse {
                    supplier: Some(shown(supplier, request.dehydrated)),
                })
            }
            "AllSuppliers" => {
                let request: QueryAllSuppliersRequest = read(request)?;
                if !request.owner_address.is_empty() {
                    let owner = &request.owner_address;
                    let invalid = |error| {
                        QueryError::InvalidArgument(format!(
                            "invalid owner address {owner}; ({error}): invalid address"
                        ))
                    };
                    address(owner).map_err(invalid)?;
                }
                let equal = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
                let wanted = |supplier: &Supplier| {
                    equal(&request.operator_address, &supplier.operator_address)
                        && equal(&request.owner_address, &supplier.owner_address)
                        && (request.service_id.is_empty()
                            || supplier::active_services(supplier, self.height)
                                .iter()
                                .any(|config| config.service_id == request.service_id))
                };
                let (supplier, pagination) = filtered(
                    self.state,
                    Store::Supplier,
                    supplier::SUPPLIERS,
                    request.pagination.clone(),
                    wanted,
                )?;
                let supplier = supplier
                    .into_iter()
                    .map(|supplier| shown(supplier, request.dehydrated))
                    .collect();
                answer(&QueryAllSuppliersResponse { supplier, pagination })
            }
            _ => unknown("pocket.supplier.Query", method),
        }
    }
}
