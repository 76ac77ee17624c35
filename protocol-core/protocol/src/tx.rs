//! Transactions: building, signing and checking Cosmos transactions in SIGN_MODE_DIRECT.

mod amino;
mod reflect;
mod textual;

use prost::Message;
use prost_types::Any;
use sha2::{Digest, Sha256};

use crate::keys::{PublicKey, SigningKey};
use crate::types::{Address, Upokt};
use crate::wire::cosmos::crypto::secp256k1;
use crate::wire::cosmos::tx::signing::v1beta1::SignMode;
use crate::wire::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};

pub use amino::amino_sign_bytes;
pub use textual::{TextualSigner, textual_sign_bytes};

/// Why a transaction cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// The bytes are not a transaction.
    #[error("not a transaction")]
    Decode(#[from] prost::DecodeError),
    /// A message has a type that is not known here.
    #[error("unknown message type {0:?}")]
    UnknownMessage(String),
    /// Something else is malformed.
    #[error("{0}")]
    Malformed(String),
}

/// What a signature commits to besides the messages.
#[derive(Debug, Clone)]
pub struct SignerContext {
    /// Chain id.
    pub chain_id: String,
    /// Account number of the signer.
    pub account_number: u64,
    /// Sequence of the signer; 0 for unordered transactions.
    pub sequence: u64,
}

/// Everything of a transaction but its messages and signature.
#[derive(Debug, Clone, Default)]
pub struct TxOptions {
    /// Memo.
    pub memo: String,
    /// Last height at which the transaction may be included; 0 for none.
    pub timeout_height: u64,
    /// Unordered transactions carry no sequence but a timeout.
    pub unordered: bool,
    /// Last block time, required for unordered transactions.
    pub timeout_timestamp: Option<prost_types::Timestamp>,
    /// Gas limit.
    pub gas_limit: u64,
    /// Fee.
    pub fee: Upokt,
}

/// Wraps a message with its type URL (`/pocket.proof.MsgCreateClaim`, …).
#[must_use]
pub fn pack<M: Message + prost::Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// Reads a packed message of type `M`; errs when it is of another type.
pub fn unpack<M: Message + prost::Name + Default>(any: &Any) -> Result<M, TxError> {
    if any.type_url != M::type_url() {
        return Err(TxError::UnknownMessage(any.type_url.clone()));
    }
    Ok(M::decode(any.value.as_slice())?)
}

/// Address of the module account `name`: the first 20 bytes of SHA-256 of the name.
#[must_use]
pub fn module_address(name: &str) -> Address {
    let digest = Sha256::digest(name);
    Address::new(*digest.first_chunk().expect("32 bytes hold 20"))
}

/// Address of an account of several keys, of which `threshold` must sign: SHA-256 of the amino encoding of threshold and keys.
#[must_use]
pub fn multisig_address(threshold: usize, keys: &[PublicKey]) -> Address {
    let mut bytes = vec![0x22, 0xc1, 0xf7, 0xe2, 0x08];
    prost::encoding::encode_varint(threshold as u64, &mut bytes);
    for key in keys {
        bytes.extend([0x12, 0x26, 0xeb, 0x5a, 0xe9, 0x87, 0x21]);
        bytes.extend(key.as_bytes());
    }
    let digest = Sha256::digest(bytes);
    Address::new(*digest.first_chunk().expect("32 bytes hold 20"))
}

/// Builds and signs a transaction of one signer; returns the bytes to broadcast.
#[must_use]
pub fn sign_tx(
    messages: Vec<Any>,
    options: &TxOptions,
    context: &SignerContext,
    key: &SigningKey,
) -> Vec<u8> {
    let body = TxBody {
        messages,
        memo: options.memo.clone(),
        timeout_height: options.timeout_height,
        unordered: options.unordered,
        timeout_timestamp: options.timeout_timestamp,
        ..TxBody::default()
    };
    let (body_bytes, auth_info_bytes) = (
        body.encode_to_vec(),
        auth_info(options, context, key).encode_to_vec(),
    );
    let doc = sign_doc(
        &body_bytes,
        &auth_info_bytes,
        &context.chain_id,
        context.account_number,
    );
    let signatures = vec![key.sign(&doc).to_vec()];
    TxRaw {
        body_bytes,
        auth_info_bytes,
        signatures,
    }
    .encode_to_vec()
}

fn auth_info(options: &TxOptions, context: &SignerContext, key: &SigningKey) -> AuthInfo {
    let public_key = pack(&secp256k1::PubKey {
        key: key.public_key().as_bytes().to_vec(),
    });
    let single = mode_info::Single {
        mode: SignMode::Direct.into(),
    };
    let signer = SignerInfo {
        public_key: Some(public_key),
        mode_info: Some(ModeInfo {
            sum: Some(mode_info::Sum::Single(single)),
        }),
        sequence: context.sequence,
    };
    let amount = if options.fee == Upokt(0) {
        Vec::new()
    } else {
        vec![options.fee.into()]
    };
    let fee = Fee {
        amount,
        gas_limit: options.gas_limit,
        payer: String::new(),
        granter: String::new(),
    };
    AuthInfo {
        signer_infos: vec![signer],
        fee: Some(fee),
    }
}

/// A decoded transaction with the raw parts that signatures cover.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedTx {
    /// SHA-256 of all its bytes.
    pub hash: [u8; 32],
    /// As received.
    pub raw: TxRaw,
    /// Decoded body.
    pub body: TxBody,
    /// Decoded auth info.
    pub auth_info: AuthInfo,
}

/// Reads a transaction. Errs unless it is encoded as ADR-027 of the Cosmos SDK says, without fields that are unknown here: otherwise anybody
/// could give a signed transaction another hash.
pub fn decode_tx(bytes: &[u8]) -> Result<DecodedTx, TxError> {
    let raw: TxRaw = decode_canonical(bytes, "transaction")?;
    let body = decode_canonical(&raw.body_bytes, "transaction's body")?;
    let auth_info = decode_canonical(&raw.auth_info_bytes, "transaction's auth info")?;
    let hash = Sha256::digest(bytes).into();
    Ok(DecodedTx {
        hash,
        raw,
        body,
        auth_info,
    })
}

/// Reads a message whose encoding must be the one that we would give it.
pub fn decode_canonical<M: Message + Default>(bytes: &[u8], what: &str) -> Result<M, TxError> {
    let message = M::decode(bytes)?;
    if message.encode_to_vec() == bytes {
        return Ok(message);
    }
    Err(TxError::Malformed(format!(
        "the {what} holds unknown fields, or is not encoded canonically"
    )))
}

/// Upper-case hex of SHA-256 of the transaction's bytes.
#[must_use]
pub fn tx_hash(bytes: &[u8]) -> String {
    hex::encode_upper(Sha256::digest(bytes))
}

/// Bytes of the sign doc for signer data `context`.
#[must_use]
pub fn sign_doc(body_bytes: &[u8], auth_info_bytes: &[u8], chain_id: &str, account_number: u64) -> Vec<u8> {
    SignDoc {
        body_bytes: body_bytes.to_vec(),
        auth_info_bytes: auth_info_bytes.to_vec(),
        chain_id: chain_id.to_owned(),
        account_number,
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Vec<u8> {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let context = SignerContext {
            chain_id: "pocket".into(),
            account_number: 7,
            sequence: 1,
        };
        let options = TxOptions {
            memo: "memo".into(),
            gas_limit: 200_000,
            ..TxOptions::default()
        };
        sign_tx(vec![Any::default()], &options, &context, &key)
    }

    #[test]
    fn a_signed_transaction_has_one_encoding() {
        let tx = signed();
        let decoded = decode_tx(&tx).unwrap();
        assert_eq!(decoded.raw.encode_to_vec(), tx);
        assert_eq!(hex::encode_upper(decoded.hash), tx_hash(&tx));
        // What others could make of it without the signer: an unknown field, a longer length, fields in another order.
        let unknown = [tx.clone(), vec![0x7a, 1, 0]].concat();
        let longer = [&tx[..1], &[tx[1] | 0x80, 0], &tx[2..]].concat();
        let bare = TxRaw {
            signatures: Vec::new(),
            ..decoded.raw.clone()
        };
        let signatures = TxRaw {
            signatures: decoded.raw.signatures.clone(),
            ..TxRaw::default()
        };
        let reordered = [signatures.encode_to_vec(), bare.encode_to_vec()].concat();
        for other in [unknown, longer, reordered] {
            let raw = TxRaw::decode(other.as_slice()).unwrap();
            assert_eq!(raw, decoded.raw, "it says the same");
            assert!(matches!(decode_tx(&other), Err(TxError::Malformed(_))));
        }
    }

    #[test]
    fn unknown_fields_below_are_refused_too() {
        let raw = decode_tx(&signed()).unwrap().raw;
        for part in 0..2 {
            let mut raw = raw.clone();
            let bytes = [&mut raw.body_bytes, &mut raw.auth_info_bytes];
            bytes.into_iter().nth(part).unwrap().extend([0x7a, 1, 0]);
            assert!(matches!(
                decode_tx(&raw.encode_to_vec()),
                Err(TxError::Malformed(_))
            ));
        }
    }
}
