//! Queries of the SDK's module auth.

use portico_protocol::Address;
use portico_protocol::tx::module_address;
use portico_protocol::wire::cosmos::auth::v1beta1::{
    AddressBytesToStringRequest, AddressBytesToStringResponse, AddressStringToBytesRequest,
    AddressStringToBytesResponse, BaseAccount, Bech32PrefixResponse, ModuleAccount, Params,
    QueryAccountAddressByIdRequest, QueryAccountAddressByIdResponse, QueryAccountInfoRequest,
    QueryAccountInfoResponse, QueryAccountRequest, QueryAccountResponse, QueryAccountsRequest,
    QueryAccountsResponse, QueryModuleAccountByNameRequest, QueryModuleAccountByNameResponse,
    QueryModuleAccountsResponse, QueryParamsResponse,
};
use prost::{Message, Name};
use prost_types::Any;

use super::page::{mapped, paged};
use super::view::{Answer, QueryError, View, answer, found, read, unknown};
use crate::auth::{self, MODULES};
use crate::context::decode;
use crate::state::Store;
use crate::tx::limits;

impl View<'_> {
    pub(super) fn auth(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        match method {
            "Account" => {
                let request: QueryAccountRequest = read(request)?;
                let account = Some(shown(self.account(&request.address)?));
                answer(&QueryAccountResponse { account })
            }
            "AccountInfo" => {
                let request: QueryAccountInfoRequest = read(request)?;
                let info = Some(self.account(&request.address)?);
                answer(&QueryAccountInfoResponse { info })
            }
            "Accounts" => {
                let request: QueryAccountsRequest = read(request)?;
                let (accounts, pagination): (Vec<BaseAccount>, _) =
                    paged(self.state, Store::Auth, auth::ACCOUNTS, request.pagination)?;
                let accounts = accounts.into_iter().map(shown).collect();
                answer(&QueryAccountsResponse { accounts, pagination })
            }
            "AccountAddressByID" => self.address_by_id(&read(request)?),
            "Params" => answer(&QueryParamsResponse {
                params: Some(Params {
                    max_memo_characters: limits::MEMO_BYTES,
                    tx_sig_limit: limits::SIGNERS,
                    tx_size_cost_per_byte: limits::GAS_PER_BYTE,
                    // Signatures cost nothing of their own here (decisions/0004).
                    sig_verify_cost_ed25519: 0,
                    sig_verify_cost_secp256k1: 0,
                }),
            }),
            "ModuleAccounts" => {
                let accounts = MODULES.iter().map(|name| self.module(name));
                let accounts = accounts.collect::<Answer<Vec<_>>>()?.into_iter().flatten();
                answer(&QueryModuleAccountsResponse {
                    accounts: accounts.collect(),
                })
            }
            "ModuleAccountByName" => {
                let request: QueryModuleAccountByNameRequest = read(request)?;
                let name = &request.name;
                let known = MODULES.contains(&name.as_str());
                let account = if known { self.module(name)? } else { None };
                let account = Some(found(account, || format!("account {name} not found"))?);
                answer(&QueryModuleAccountByNameResponse { account })
            }
            "Bech32Prefix" => answer(&Bech32PrefixResponse {
                bech32_prefix: portico_protocol::types::ADDRESS_PREFIX.to_owned(),
            }),
            "AddressBytesToString" => {
                let request: AddressBytesToStringRequest = read(request)?;
                let bytes: [u8; 20] = request
                    .address_bytes
                    .try_into()
                    .map_err(|_| QueryError::InvalidArgument("an address has 20 bytes".into()))?;
                answer(&AddressBytesToStringResponse {
                    address_string: Address::new(bytes).to_string(),
                })
            }
            "AddressStringToBytes" => {
                let request: AddressStringToBytesRequest = read(request)?;
                let address = bech32(&request.address_string)?;
                answer(&AddressStringToBytesResponse {
                    address_bytes: address.as_bytes().to_vec(),
                })
            }
            _ => unknown("cosmos.auth.v1beta1.Query", method),
        }
    }

    fn account(&self, text: &str) -> Answer<BaseAccount> {
        if text.is_empty() {
            return Err(QueryError::InvalidArgument("Address cannot be empty".into()));
        }
        let account = auth::account(self.state, &bech32(text)?)?;
        found(account, || format!("account {text} not found"))
    }

    /// The account of a module, once it has one.
    fn module(&self, name: &str) -> Answer<Option<Any>> {
        Ok(auth::account(self.state, &module_address(name))?.map(shown))
    }

    fn address_by_id(&self, request: &QueryAccountAddressByIdRequest) -> Answer<Vec<u8>> {
        if request.id != 0 {
            let text = "requesting with id isn't supported, try to request using account-id";
            return Err(QueryError::InvalidArgument(text.into()));
        }
        let number = request.account_id;
        let of_number = |key: &[u8], value: &[u8]| {
            let account: BaseAccount = decode(Store::Auth, key, value)?;
            Ok((account.account_number == number).then_some(account.address))
        };
        let (mut addresses, _) = mapped(self.state, Store::Auth, auth::ACCOUNTS, None, of_number)?;
        let account_address = found(addresses.pop(), || {
            format!("account address not found with account number {number}")
        })?;
        answer(&QueryAccountAddressByIdResponse { account_address })
    }
}

/// An address, with the answer that the SDK gives to what is none.
fn bech32(text: &str) -> Answer<Address> {
    text.parse()
        .map_err(|error: portico_protocol::types::TypeError| QueryError::Unknown(error.to_string()))
}

/// An account as the SDK shows it: that of a module by its name.
fn shown(account: BaseAccount) -> Any {
    let module = MODULES
        .iter()
        .find(|name| module_address(name).to_string() == account.address);
    match module {
        None => Any {
            type_url: BaseAccount::type_url(),
            value: account.encode_to_vec(),
        },
        Some(name) => Any {
            type_url: ModuleAccount::type_url(),
            value: ModuleAccount {
                base_account: Some(account),
                name: (*name).to_owned(),
                permissions: auth::permissions(name)
                    .iter()
                    .map(|one| (*one).to_owned())
                    .collect(),
            }
            .encode_to_vec(),
        },
    }
}
