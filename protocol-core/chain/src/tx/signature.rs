//! Signatures: of one key or several, in the modes direct, amino-json and textual.

use portico_protocol::tx::{
    DecodedTx, TextualSigner, amino_sign_bytes, multisig_address, sign_doc, textual_sign_bytes, unpack,
};
use portico_protocol::wire::cosmos::auth::v1beta1::BaseAccount;
use portico_protocol::wire::cosmos::crypto::multisig::LegacyAminoPubKey;
use portico_protocol::wire::cosmos::crypto::multisig::v1beta1::MultiSignature;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::cosmos::tx::signing::v1beta1::SignMode;
use portico_protocol::wire::cosmos::tx::v1beta1::mode_info::{Multi, Sum};
use portico_protocol::wire::cosmos::tx::v1beta1::{CompactBitArray, ModeInfo, SignerInfo};
use portico_protocol::{Address, PublicKey};
use prost::{Message as _, Name as _};
use prost_types::Any;
use sha2::{Digest as _, Sha256};

use crate::context::{Context, required};
use crate::error::{Fault, sdk};

/// Most keys of an account, and signatures of a transaction: each is verified.
pub(super) const MAX_SIGNATURES: usize = 7;

/// The key of an account: one, or several of which some must sign.
pub(super) enum Key {
    Single(PublicKey),
    Multi { threshold: usize, keys: Vec<PublicKey> },
}

impl Key {
    /// Reads a packed key.
    pub(super) fn of(any: &Any) -> Result<Self, Fault> {
        let malformed = |error: &dyn std::fmt::Display| sdk::invalid_pubkey(error.to_string());
        if any.type_url != LegacyAminoPubKey::type_url() {
            return Ok(Self::Single(single(any)?));
        }
        let multi: LegacyAminoPubKey = unpack(any).map_err(|error| malformed(&error))?;
        if multi.public_keys.len() > MAX_SIGNATURES {
            return Err(malformed(&format!("more than {MAX_SIGNATURES} keys")));
        }
        let keys = multi
            .public_keys
            .iter()
            .map(single)
            .collect::<Result<Vec<_>, _>>()?;
        let threshold = usize::try_from(multi.threshold).unwrap_or(usize::MAX);
        if threshold == 0 || threshold > keys.len() {
            return Err(malformed(&"the threshold is not one to the number of keys"));
        }
        Ok(Self::Multi { threshold, keys })
    }

    /// Address of its account.
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Single(key) => key.address(),
            Self::Multi { threshold, keys } => multisig_address(*threshold, keys),
        }
    }
}

fn single(any: &Any) -> Result<PublicKey, Fault> {
    let key: PubKey = unpack(any).map_err(|error| sdk::invalid_pubkey(error.to_string()))?;
    PublicKey::from_slice(&key.key).map_err(|error| sdk::invalid_pubkey(error.to_string()))
}

/// A signer of a transaction, whose signature is to be verified.
pub(super) struct Signer<'a> {
    pub(super) tx: &'a DecodedTx,
    pub(super) info: &'a SignerInfo,
    pub(super) account: &'a BaseAccount,
    pub(super) signature: &'a [u8],
}

impl Signer<'_> {
    /// Verifies the signature by `key`, whose encoding is `any`, unless it held before.
    pub(super) fn verify(&self, ctx: &Context<'_>, any: &Any, key: &Key) -> Result<(), Fault> {
        let id = Sha256::new_with_prefix(self.tx.hash)
            .chain_update(any.encode_to_vec())
            .chain_update(self.account.account_number.to_be_bytes())
            .chain_update(&ctx.block.chain_id)
            .finalize()
            .into();
        if ctx.signatures.contains(&id) {
            return Ok(());
        }
        let mode = self.info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref());
        match (key, mode) {
            (Key::Single(key), Some(Sum::Single(single))) => {
                self.single(ctx, any, key, single.mode, self.signature)?;
            }
            (Key::Multi { threshold, keys }, Some(Sum::Multi(multi))) => {
                self.multi(ctx, any, *threshold, keys, multi)?;
            }
            _ => return Err(self.refused(ctx, false)),
        }
        ctx.signatures.insert(id);
        Ok(())
    }

    fn single(
        &self,
        ctx: &Context<'_>,
        any: &Any,
        key: &PublicKey,
        mode: i32,
        signature: &[u8],
    ) -> Result<(), Fault> {
        let amino = mode == i32::from(SignMode::LegacyAminoJson);
        let bytes = self
            .sign_bytes(ctx, any, mode)
            .ok_or_else(|| self.refused(ctx, amino))?;
        key.verify(&bytes, signature)
            .map_err(|_| self.refused(ctx, amino))
    }

    /// Enough of the keys must have signed, in their order.
    fn multi(
        &self,
        ctx: &Context<'_>,
        any: &Any,
        threshold: usize,
        keys: &[PublicKey],
        multi: &Multi,
    ) -> Result<(), Fault> {
        let refused = || self.refused(ctx, true);
        let signatures = MultiSignature::decode(self.signature)
            .map_err(|_| refused())?
            .signatures;
        let signers = required(
            multi.bitarray.as_ref().and_then(|bits| marked(bits, keys.len())),
            refused,
        )?;
        let counts = [signers.len(), signatures.len(), multi.mode_infos.len()];
        if signers.len() < threshold || counts.iter().any(|count| *count != signers.len()) {
            return Err(refused());
        }
        for ((index, signature), mode) in signers.into_iter().zip(&signatures).zip(&multi.mode_infos) {
            let Some(Sum::Single(mode)) = &mode.sum else {
                return Err(refused());
            };
            self.single(ctx, any, &keys[index], mode.mode, signature)?;
        }
        Ok(())
    }

    /// What is signed in this mode by an account whose key is `any`; `None` for a mode that is not accepted, or cannot express the transaction.
    fn sign_bytes(&self, ctx: &Context<'_>, any: &Any, mode: i32) -> Option<Vec<u8>> {
        let (tx, chain_id, number) = (self.tx, &ctx.block.chain_id, self.account.account_number);
        match SignMode::try_from(mode).ok()? {
            SignMode::Direct => Some(sign_doc(
                &tx.raw.body_bytes,
                &tx.raw.auth_info_bytes,
                chain_id,
                number,
            )),
            SignMode::LegacyAminoJson => {
                let fee = tx.auth_info.fee.clone().unwrap_or_default();
                amino_sign_bytes(&tx.body, &fee, chain_id, number, self.info.sequence).ok()
            }
            SignMode::Textual => {
                let signer = TextualSigner {
                    chain_id,
                    account_number: number,
                    sequence: self.info.sequence,
                    address: &self.account.address,
                    public_key: any,
                };
                textual_sign_bytes(tx, &signer).ok()
            }
            _ => None,
        }
    }

    fn refused(&self, ctx: &Context<'_>, amino: bool) -> Fault {
        let (number, chain_id) = (self.account.account_number, &ctx.block.chain_id);
        sdk::unauthorized(match amino {
            true => format!(
                "signature verification failed; please verify account number ({number}), sequence ({}) and chain-id ({chain_id})",
                self.account.sequence
            ),
            false => format!(
                "signature verification failed; please verify account number ({number}) and chain-id ({chain_id}): (unable to verify single signer signature)"
            ),
        })
    }
}

/// Bits of a byte, the highest first.
const BITS: [u8; 8] = [0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1];

/// Indexes of the bits that are set, of an array of `len` bits, the first being the highest of the first byte.
fn marked(bits: &CompactBitArray, len: usize) -> Option<Vec<usize>> {
    let whole = bits.elems.len().checked_mul(8)?;
    let extra = usize::try_from(bits.extra_bits_stored).ok()?;
    let count = match extra {
        0 => whole,
        1..8 => whole.checked_sub(8)?.checked_add(extra)?,
        _ => return None,
    };
    let is_set = |index: &usize| {
        let byte = bits.elems.get(index / 8).copied().unwrap_or_default();
        byte & BITS[index % 8] != 0
    };
    (count == len).then(|| (0..len).filter(is_set).collect())
}

/// Number of signatures that a mode stands for.
pub(super) fn count(mode: Option<&ModeInfo>) -> usize {
    match mode.and_then(|mode| mode.sum.as_ref()) {
        Some(Sum::Multi(multi)) => multi.mode_infos.len(),
        _ => 1,
    }
}

/// A signature as it is announced: of several keys each one's, and then the whole.
pub(super) fn parts(info: &SignerInfo, signature: &[u8]) -> Vec<Vec<u8>> {
    let mode = info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref());
    let mut parts = match mode {
        Some(Sum::Multi(_)) => MultiSignature::decode(signature).unwrap_or_default().signatures,
        _ => Vec::new(),
    };
    parts.push(signature.to_vec());
    parts
}
