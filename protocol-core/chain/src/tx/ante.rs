//! Before the messages: signatures, sequence or timeout, fee.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use portico_protocol::keys::KeyError;
use portico_protocol::tx::{DecodedTx, module_address, sign_doc, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::BaseAccount;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::cosmos::tx::signing::v1beta1::SignMode;
use portico_protocol::wire::cosmos::tx::v1beta1::{SignerInfo, mode_info};
use portico_protocol::{Address, PublicKey, Upokt};

use sha2::{Digest as _, Sha256};

use super::Mode;
use super::message::Msg;
use crate::context::{Context, required};
use crate::error::{Fault, sdk};
use crate::event::plain;
use crate::{auth, bank};

/// Account that collects fees.
const FEE_COLLECTOR: &str = "fee_collector";
/// Longest memo.
const MAX_MEMO_BYTES: usize = 256;
/// How far ahead of the block's time an unordered transaction may end.
const MAX_UNORDERED_TTL_NS: u64 = 10 * 60 * 1_000_000_000;

/// Checks a transaction's frame and takes its fee.
pub(super) fn handle(
    ctx: &mut Context<'_>,
    tx: &DecodedTx,
    messages: &[Msg],
    mode: Mode,
) -> Result<(), Fault> {
    if tx.body.memo.len() > MAX_MEMO_BYTES {
        return Err(sdk::invalid_request(format!(
            "memo is longer than {MAX_MEMO_BYTES} bytes"
        )));
    }
    let height = u64::try_from(ctx.height().0).unwrap_or(0);
    if tx.body.timeout_height > 0 && height > tx.body.timeout_height {
        return Err(sdk::timeout_height(format!(
            "block height {height} is after {}",
            tx.body.timeout_height
        )));
    }
    let signers = signers(messages)?;
    check_timeout(ctx, tx, &signers)?;
    take_fee(ctx, tx, &signers[0])?;
    let infos = &tx.auth_info.signer_infos;
    if infos.is_empty() || mode != Mode::Simulate && tx.raw.signatures.is_empty() {
        return Err(sdk::no_signatures());
    }
    if infos.len() != signers.len() || (mode != Mode::Simulate && tx.raw.signatures.len() != signers.len()) {
        let text = format!(
            "{} signers, {} infos, {} signatures",
            signers.len(),
            infos.len(),
            tx.raw.signatures.len()
        );
        return Err(sdk::unauthorized(text));
    }
    announce_signers(ctx, tx, &signers);
    for (index, (signer, info)) in signers.iter().zip(infos).enumerate() {
        check_signer(ctx, tx, signer, info, index, mode)?;
    }
    Ok(())
}

/// Events by which a transaction is found by its account and sequence, or by its signature.
fn announce_signers(ctx: &mut Context<'_>, tx: &DecodedTx, signers: &[Address]) {
    if !tx.body.unordered {
        for (signer, info) in signers.iter().zip(&tx.auth_info.signer_infos) {
            ctx.events
                .push(plain("tx", [("acc_seq", format!("{signer}/{}", info.sequence))]));
        }
    }
    for signature in &tx.raw.signatures {
        ctx.events
            .push(plain("tx", [("signature", BASE64_STANDARD.encode(signature))]));
    }
}

/// Signers of all messages, each once, in order.
fn signers(messages: &[Msg]) -> Result<Vec<Address>, Fault> {
    let mut signers = Vec::new();
    for message in messages {
        let text = message.signer()?;
        let signer = text
            .parse()
            .map_err(|_| sdk::invalid_address(format!("signer {text:?}")))?;
        if !signers.contains(&signer) {
            signers.push(signer);
        }
    }
    Ok(signers)
}

/// Nanoseconds since 1970 of a transaction's timeout.
fn timeout_ns(tx: &DecodedTx) -> Option<u64> {
    let time = tx.body.timeout_timestamp?;
    let seconds = u64::try_from(time.seconds).ok()?;
    let nanos = u64::try_from(time.nanos).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Unordered transactions: a timeout not long after now, which its signers have not used before.
fn check_timeout(ctx: &mut Context<'_>, tx: &DecodedTx, signers: &[Address]) -> Result<(), Fault> {
    let timeout = timeout_ns(tx).filter(|timeout| *timeout > 0);
    let now = ctx.block.time_ms.saturating_mul(auth::NS_PER_MS);
    if timeout.is_some_and(|timeout| timeout < now) {
        return Err(sdk::timeout(
            "block time is after the transaction's timeout timestamp",
        ));
    }
    if !tx.body.unordered {
        return Ok(());
    }
    let timeout = required(timeout, || {
        sdk::invalid_request("unordered transaction must have timeout_timestamp set")
    })?;
    if timeout > now.saturating_add(MAX_UNORDERED_TTL_NS) {
        return Err(sdk::invalid_request("unordered tx ttl exceeds 10m0s"));
    }
    for signer in signers {
        if !auth::note_unordered(ctx, timeout, signer)? {
            let text = format!("already used timeout {timeout} for address {signer}");
            return Err(sdk::invalid_request(text));
        }
    }
    Ok(())
}

fn take_fee(ctx: &mut Context<'_>, tx: &DecodedTx, first: &Address) -> Result<(), Fault> {
    let fee = tx.auth_info.fee.clone().unwrap_or_default();
    if !fee.payer.is_empty() && fee.payer != first.to_string() || !fee.granter.is_empty() {
        return Err(sdk::unauthorized("fees are paid by the first signer"));
    }
    let amount = bank::upokt_of(&fee.amount)?;
    bank::send(ctx, first, &module_address(FEE_COLLECTOR), amount)?;
    let amount = if amount == Upokt(0) {
        String::new()
    } else {
        amount.to_string()
    };
    ctx.events
        .push(plain("tx", [("fee", amount), ("fee_payer", first.to_string())]));
    Ok(())
}

fn check_signer(
    ctx: &mut Context<'_>,
    tx: &DecodedTx,
    signer: &Address,
    info: &SignerInfo,
    index: usize,
    mode: Mode,
) -> Result<(), Fault> {
    let mut account = required(auth::account(&ctx.state, signer)?, || {
        sdk::unknown_address(format!(
            "account {signer} does not exist: send tokens to it first"
        ))
    })?;
    check_sequence(tx, info, &account)?;
    if mode != Mode::Simulate {
        let key = signing_key(ctx, signer, info)?;
        let direct = matches!(
            info.mode_info.as_ref().and_then(|info| info.sum.as_ref()),
            Some(mode_info::Sum::Single(single)) if single.mode == i32::from(SignMode::Direct)
        );
        if !direct {
            return Err(sdk::unauthorized(
                "only SIGN_MODE_DIRECT of a single key is accepted",
            ));
        }
        verify(ctx, tx, &key, &account, index).map_err(|_| {
            let (number, id) = (account.account_number, &ctx.block.chain_id);
            sdk::unauthorized(format!(
                "signature verification failed; verify account number ({number}) and chain id ({id})"
            ))
        })?;
        auth::set_public_key(ctx, signer, &key)?;
        account = auth::account(&ctx.state, signer)?.unwrap_or(account);
    }
    if !tx.body.unordered {
        account.sequence = account.sequence.saturating_add(1);
        auth::save(ctx, signer, &account);
    }
    Ok(())
}

/// Verifies the signature of signer `index`, unless it held before.
fn verify(
    ctx: &Context<'_>,
    tx: &DecodedTx,
    key: &PublicKey,
    account: &BaseAccount,
    index: usize,
) -> Result<(), KeyError> {
    let (chain_id, number) = (&ctx.block.chain_id, account.account_number);
    let id = Sha256::new_with_prefix(tx.hash)
        .chain_update(key.as_bytes())
        .chain_update(number.to_be_bytes())
        .chain_update(chain_id)
        .finalize()
        .into();
    if ctx.signatures.contains(&id) {
        return Ok(());
    }
    let (body, auth_info) = (&tx.raw.body_bytes, &tx.raw.auth_info_bytes);
    let doc = sign_doc(body, auth_info, chain_id, number);
    key.verify(&doc, &tx.raw.signatures[index])?;
    ctx.signatures.insert(id);
    Ok(())
}

fn check_sequence(tx: &DecodedTx, info: &SignerInfo, account: &BaseAccount) -> Result<(), Fault> {
    if tx.body.unordered {
        if info.sequence != 0 {
            return Err(sdk::invalid_request("an unordered transaction has sequence 0"));
        }
    } else if info.sequence != account.sequence {
        let text = format!(
            "account sequence mismatch, expected {}, got {}",
            account.sequence, info.sequence
        );
        return Err(sdk::wrong_sequence(text));
    }
    Ok(())
}

/// The key in the transaction, which must be the signer's, or the one on chain.
fn signing_key(ctx: &Context<'_>, signer: &Address, info: &SignerInfo) -> Result<PublicKey, Fault> {
    let Some(any) = &info.public_key else {
        return required(auth::public_key(&ctx.state, signer)?, || {
            sdk::unauthorized(format!(
                "the public key of {signer} is neither in the transaction nor on chain"
            ))
        });
    };
    let key = unpack::<PubKey>(any).map_err(|error| sdk::unauthorized(error.to_string()))?;
    let key = PublicKey::from_slice(&key.key).map_err(|error| sdk::unauthorized(error.to_string()))?;
    if key.address() != *signer {
        return Err(sdk::unauthorized(format!(
            "the public key is of {}, not of the signer {signer}",
            key.address()
        )));
    }
    Ok(key)
}
