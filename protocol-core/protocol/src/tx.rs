//! Transactions: building, signing and checking Cosmos transactions in SIGN_MODE_DIRECT.

use prost::Message;
use prost_types::Any;
use sha2::{Digest, Sha256};

use crate::keys::SigningKey;
use crate::types::{Address, Upokt};
use crate::wire::cosmos::crypto::secp256k1;
use crate::wire::cosmos::tx::signing::v1beta1::SignMode;
use crate::wire::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};

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
    /// As received.
    pub raw: TxRaw,
    /// Decoded body.
    pub body: TxBody,
    /// Decoded auth info.
    pub auth_info: AuthInfo,
}

/// Reads a transaction.
pub fn decode_tx(bytes: &[u8]) -> Result<DecodedTx, TxError> {
    let raw = TxRaw::decode(bytes)?;
    let body = TxBody::decode(raw.body_bytes.as_slice())?;
    let auth_info = AuthInfo::decode(raw.auth_info_bytes.as_slice())?;
    Ok(DecodedTx { raw, body, auth_info })
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
