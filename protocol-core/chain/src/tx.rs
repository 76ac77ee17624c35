//! Transactions: who signed, in which order, for what fee; then their messages.

mod ante;
mod gas;
mod message;
mod mode;
mod signature;

/// Limits and prices as module auth shows them.
pub(crate) mod limits {
    /// Bytes of a memo.
    pub(crate) const MEMO_BYTES: u64 = super::ante::MAX_MEMO_BYTES as u64;
    /// Signatures of a transaction.
    pub(crate) const SIGNERS: u64 = super::signature::MAX_SIGNATURES as u64;
    /// Gas of a byte.
    pub(crate) const GAS_PER_BYTE: u64 = super::gas::PER_BYTE;
}

use portico_protocol::tx::decode_tx;
use portico_protocol::wire::cosmos::base::abci::v1beta1::TxMsgData;
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Address, Upokt};
use prost::Message as _;

use crate::bank;
use crate::context::{BlockContext, Context, SignatureCache};
use crate::error::{Fault, ModuleError, sdk};
use crate::event::{plain, tag};
use crate::state::{Changes, StateError, StateRead};
#[cfg(test)]
pub(crate) use gas::{signed_size, used as gas_used};
use message::Msg;
pub(crate) use mode::Mode;

/// What a transaction says about itself: nothing of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who would have signed first.
    pub signer: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Fee.
    pub fee: Upokt,
}

/// Reads what a transaction says about itself; `None` when it could never be admitted.
#[must_use]
pub fn envelope(tx: &[u8]) -> Option<Envelope> {
    let tx = decode_tx(tx).ok()?;
    let first = Msg::decode(tx.body.messages.first()?).ok()?;
    let fee = tx.auth_info.fee.unwrap_or_default();
    Some(Envelope {
        signer: first.signer().ok()?.parse().ok()?,
        gas_limit: fee.gas_limit,
        fee: bank::upokt_of(&fee.amount).ok()?,
    })
}

/// Outcome of one transaction, as `ExecTxResult` and `CheckTx` report it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TxOutcome {
    /// Whether it passed everything before its messages: frame, signatures, sequence or timeout, fee. Only then it changed anything.
    pub admitted: bool,
    /// 0 on success.
    pub code: u32,
    /// Error's module; empty on success.
    pub codespace: String,
    /// Codespace and code of the rule that refused, which the reported ones may hide. Not part of any answer.
    pub cause: Option<(&'static str, u32)>,
    /// Error text.
    pub log: String,
    /// Encoded `TxMsgData`.
    pub data: Vec<u8>,
    /// Gas limit of the transaction; 2^64 - 1 in a simulation, which has none.
    pub gas_wanted: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Events in order.
    pub events: Vec<Event>,
}

impl TxOutcome {
    fn fail(&mut self, error: ModuleError) {
        let (codespace, code) = error.reported();
        (self.codespace, self.code) = (codespace.into(), code);
        self.cause = Some((error.codespace, error.code));
        self.log = error.text;
    }
}

/// Largest transaction.
const MAX_TX_BYTES: usize = 4 << 20;
/// Most messages of a transaction.
const MAX_MESSAGES: usize = 1_000;

/// Highest gas limit.
const MAX_GAS: u64 = i64::MAX as u64;

/// Runs a transaction over `parent`; returns its outcome and what it changes. A failing message keeps the fee and the sequence.
pub(crate) fn run(
    parent: &dyn StateRead,
    block: &BlockContext,
    signatures: &dyn SignatureCache,
    bytes: &[u8],
    mode: Mode,
) -> Result<(TxOutcome, Changes), StateError> {
    let mut ante = Context {
        signatures,
        ..Context::new(parent, block)
    };
    let started = prepare(&mut ante, bytes, mode);
    let (messages, gas) = match started {
        Ok(started) => started,
        Err(Fault::State(error)) => return Err(error),
        Err(Fault::Module(error)) => {
            let mut outcome = TxOutcome::default();
            outcome.fail(error);
            return Ok((outcome, Changes::new()));
        }
    };
    let mut outcome = TxOutcome {
        admitted: true,
        gas_wanted: gas.wanted,
        gas_used: gas.used,
        ..TxOutcome::default()
    };
    let mut changes = Changes::new();
    if mode != Mode::Check {
        let mut body = Context::new(&ante.state, block);
        match execute(&mut body, &messages) {
            Ok(data) => {
                outcome.data = data;
                outcome.events = body.events;
                changes = body.state.into_changes();
            }
            Err(Fault::State(error)) => return Err(error),
            Err(Fault::Module(error)) => outcome.fail(error),
        }
    }
    outcome.events = [ante.events, std::mem::take(&mut outcome.events)].concat();
    ante.state.absorb(changes);
    Ok((outcome, ante.state.into_changes()))
}

struct Gas {
    wanted: u64,
    used: u64,
}

fn prepare(ctx: &mut Context<'_>, bytes: &[u8], mode: Mode) -> Result<(Vec<Msg>, Gas), Fault> {
    if bytes.len() > MAX_TX_BYTES {
        return Err(sdk::tx_decode(format!(
            "transaction of {} bytes is larger than {MAX_TX_BYTES}",
            bytes.len()
        )));
    }
    let tx = decode_tx(bytes).map_err(|error| sdk::tx_decode(error.to_string()))?;
    if tx.body.messages.is_empty() {
        return Err(sdk::invalid_request("must contain at least one message"));
    }
    if tx.body.messages.len() > MAX_MESSAGES {
        return Err(sdk::invalid_request(format!(
            "must contain at most {MAX_MESSAGES} messages"
        )));
    }
    let messages = tx
        .body
        .messages
        .iter()
        .map(Msg::decode)
        .collect::<Result<Vec<_>, _>>()?;
    messages.iter().try_for_each(Msg::check)?;
    let wanted = tx.auth_info.fee.as_ref().map_or(0, |fee| fee.gas_limit);
    if wanted > MAX_GAS {
        return Err(sdk::invalid_request(format!(
            "invalid gas supplied; {wanted} > {MAX_GAS}"
        )));
    }
    let (wanted, size) = match mode {
        Mode::Simulate => (u64::MAX, gas::signed_size(&tx)),
        Mode::Deliver | Mode::Check => (wanted, bytes.len()),
    };
    let used = gas::used(size, messages.len());
    if mode != Mode::Simulate && used > wanted {
        return Err(sdk::out_of_gas(format!(
            "gas limit {wanted} is below the {used} that the transaction uses"
        )));
    }
    ante::handle(ctx, &tx, &messages, mode)?;
    Ok((messages, Gas { wanted, used }))
}

fn execute(ctx: &mut Context<'_>, messages: &[Msg]) -> Result<Vec<u8>, Fault> {
    let mut responses = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let first = ctx.events.len();
        let action = message.type_url();
        let attributes = [
            ("action", action.clone()),
            ("sender", message.signer()?),
            ("module", message.module()),
        ];
        ctx.events.push(plain("message", attributes));
        let value = message
            .run(ctx)
            .map_err(|fault| at(index, message.reported(fault)))?;
        tag(&mut ctx.events[first..], "msg_index", &index.to_string());
        responses.push(prost_types::Any {
            type_url: format!("{action}Response"),
            value,
        });
    }
    Ok(TxMsgData {
        msg_responses: responses,
    }
    .encode_to_vec())
}

/// Says which message failed.
fn at(index: usize, fault: Fault) -> Fault {
    match fault {
        Fault::Module(mut error) => {
            error.text = format!(
                "failed to execute message; message index: {index}: {}",
                error.text
            );
            Fault::Module(error)
        }
        fault => fault,
    }
}

/// Runs a block's transaction on `ctx`'s state.
pub(crate) fn deliver(ctx: &mut Context<'_>, bytes: &[u8]) -> Result<TxOutcome, StateError> {
    let (outcome, changes) = run(&ctx.state, ctx.block, ctx.signatures, bytes, Mode::Deliver)?;
    ctx.state.absorb(changes);
    Ok(outcome)
}
