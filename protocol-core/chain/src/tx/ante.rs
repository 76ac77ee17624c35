//! Before the messages: signatures, sequence or timeout, fee.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use portico_protocol::tx::{DecodedTx, module_address};
use portico_protocol::wire::cosmos::auth::v1beta1::BaseAccount;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::cosmos::tx::v1beta1::SignerInfo;
use portico_protocol::{Address, Upokt};
use prost_types::Any;

use super::message::Msg;
use super::mode::Mode;
use super::signature::{Key, MAX_SIGNATURES, Signer, count, parts};
use crate::context::{Context, required};
use crate::error::{Fault, sdk};
use crate::event::plain;
use crate::{auth, bank, feegrant};

/// Account that collects fees.
const FEE_COLLECTOR: &str = "fee_collector";
/// Longest memo.
pub(super) const MAX_MEMO_BYTES: usize = 256;
/// How far ahead of the block's time an unordered transaction may end.
const MAX_UNORDERED_TTL_NS: u64 = 10 * 60 * 1_000_000_000;

/// Checks a transaction's frame and takes its fee.
pub(super) fn handle(
    ctx: &mut Context<'_>,
    tx: &DecodedTx,
    messages: &[Msg],
    mode: Mode,
) -> Result<(), Fault> {
    let memo = tx.body.memo.len();
    if memo > MAX_MEMO_BYTES {
        return Err(sdk::memo_too_large(format!(
            "maximum number of characters is {MAX_MEMO_BYTES} but received {memo} characters"
        )));
    }
    let height = u64::try_from(ctx.height().0).unwrap_or(0);
    if tx.body.timeout_height > 0 && height > tx.body.timeout_height {
        return Err(sdk::timeout_height(format!(
            "block height: {height}, timeout height: {}",
            tx.body.timeout_height
        )));
    }
    let payer = fee_payer(tx)?;
    let signers = signers(messages, payer)?;
    check_timeout(ctx, tx, &signers)?;
    take_fee(ctx, tx, &payer.unwrap_or(signers[0]), messages)?;
    check_counts(tx, signers.len(), mode)?;
    announce_signers(ctx, tx, &signers);
    for (index, (signer, info)) in signers.iter().zip(&tx.auth_info.signer_infos).enumerate() {
        check_signer(ctx, tx, signer, info, index, mode)?;
    }
    Ok(())
}

/// As many infos and signatures as signers; a simulation may lack the signatures.
fn check_counts(tx: &DecodedTx, expected: usize, mode: Mode) -> Result<(), Fault> {
    let (infos, signatures) = (&tx.auth_info.signer_infos, tx.raw.signatures.len());
    if infos.is_empty() || mode != Mode::Simulate && signatures == 0 {
        return Err(sdk::no_signatures());
    }
    let got = match mode {
        Mode::Simulate => infos.len(),
        Mode::Deliver | Mode::Check if signatures == expected => infos.len(),
        Mode::Deliver | Mode::Check => signatures,
    };
    if got != expected {
        let text = format!("wrong number of signers; expected {expected}, got {got}");
        return Err(sdk::unauthorized(text));
    }
    let all = infos.iter().map(|info| count(info.mode_info.as_ref()));
    if all.fold(0, usize::saturating_add) > MAX_SIGNATURES {
        return Err(sdk::too_many_signatures(format!("limit: {MAX_SIGNATURES}")));
    }
    Ok(())
}

/// Events by which a transaction is found by its account and sequence, or by its signature.
fn announce_signers(ctx: &mut Context<'_>, tx: &DecodedTx, signers: &[Address]) {
    for (index, (signer, info)) in signers.iter().zip(&tx.auth_info.signer_infos).enumerate() {
        if !tx.body.unordered {
            ctx.events
                .push(plain("tx", [("acc_seq", format!("{signer}/{}", info.sequence))]));
        }
        let signature = tx.raw.signatures.get(index);
        for part in signature.into_iter().flat_map(|signature| parts(info, signature)) {
            ctx.events
                .push(plain("tx", [("signature", BASE64_STANDARD.encode(part))]));
        }
    }
}

/// Signers of all messages, each once, in order; then who pays the fee, if that is somebody else.
fn signers(messages: &[Msg], payer: Option<Address>) -> Result<Vec<Address>, Fault> {
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
    signers.extend(payer.filter(|payer| !signers.contains(payer)));
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
            let text =
                format!("failed to add unordered nonce: sender {signer} has already used timeout {timeout}");
            return Err(sdk::invalid_request(text));
        }
    }
    Ok(())
}

/// Who pays the fee, if the transaction says.
fn fee_payer(tx: &DecodedTx) -> Result<Option<Address>, Fault> {
    let fee = tx.auth_info.fee.as_ref();
    let payer = fee
        .map(|fee| fee.payer.as_str())
        .filter(|payer| !payer.is_empty());
    let parse = |payer: &str| {
        payer
            .parse()
            .map_err(|_| sdk::invalid_address(format!("fee payer {payer:?}")))
    };
    payer.map(parse).transpose()
}

/// The upokt of a fee.
fn fee_amount(coins: &[Coin]) -> Result<Upokt, Fault> {
    if !bank::is_sorted(coins) {
        let text = format!("invalid fee amount: {}", bank::text_of(coins));
        return Err(sdk::insufficient_fee(text));
    }
    bank::only_upokt(coins).map_err(unpaid)
}

/// What the SDK says about a fee that cannot be taken.
fn unpaid(fault: Fault) -> Fault {
    match fault {
        Fault::Module(error) => sdk::insufficient_funds(error.text),
        fault => fault,
    }
}

/// Takes the fee from `payer`, or from the granter who allowed that.
fn take_fee(ctx: &mut Context<'_>, tx: &DecodedTx, payer: &Address, messages: &[Msg]) -> Result<(), Fault> {
    let fee = tx.auth_info.fee.clone().unwrap_or_default();
    let amount = fee_amount(&fee.amount)?;
    let granter = match fee.granter.as_str() {
        "" => *payer,
        granter => granter
            .parse()
            .map_err(|_| sdk::invalid_address(format!("fee granter {granter:?}")))?,
    };
    if granter != *payer {
        let urls: Vec<String> = messages.iter().map(Msg::type_url).collect();
        feegrant::spend(ctx, &granter, payer, amount, &urls)?;
    }
    required(auth::account(&ctx.state, &granter)?, || {
        sdk::unknown_address(format!("fee payer address: {granter} does not exist"))
    })?;
    bank::send(ctx, &granter, &module_address(FEE_COLLECTOR), amount).map_err(unpaid)?;
    let amount = if amount == Upokt(0) {
        String::new()
    } else {
        amount.to_string()
    };
    ctx.events
        .push(plain("tx", [("fee", amount), ("fee_payer", granter.to_string())]));
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
        let any = packed_key(&account, info, index)?;
        let key = Key::of(&any)?;
        if key.address() != *signer {
            return Err(sdk::invalid_pubkey(format!(
                "pubKey does not match signer address {signer} with signer index: {index}"
            )));
        }
        let signer = Signer {
            tx,
            info,
            account: &account,
            signature: &tx.raw.signatures[index],
        };
        signer.verify(ctx, &any, &key)?;
        account.pub_key = Some(any);
    }
    if !tx.body.unordered {
        account.sequence = account.sequence.saturating_add(1);
    }
    auth::save(ctx, signer, &account);
    Ok(())
}

fn check_sequence(tx: &DecodedTx, info: &SignerInfo, account: &BaseAccount) -> Result<(), Fault> {
    if tx.body.unordered {
        if info.sequence != 0 {
            return Err(sdk::invalid_request(
                "sequence is not allowed for unordered transactions",
            ));
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

/// The key in the transaction, or the one on chain.
fn packed_key(account: &BaseAccount, info: &SignerInfo, index: usize) -> Result<Any, Fault> {
    let known = info.public_key.clone().or_else(|| account.pub_key.clone());
    required(known, || {
        sdk::invalid_pubkey(format!(
            "the public key of signer {index} is neither in the transaction nor on chain"
        ))
    })
}
