//! Queries of the SDK's module bank. There is one denomination, every balance can be spent, and every account may send.

use portico_protocol::types::DENOM;
use portico_protocol::wire::cosmos::bank::v1beta1::{
    DenomOwner, Params, QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest,
    QueryBalanceResponse, QueryDenomMetadataByQueryStringRequest, QueryDenomOwnersByQueryRequest,
    QueryDenomOwnersByQueryResponse, QueryDenomOwnersRequest, QueryDenomOwnersResponse,
    QueryDenomsMetadataResponse, QueryParamsResponse, QuerySendEnabledRequest, QuerySendEnabledResponse,
    QuerySpendableBalanceByDenomRequest, QuerySpendableBalanceByDenomResponse, QuerySpendableBalancesRequest,
    QuerySpendableBalancesResponse, QuerySupplyOfRequest, QuerySupplyOfResponse, QueryTotalSupplyResponse,
};
use portico_protocol::wire::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::{Address, Upokt};

use super::page::{mapped, whole};
use super::view::{Answer, QueryError, View, answer, read, unknown};
use crate::bank;
use crate::state::Store;

impl View<'_> {
    pub(super) fn bank(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Balance" => {
                let request: QueryBalanceRequest = read(request)?;
                let balance = Some(self.balance(&request.address, request.denom)?);
                answer(&QueryBalanceResponse { balance })
            }
            "SpendableBalanceByDenom" => {
                let request: QuerySpendableBalanceByDenomRequest = read(request)?;
                let balance = Some(self.balance(&request.address, request.denom)?);
                answer(&QuerySpendableBalanceByDenomResponse { balance })
            }
            "AllBalances" => {
                let request: QueryAllBalancesRequest = read(request)?;
                let (balances, pagination) = self.balances(&request.address)?;
                answer(&QueryAllBalancesResponse { balances, pagination })
            }
            "SpendableBalances" => {
                let request: QuerySpendableBalancesRequest = read(request)?;
                let (balances, pagination) = self.balances(&request.address)?;
                answer(&QuerySpendableBalancesResponse { balances, pagination })
            }
            "TotalSupply" => {
                let supply = vec![bank::supply(self.state)?.into()];
                let pagination = Some(whole(supply.len()));
                answer(&QueryTotalSupplyResponse { supply, pagination })
            }
            "SupplyOf" => {
                let request: QuerySupplyOfRequest = read(request)?;
                let amount = Some(of(request.denom, bank::supply(self.state)?)?);
                answer(&QuerySupplyOfResponse { amount })
            }
            "Params" => answer(&QueryParamsResponse {
                params: Some(Params {
                    send_enabled: Vec::new(),
                    default_send_enabled: true,
                }),
            }),
            "SendEnabled" => {
                let request: QuerySendEnabledRequest = read(request)?;
                let listed = request.denoms.is_empty();
                answer(&QuerySendEnabledResponse {
                    send_enabled: Vec::new(),
                    pagination: listed.then(PageResponse::default),
                })
            }
            "DenomsMetadata" => answer(&QueryDenomsMetadataResponse {
                metadatas: Vec::new(),
                pagination: Some(PageResponse::default()),
            }),
            "DenomMetadata" | "DenomMetadataByQueryString" => {
                // Both requests have the same form.
                let request: QueryDenomMetadataByQueryStringRequest = read(request)?;
                let denom = denom(request.denom)?;
                Err(QueryError::NotFound(format!("client metadata for denom {denom}")))
            }
            "DenomOwners" => {
                let request: QueryDenomOwnersRequest = read(request)?;
                let (denom_owners, pagination) = self.owners(request.denom, request.pagination)?;
                answer(&QueryDenomOwnersResponse {
                    denom_owners,
                    pagination,
                })
            }
            "DenomOwnersByQuery" => {
                let request: QueryDenomOwnersByQueryRequest = read(request)?;
                let (denom_owners, pagination) = self.owners(request.denom, request.pagination)?;
                answer(&QueryDenomOwnersByQueryResponse {
                    denom_owners,
                    pagination,
                })
            }
            _ => unknown("cosmos.bank.v1beta1.Query", method),
        }
    }

    fn balance(&self, holder: &str, asked: String) -> Answer<Coin> {
        let asked = denom(asked)?;
        of(asked, bank::balance(self.state, &address(holder)?)?)
    }

    fn balances(&self, holder: &str) -> Answer<(Vec<Coin>, Option<PageResponse>)> {
        let balance = bank::balance(self.state, &address(holder)?)?;
        let balances: Vec<Coin> = Some(balance)
            .filter(|balance| balance.0 > 0)
            .map(Coin::from)
            .into_iter()
            .collect();
        let pagination = Some(whole(balances.len()));
        Ok((balances, pagination))
    }

    fn owners(
        &self,
        asked: String,
        pagination: Option<PageRequest>,
    ) -> Answer<(Vec<DenomOwner>, Option<PageResponse>)> {
        if denom(asked)? != DENOM {
            return Ok((Vec::new(), Some(PageResponse::default())));
        }
        mapped(
            self.state,
            Store::Bank,
            bank::BALANCES,
            pagination,
            |key, value| {
                let (holder, balance) = bank::balance_of(key, value)?;
                let owner = || DenomOwner {
                    address: holder.to_string(),
                    balance: Some(balance.into()),
                };
                Ok((balance > Upokt(0)).then(owner))
            },
        )
    }
}

/// An address, refused in the SDK's words.
fn address(text: &str) -> Answer<Address> {
    text.parse().map_err(|error: portico_protocol::types::TypeError| {
        QueryError::InvalidArgument(format!("invalid address: {error}"))
    })
}

/// A denomination that could be one: 3 to 128 characters, a letter first (`types/coin.go`).
fn denom(text: String) -> Answer<String> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"/:._-".contains(&c);
    let letter = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if !letter || !(3..=128).contains(&text.len()) || !text.bytes().all(allowed) {
        return Err(QueryError::InvalidArgument(format!("invalid denom: {text}")));
    }
    Ok(text)
}

/// An amount of upokt as one of the denomination that was asked for: none of another.
fn of(asked: String, amount: Upokt) -> Answer<Coin> {
    let asked = denom(asked)?;
    let mut coin = Coin::from(match asked == DENOM {
        true => amount,
        false => Upokt(0),
    });
    coin.denom = asked;
    Ok(coin)
}
