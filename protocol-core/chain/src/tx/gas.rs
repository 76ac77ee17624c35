//! What a transaction costs: our own schedule, which the size and the number of messages decide.
//!
//! A simulation knows a transaction before it is signed, and often before its fee is. Tools set the gas limit to what it says, so it must
//! never be below what the signed transaction will use: what is missing is counted as it will be. Nothing else is, so that it is not much
//! above either.

use portico_protocol::Upokt;
use portico_protocol::tx::{DecodedTx, pack};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::cosmos::tx::v1beta1::{CompactBitArray, ModeInfo, TxRaw, mode_info};
use prost::Message as _;

/// Gas per byte.
pub(super) const PER_BYTE: u64 = 10;
/// Gas per message.
const PER_MESSAGE: u64 = 20_000;

/// Bytes of a signature by one key.
const SIGNATURE_LEN: usize = 64;
/// Bytes of a signature within those of several keys: tag, length, signature.
const MEMBER_LEN: usize = 2 + SIGNATURE_LEN;
/// Bytes of a compressed public key.
const PUBLIC_KEY_LEN: usize = 33;
/// A gas limit of as many bytes as any that a block has room for.
const LARGE_GAS_LIMIT: u64 = 1 << 27;
/// A fee of as many digits as fees have.
const LARGE_FEE: u128 = 99_999_999_999;

/// Gas of a transaction of this size with so many messages.
pub(crate) fn used(size: usize, messages: usize) -> u64 {
    let (size, messages) = (size as u64, messages as u64);
    let bytes = PER_BYTE.saturating_mul(size);
    bytes.saturating_add(PER_MESSAGE.saturating_mul(messages))
}

/// Size of a transaction once it has its public keys, fee, gas limit and signatures.
pub(crate) fn signed_size(tx: &DecodedTx) -> usize {
    let mut auth_info = tx.auth_info.clone();
    for info in &mut auth_info.signer_infos {
        info.public_key.get_or_insert_with(|| {
            pack(&PubKey {
                key: vec![2; PUBLIC_KEY_LEN],
            })
        });
    }
    let fee = auth_info.fee.get_or_insert_default();
    fee.gas_limit = fee.gas_limit.max(LARGE_GAS_LIMIT);
    match fee.amount.as_mut_slice() {
        [] => fee.amount.push(Coin::from(Upokt(LARGE_FEE))),
        [coin] => {
            let large = LARGE_FEE.to_string();
            if coin.amount.len() < large.len() {
                coin.amount = large;
            }
        }
        _ => {}
    }
    let signers = tx.auth_info.signer_infos.iter().enumerate();
    let signatures = signers.map(|(index, info)| {
        let given = tx.raw.signatures.get(index).map_or(0, Vec::len);
        vec![0; given.max(signature_len(info.mode_info.as_ref()))]
    });
    let signed = TxRaw {
        body_bytes: tx.raw.body_bytes.clone(),
        auth_info_bytes: auth_info.encode_to_vec(),
        signatures: signatures.collect(),
    };
    signed.encoded_len()
}

/// Bytes of what signs in this mode: one signature, or one of each of several keys.
fn signature_len(mode: Option<&ModeInfo>) -> usize {
    match mode.and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Multi(multi)) => {
            let marked = multi.bitarray.as_ref().map_or(0, ones);
            marked.max(multi.mode_infos.len()).saturating_mul(MEMBER_LEN)
        }
        _ => SIGNATURE_LEN,
    }
}

fn ones(bits: &CompactBitArray) -> usize {
    bits.elems.iter().map(|byte| byte.count_ones() as usize).sum()
}
