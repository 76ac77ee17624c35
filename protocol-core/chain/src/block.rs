//! A block's life: check, execute, end.

use bytes::Bytes;
use portico_protocol::wire::tendermint::abci::Event;

use crate::context::Context;
use crate::error::Fault;
use crate::event::tag;
use crate::genesis::Genesis;
use crate::state::{Changes, StateError, StateRead};
use crate::tx::{self, Mode};
use crate::{application, auth, bank, feature, gateway, proof, session, shared, supplier, tokenomics};

pub use crate::context::BlockContext;
pub use crate::tx::TxOutcome;

/// What executing a block did.
#[derive(Clone, Debug, Default)]
pub struct BlockOutcome {
    /// Writes, to be committed as one.
    pub changes: Changes,
    /// Outcome per transaction, in order.
    pub txs: Vec<TxOutcome>,
    /// Begin- and end-block events.
    pub events: Vec<Event>,
    /// Optional flags that take effect with this block and that this version does not know: worth a warning. Not part of any hash.
    pub unknown_flags: Vec<String>,
}

/// State before the first block; errs when the genesis is inconsistent.
pub fn init(genesis: &Genesis) -> Result<Changes, crate::genesis::GenesisError> {
    crate::genesis::init(genesis)
}

/// Executes a block's transactions and its end blockers over the parent's state. A failing transaction is an outcome, not an error; errs
/// when state cannot be read, or when the chain has a required flag that this version does not know ([`StateError::UnknownFlag`]).
pub fn execute(
    parent: &dyn StateRead,
    context: &BlockContext,
    txs: &[Bytes],
) -> Result<BlockOutcome, StateError> {
    let mut ctx = Context::new(parent, context);
    let fatal = |fault| match fault {
        Fault::State(error) => error,
        Fault::Module(error) => StateError::Store(format!("block {}: {}", context.height, error.text)),
    };
    let unknown_flags = feature::begin_block(&mut ctx).map_err(fatal)?;
    supplier::begin_block(&mut ctx).map_err(fatal)?;
    tag(&mut ctx.events, "mode", "BeginBlock");
    let begun = ctx.events.len();
    let txs = txs
        .iter()
        .map(|tx| tx::deliver(&mut ctx, tx))
        .collect::<Result<Vec<_>, _>>()?;
    end_block(&mut ctx).map_err(fatal)?;
    let mut events = ctx.events;
    tag(&mut events[begun..], "mode", "EndBlock");
    debug_assert_eq!(
        bank::supply(&ctx.state)?,
        bank::sum_of_balances(&ctx.state)?,
        "balances add up to the supply"
    );
    Ok(BlockOutcome {
        changes: ctx.state.into_changes(),
        txs,
        events,
        unknown_flags,
    })
}

/// The modules' end blockers, in the network's order: the block's hash is stored, its proofs are validated, then claims settle.
fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    session::end_block(ctx);
    proof::end_block(ctx)?;
    tokenomics::end_block(ctx)?;
    gateway::end_block(ctx)?;
    application::end_block(ctx)?;
    supplier::end_block(ctx)?;
    shared::end_block(ctx)?;
    auth::end_block(ctx)
}

/// Checks a transaction against `state` plus what earlier pending ones of the same sender changed (signature, sequence, fee, funds).
/// Returns the outcome and, on success, the changes of its ante part, so that the mempool can stack the next one on it.
pub fn check(
    state: &dyn StateRead,
    context: &BlockContext,
    tx: &[u8],
) -> Result<(TxOutcome, Changes), StateError> {
    tx::run(state, context, tx, Mode::Check)
}

/// Runs a transaction without committing and without verifying signatures; for gas estimates.
pub fn simulate(state: &dyn StateRead, context: &BlockContext, tx: &[u8]) -> Result<TxOutcome, StateError> {
    tx::run(state, context, tx, Mode::Simulate).map(|(outcome, _)| outcome)
}
