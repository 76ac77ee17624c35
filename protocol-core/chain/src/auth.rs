//! Module auth: accounts with number, sequence and public key; replay protection of unordered transactions.

use portico_protocol::tx::{module_address, pack, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::BaseAccount;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::{Address, PublicKey};

use crate::context::{Context, be, read};
use crate::error::Fault;
use crate::state::{StateError, StateRead, Store};

/// Prefix of accounts: followed by the 20 bytes of the address.
pub(crate) const ACCOUNTS: &[u8] = b"account/";
const NEXT_NUMBER: &[u8] = b"next_account_number";
/// Timeouts of unordered transactions that have not passed: `unordered/<BE64 timeout ns><signer>`.
const UNORDERED: &[u8] = b"unordered/";

/// Nanoseconds of a millisecond.
pub(crate) const NS_PER_MS: u64 = 1_000_000;

fn account_key(address: &Address) -> Vec<u8> {
    [ACCOUNTS, address.as_bytes()].concat()
}

/// An account, if the address ever held tokens.
pub(crate) fn account(state: &dyn StateRead, address: &Address) -> Result<Option<BaseAccount>, StateError> {
    read(state, Store::Auth, &account_key(address))
}

/// Public key of an account, once known.
pub(crate) fn public_key(state: &dyn StateRead, address: &Address) -> Result<Option<PublicKey>, StateError> {
    let any = account(state, address)?.and_then(|account| account.pub_key);
    let key = any.and_then(|any| unpack::<PubKey>(&any).ok());
    Ok(key.and_then(|key| PublicKey::from_slice(&key.key).ok()))
}

/// Writes an account.
pub(crate) fn save(ctx: &mut Context<'_>, address: &Address, account: &BaseAccount) {
    ctx.put(Store::Auth, account_key(address), account);
}

/// Creates the account with the next number unless it exists.
pub(crate) fn ensure_account(ctx: &mut Context<'_>, address: &Address) -> Result<(), Fault> {
    if account(&ctx.state, address)?.is_some() {
        return Ok(());
    }
    let bytes = ctx.state.get(Store::Auth, NEXT_NUMBER)?.unwrap_or_default();
    let number = bytes.as_slice().try_into().map_or(0, u64::from_be_bytes);
    ctx.state.set(
        Store::Auth,
        NEXT_NUMBER.to_vec(),
        number.saturating_add(1).to_be_bytes().to_vec(),
    );
    let account = BaseAccount {
        address: address.to_string(),
        account_number: number,
        ..BaseAccount::default()
    };
    save(ctx, address, &account);
    Ok(())
}

/// Notes the public key that an account signs with.
pub(crate) fn set_public_key(ctx: &mut Context<'_>, address: &Address, key: &PublicKey) -> Result<(), Fault> {
    ensure_account(ctx, address)?;
    if let Some(mut account) = account(&ctx.state, address)? {
        account.pub_key = Some(pack(&PubKey {
            key: key.as_bytes().to_vec(),
        }));
        save(ctx, address, &account);
    }
    Ok(())
}

/// Modules that hold tokens.
pub(crate) const MODULES: [&str; 9] = [
    "application",
    "bonded_tokens_pool",
    "fee_collector",
    "gateway",
    "gov",
    "proof",
    "service",
    "supplier",
    "tokenomics",
];

/// What the network lets the account of a module do, as it is shown.
pub(crate) fn permissions(module: &str) -> &'static [&'static str] {
    match module {
        "fee_collector" => &[],
        "bonded_tokens_pool" => &["burner", "staking"],
        "gov" => &["burner"],
        _ => &["minter", "burner", "staking"],
    }
}

/// Whether the address is a module's account, which nobody signs for.
pub(crate) fn is_module(address: &Address) -> bool {
    MODULES.iter().any(|name| module_address(name) == *address)
}

/// Notes the timeout of a signer's unordered transaction until it passes; `false` when the signer has used it before: the timeout is such
/// a transaction's number.
pub(crate) fn note_unordered(
    ctx: &mut Context<'_>,
    timeout_ns: u64,
    signer: &Address,
) -> Result<bool, Fault> {
    let timeout = i64::try_from(timeout_ns).unwrap_or(i64::MAX);
    let key = [UNORDERED, &be(timeout), signer.as_bytes()].concat();
    if ctx.state.get(Store::Auth, &key)?.is_some() {
        return Ok(false);
    }
    ctx.state.set(Store::Auth, key, vec![1]);
    Ok(true)
}

/// Forgets unordered transactions whose timeout has passed.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let now = i64::try_from(ctx.block.time_ms.saturating_mul(NS_PER_MS)).unwrap_or(i64::MAX);
    let end = [UNORDERED, &be(now)].concat();
    for (key, _) in ctx.state.range(Store::Auth, UNORDERED, Some(&end), 10_000)? {
        ctx.state.delete(Store::Auth, key);
    }
    Ok(())
}
