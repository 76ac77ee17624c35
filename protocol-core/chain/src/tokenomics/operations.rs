//! What a settlement does to balances: queued per claim, then added up by reason and executed once.

use std::collections::BTreeMap;

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::tokenomics::SettlementOpReason as Reason;
use portico_protocol::{Address, Upokt};

use super::state::MODULE;
use crate::bank;
use crate::context::Context;
use crate::error::{Fault, refuse};
use crate::event::{TypedEvent, quote};

/// Tokens made or destroyed in a module's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MintBurn {
    pub(crate) reason: Reason,
    pub(crate) module: &'static str,
    pub(crate) amount: Upokt,
}

/// Tokens moved out of a module's account, to another module or to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) reason: Reason,
    pub(crate) from: &'static str,
    pub(crate) to: String,
    pub(crate) amount: Upokt,
}

/// Queued operations of one claim, or of the validators' part of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Operations {
    /// Operator address of the claim's supplier; empty for the validators' part.
    pub(crate) supplier: String,
    pub(crate) mints: Vec<MintBurn>,
    pub(crate) burns: Vec<MintBurn>,
    pub(crate) between_modules: Vec<Transfer>,
    pub(crate) to_accounts: Vec<Transfer>,
}

impl Operations {
    pub(crate) fn mint(&mut self, reason: Reason, amount: Upokt) {
        self.mints.push(MintBurn {
            reason,
            module: MODULE,
            amount,
        });
    }

    pub(crate) fn burn(&mut self, reason: Reason, module: &'static str, amount: Upokt) {
        self.burns.push(MintBurn {
            reason,
            module,
            amount,
        });
    }

    pub(crate) fn between(&mut self, reason: Reason, from: &'static str, to: &str, amount: Upokt) {
        let to = to.to_owned();
        self.between_modules.push(Transfer {
            reason,
            from,
            to,
            amount,
        });
    }

    /// Queues a payment; nothing for nothing.
    pub(crate) fn pay(&mut self, reason: Reason, from: &'static str, to: &str, amount: Upokt) {
        if amount == Upokt(0) {
            return;
        }
        let to = to.to_owned();
        self.to_accounts.push(Transfer {
            reason,
            from,
            to,
            amount,
        });
    }
}

/// Operations of one kind for one reason, added up.
struct Batch {
    reason: Reason,
    sender: &'static str,
    recipient: String,
    total: Upokt,
    num_claims: u32,
}

/// Batches in the network's order: by the text `sender|recipient|number of the reason`.
type Batches = BTreeMap<String, Batch>;

fn add(
    batches: &mut Batches,
    reason: Reason,
    sender: &'static str,
    recipient: &str,
    amount: Upokt,
) -> Result<(), Fault> {
    let number = i32::from(reason);
    let key = if recipient.is_empty() {
        format!("{sender}|{number}")
    } else {
        format!("{sender}|{recipient}|{number}")
    };
    let batch = batches.entry(key).or_insert_with(|| Batch {
        reason,
        sender,
        recipient: recipient.to_owned(),
        total: Upokt(0),
        num_claims: 0,
    });
    let total = batch.total.0.checked_add(amount.0);
    batch.total = Upokt(total.ok_or_else(|| refuse(MODULE, 1117, "a total is beyond 2^128"))?);
    batch.num_claims = batch.num_claims.saturating_add(1);
    Ok(())
}

fn mints_or_burns<'a>(all: impl Iterator<Item = &'a MintBurn>) -> Result<Batches, Fault> {
    let mut batches = Batches::new();
    for one in all {
        add(&mut batches, one.reason, one.module, "", one.amount)?;
    }
    Ok(batches)
}

fn transfers<'a>(all: impl Iterator<Item = &'a Transfer>) -> Result<Batches, Fault> {
    let mut batches = Batches::new();
    for one in all {
        add(&mut batches, one.reason, one.from, &one.to, one.amount)?;
    }
    Ok(batches)
}

/// Executes all operations: mints, transfers between modules, payments, burns.
pub(super) fn execute(ctx: &mut Context<'_>, all: &[Operations], session_end: i64) -> Result<(), Fault> {
    for batch in mints_or_burns(all.iter().flat_map(|one| &one.mints))?.values() {
        bank::mint(ctx, batch.sender, batch.total)?;
        announce(ctx, batch, "mint", session_end);
    }
    for batch in transfers(all.iter().flat_map(|one| &one.between_modules))?.values() {
        let to = module_address(&batch.recipient);
        bank::send(ctx, &module_address(batch.sender), &to, batch.total)?;
        announce(ctx, batch, "mod_to_mod", session_end);
    }
    for batch in transfers(all.iter().flat_map(|one| &one.to_accounts))?.values() {
        let to: Address = batch.recipient.parse().map_err(|_| {
            refuse(
                MODULE,
                1123,
                format!("recipient {:?} is no address", batch.recipient),
            )
        })?;
        bank::send(ctx, &module_address(batch.sender), &to, batch.total)?;
        announce(ctx, batch, "mod_to_acct", session_end);
    }
    for batch in mints_or_burns(all.iter().flat_map(|one| &one.burns))?.values() {
        bank::burn(ctx, batch.sender, batch.total)?;
        announce(ctx, batch, "burn", session_end);
    }
    Ok(())
}

fn announce(ctx: &mut Context<'_>, batch: &Batch, kind: &str, session_end: i64) {
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventSettlementBatch")
            .long("session_end_block_height", session_end)
            .text("sender_module", batch.sender)
            .text("recipient", &batch.recipient)
            .json("op_reason", quote(batch.reason.as_str_name()))
            .text("total_amount", &batch.total.to_string())
            .json("num_claims", batch.num_claims.to_string())
            .text("op_type", kind),
    );
}
