//! Queries of the SDK's modules authz and feegrant.

use portico_protocol::Address;
use portico_protocol::wire::cosmos::authz::v1beta1::{
    Grant, GrantAuthorization, QueryGranteeGrantsRequest, QueryGranteeGrantsResponse,
    QueryGranterGrantsRequest, QueryGranterGrantsResponse, QueryGrantsRequest, QueryGrantsResponse,
};
use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use portico_protocol::wire::cosmos::feegrant::v1beta1::{
    Grant as Allowance, QueryAllowanceRequest, QueryAllowanceResponse, QueryAllowancesByGranterRequest,
    QueryAllowancesByGranterResponse, QueryAllowancesRequest, QueryAllowancesResponse,
};

use super::page::{filtered, mapped, paged};
use super::view::{Answer, QueryError, View, answer, read, unknown};
use crate::context::{decode, read as stored};
use crate::state::Store;
use crate::{authz, feegrant};

/// Grants of authz with their parties, and what pages there are.
type Grants = (Vec<GrantAuthorization>, Option<PageResponse>);

impl View<'_> {
    pub(super) fn authz(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Grants" => self.grants(read(request)?),
            "GranterGrants" => {
                let request: QueryGranterGrantsRequest = read(request)?;
                let prefix = authz::of_granter(&address(&request.granter)?);
                let (grants, pagination) = self.granted(&prefix, request.pagination, None)?;
                answer(&QueryGranterGrantsResponse { grants, pagination })
            }
            "GranteeGrants" => {
                let request: QueryGranteeGrantsRequest = read(request)?;
                let grantee = address(&request.grantee)?;
                let (grants, pagination) = self.granted(authz::GRANTS, request.pagination, Some(grantee))?;
                answer(&QueryGranteeGrantsResponse { grants, pagination })
            }
            _ => unknown("cosmos.authz.v1beta1.Query", method),
        }
    }

    fn grants(&self, request: QueryGrantsRequest) -> Answer<Vec<u8>> {
        let (granter, grantee) = (address(&request.granter)?, address(&request.grantee)?);
        let url = &request.msg_type_url;
        if url.is_empty() {
            let prefix = authz::key(&granter, &grantee, "");
            let (grants, pagination) = paged(self.state, Store::Auth, &prefix, request.pagination)?;
            return answer(&QueryGrantsResponse { grants, pagination });
        }
        let grant: Option<Grant> = stored(self.state, Store::Auth, &authz::key(&granter, &grantee, url))?;
        let grant = grant.ok_or_else(|| {
            QueryError::Unknown(format!(
                "codespace authz code 2: authorization not found: authorization not found for {url} type"
            ))
        })?;
        answer(&QueryGrantsResponse {
            grants: vec![grant],
            pagination: None,
        })
    }

    /// Grants under `prefix`, those to `grantee` where there is one.
    fn granted(
        &self,
        prefix: &[u8],
        pagination: Option<PageRequest>,
        grantee: Option<Address>,
    ) -> Answer<Grants> {
        mapped(self.state, Store::Auth, prefix, pagination, |key, value| {
            let Some((from, to)) = authz::parties_of(key) else {
                return Ok(None);
            };
            let grant: Grant = decode(Store::Auth, key, value)?;
            let shown = || GrantAuthorization {
                granter: from.to_string(),
                grantee: to.to_string(),
                authorization: grant.authorization,
                expiration: grant.expiration,
            };
            Ok(grantee.is_none_or(|grantee| grantee == to).then(shown))
        })
    }

    pub(super) fn feegrant(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Allowance" => {
                let request: QueryAllowanceRequest = read(request)?;
                let key = feegrant::key(&address(&request.granter)?, &address(&request.grantee)?);
                let allowance: Option<Allowance> = stored(self.state, Store::Auth, &key)?;
                let absent = || QueryError::Internal("fee-grant not found: not found".into());
                let allowance = Some(allowance.ok_or_else(absent)?);
                answer(&QueryAllowanceResponse { allowance })
            }
            "Allowances" => {
                let request: QueryAllowancesRequest = read(request)?;
                let grantee = address(&request.grantee)?.to_string();
                let to = |grant: &Allowance| grant.grantee == grantee;
                let (allowances, pagination) =
                    filtered(self.state, Store::Auth, feegrant::GRANTS, request.pagination, to)?;
                answer(&QueryAllowancesResponse {
                    allowances,
                    pagination,
                })
            }
            "AllowancesByGranter" => {
                let request: QueryAllowancesByGranterRequest = read(request)?;
                let granter = address(&request.granter)?.to_string();
                let by = |grant: &Allowance| grant.granter == granter;
                let (allowances, pagination) =
                    filtered(self.state, Store::Auth, feegrant::GRANTS, request.pagination, by)?;
                answer(&QueryAllowancesByGranterResponse {
                    allowances,
                    pagination,
                })
            }
            _ => unknown("cosmos.feegrant.v1beta1.Query", method),
        }
    }
}

/// An address, with the answer that the SDK gives to what is none.
fn address(text: &str) -> Answer<Address> {
    if text.is_empty() {
        return Err(QueryError::Unknown("empty address string is not allowed".into()));
    }
    text.parse()
        .map_err(|error: portico_protocol::types::TypeError| QueryError::Unknown(error.to_string()))
}
