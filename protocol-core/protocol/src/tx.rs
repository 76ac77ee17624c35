//! Transactions: building, signing and checking Cosmos transactions in SIGN_MODE_DIRECT.

use prost_types::Any;

use crate::keys::SigningKey;
use crate::types::Upokt;
use crate::wire::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};

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
pub fn pack<M: prost::Message + prost::Name>(_message: &M) -> Any {
    unimplemented!()
}

/// Builds and signs a transaction of one signer; returns the bytes to broadcast.
#[must_use]
pub fn sign_tx(
    _messages: Vec<Any>,
    _options: &TxOptions,
    _context: &SignerContext,
    _key: &SigningKey,
) -> Vec<u8> {
    unimplemented!()
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
pub fn decode_tx(_bytes: &[u8]) -> Result<DecodedTx, TxError> {
    unimplemented!()
}

/// Upper-case hex of SHA-256 of the transaction's bytes.
#[must_use]
pub fn tx_hash(_bytes: &[u8]) -> String {
    unimplemented!()
}

/// Bytes of the sign doc for signer data `context`.
#[must_use]
pub fn sign_doc(
    _body_bytes: &[u8],
    _auth_info_bytes: &[u8],
    _chain_id: &str,
    _account_number: u64,
) -> Vec<u8> {
    unimplemented!()
}
