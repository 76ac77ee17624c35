//! Queries of the SDK's modules auth and bank.

use portico_protocol::wire::cosmos::{auth::v1beta1 as wire_auth, bank::v1beta1 as wire_bank};
use prost::{Message, Name};

use super::page;
use super::view::{Answer, View, address, answer, found, read, unknown};
use crate::{auth, bank};

impl View<'_> {
    pub(super) fn auth(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Account" => {
                let request: wire_auth::QueryAccountRequest = read(request)?;
                let account = found(auth::account(self.state, &address(&request.address)?)?, || {
                    format!("account {} not found", request.address)
                })?;
                let account = prost_types::Any {
                    type_url: wire_auth::BaseAccount::type_url(),
                    value: account.encode_to_vec(),
                };
                answer(&wire_auth::QueryAccountResponse {
                    account: Some(account),
                })
            }
            _ => unknown("cosmos.auth.v1beta1.Query", method),
        }
    }

    pub(super) fn bank(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use wire_bank::*;
        let coin = |amount: portico_protocol::Upokt| amount.into();
        match method {
            "Balance" => {
                let request: QueryBalanceRequest = read(request)?;
                let balance = bank::balance(self.state, &address(&request.address)?)?;
                let balance = if request.denom == portico_protocol::types::DENOM {
                    balance
                } else {
                    Default::default()
                };
                let mut balance: portico_protocol::wire::cosmos::base::v1beta1::Coin = coin(balance);
                balance.denom = request.denom;
                answer(&QueryBalanceResponse {
                    balance: Some(balance),
                })
            }
            "AllBalances" => {
                let request: QueryAllBalancesRequest = read(request)?;
                let balance = bank::balance(self.state, &address(&request.address)?)?;
                let balances = if balance.0 == 0 {
                    Vec::new()
                } else {
                    vec![coin(balance)]
                };
                let pagination = Some(page::whole(balances.len()));
                answer(&QueryAllBalancesResponse { balances, pagination })
            }
            "TotalSupply" => {
                let supply = vec![coin(bank::supply(self.state)?)];
                let pagination = Some(page::whole(supply.len()));
                answer(&QueryTotalSupplyResponse { supply, pagination })
            }
            "SupplyOf" => {
                let request: QuerySupplyOfRequest = read(request)?;
                let upokt = request.denom == portico_protocol::types::DENOM;
                let supply = if upokt {
                    bank::supply(self.state)?
                } else {
                    Default::default()
                };
                let mut amount: portico_protocol::wire::cosmos::base::v1beta1::Coin = coin(supply);
                amount.denom = request.denom;
                answer(&QuerySupplyOfResponse { amount: Some(amount) })
            }
            _ => unknown("cosmos.bank.v1beta1.Query", method),
        }
    }
}
