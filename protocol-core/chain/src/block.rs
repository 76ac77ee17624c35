//! A block's life: check, execute, end.

use bytes::Bytes;
use portico_protocol::BlockHash;
use portico_protocol::wire::tendermint::abci::Event;

use crate::context::Context;
use crate::error::Fault;
use crate::event::tag;
use crate::genesis::Genesis;
use crate::state::{Changes, StateError, StateRead};
use crate::tx::{self, Mode};
use crate::{application, auth, bank, feature, gateway, proof, session, shared, supplier, tokenomics};

pub use crate::context::{BlockContext, NoCache, SignatureCache};
pub use crate::tx::{Envelope, TxOutcome, envelope};

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

/// A block in execution. Transactions are taken one by one; its own header, whose hash it ends with, may follow from those that were.
pub struct Execution<'a> {
    ctx: Context<'a>,
    txs: Vec<TxOutcome>,
    /// Events of the block's beginning; those after them are of its end.
    begun: usize,
    unknown_flags: Vec<String>,
}

impl<'a> Execution<'a> {
    /// Begins the block of `context` over the parent's state.
    pub fn begin(parent: &'a dyn StateRead, context: &'a BlockContext) -> Result<Self, StateError> {
        let mut ctx = Context::new(parent, context);
        let unknown_flags = feature::begin_block(&mut ctx).map_err(|fault| fatal(context, fault))?;
        supplier::begin_block(&mut ctx).map_err(|fault| fatal(context, fault))?;
        tag(&mut ctx.events, "mode", "BeginBlock");
        Ok(Self {
            begun: ctx.events.len(),
            ctx,
            txs: Vec::new(),
            unknown_flags,
        })
    }

    /// Remembers in `signatures` which signatures held, and does not verify those again that did before.
    #[must_use]
    pub fn remembering(mut self, signatures: &'a dyn SignatureCache) -> Self {
        self.ctx.signatures = signatures;
        self
    }

    /// Runs the next transaction. One that is not admitted ([`TxOutcome::admitted`]) pays nothing and so has no place in a block: it
    /// changes nothing, and its outcome is given back.
    pub fn offer(&mut self, tx: &[u8]) -> Result<Result<(), TxOutcome>, StateError> {
        let outcome = tx::deliver(&mut self.ctx, tx)?;
        if !outcome.admitted {
            return Ok(Err(outcome));
        }
        self.txs.push(outcome);
        Ok(Ok(()))
    }

    /// Ends the block whose header has this hash.
    pub fn end(mut self, hash: &BlockHash) -> Result<BlockOutcome, StateError> {
        let ctx = &mut self.ctx;
        end_block(ctx, hash).map_err(|fault| fatal(ctx.block, fault))?;
        let mut events = self.ctx.events;
        tag(&mut events[self.begun..], "mode", "EndBlock");
        debug_assert_eq!(
            bank::supply(&self.ctx.state)?,
            bank::sum_of_balances(&self.ctx.state)?,
            "balances add up to the supply"
        );
        Ok(BlockOutcome {
            changes: self.ctx.state.into_changes(),
            txs: self.txs,
            events,
            unknown_flags: self.unknown_flags,
        })
    }
}

fn fatal(block: &BlockContext, fault: Fault) -> StateError {
    match fault {
        Fault::State(error) => error,
        Fault::Module(error) => StateError::Store(format!("block {}: {}", block.height, error.text)),
    }
}

/// Executes a block's transactions and its end blockers over the parent's state. A failing transaction is an outcome, not an error, also
/// one that is not admitted; errs when state cannot be read, or when the chain has a required flag that this version does not know
/// ([`StateError::UnknownFlag`]).
pub fn execute(
    parent: &dyn StateRead,
    context: &BlockContext,
    txs: &[Bytes],
) -> Result<BlockOutcome, StateError> {
    let mut execution = Execution::begin(parent, context)?;
    for tx in txs {
        if let Err(refused) = execution.offer(tx)? {
            execution.txs.push(refused);
        }
    }
    execution.end(&context.hash)
}

/// The modules' end blockers, in the network's order: the block's hash is stored, its proofs are validated, then claims settle.
fn end_block(ctx: &mut Context<'_>, hash: &BlockHash) -> Result<(), Fault> {
    session::end_block(ctx, hash)?;
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
    signatures: &dyn SignatureCache,
    tx: &[u8],
) -> Result<(TxOutcome, Changes), StateError> {
    tx::run(state, context, signatures, tx, Mode::Check)
}

/// Runs a transaction without committing and without verifying signatures; for gas estimates.
pub fn simulate(state: &dyn StateRead, context: &BlockContext, tx: &[u8]) -> Result<TxOutcome, StateError> {
    tx::run(state, context, &NoCache, tx, Mode::Simulate).map(|(outcome, _)| outcome)
}
