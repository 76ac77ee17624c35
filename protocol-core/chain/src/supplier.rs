//! Module supplier: stakes, service configs with their activation, the index that sessions draw candidates from.

pub mod index;
mod messages;
mod state;
mod unbonding;

use std::collections::BTreeSet;

use portico_protocol::Height;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::shared::{ServiceConfigUpdate, Supplier};

use crate::context::{Context, MAX_SCAN, after_height, be};
use crate::error::Fault;
use crate::event::TypedEvent;
use crate::shared;
use crate::state::{StateError, StateRead as _, Store};

pub(crate) use messages::{check_services, check_stake, check_unstake, known_services};
pub(crate) use messages::{msg_stake, msg_unstake};
use state::ENDED;
pub(crate) use state::{
    MODULE, SUPPLIERS, active_services, candidates, params, replace_services, rev_shares, save, set_params,
    supplier,
};
use unbonding::end_unbonding;
pub(crate) use unbonding::slash;

/// Forgets configs whose last proofs are over; at session ends first pays unbonded suppliers back.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let session_end = shared::current_session_end(ctx)?;
    if session_end == ctx.height() {
        for supplier in ctx.scan::<Supplier>(Store::Supplier, SUPPLIERS)? {
            end_unbonding(ctx, &supplier, session_end)?;
        }
    }
    prune_configs(ctx)?;
    index::end_block(ctx)
}

fn prune_configs(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let until = [ENDED, &be(ctx.height().0.saturating_add(1))].concat();
    let mut operators = BTreeSet::new();
    for (key, _) in ctx.state.range(Store::Supplier, ENDED, Some(&until), MAX_SCAN)? {
        operators.insert(after_height(ENDED, &key));
    }
    for operator in operators {
        let Some(old) = supplier(&ctx.state, &operator)? else {
            continue;
        };
        let mut new = old.clone();
        new.service_config_history.clear();
        for update in &old.service_config_history {
            if !is_over(ctx, update)? {
                new.service_config_history.push(update.clone());
            }
        }
        if new != old {
            save(ctx, Some(&old), &new);
        }
    }
    Ok(())
}

/// Whether the proof window of a config's last session has closed.
fn is_over(ctx: &Context<'_>, update: &ServiceConfigUpdate) -> Result<bool, StateError> {
    if update.deactivation_height == 0 || update.deactivation_height > ctx.height().0 {
        return Ok(false);
    }
    let last = Height(update.deactivation_height.saturating_sub(1));
    let params = shared::params_at(&ctx.state, last)?;
    Ok(ctx.height() > Timing::new(&params).proof_close(last))
}

/// At session starts: says which configs begin, by service and operator.
pub(crate) fn begin_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let params = shared::params(&ctx.state)?;
    let height = ctx.height();
    if Timing::new(&params).start(height) != height {
        return Ok(());
    }
    let mut begun = BTreeSet::new();
    for supplier in ctx.scan::<Supplier>(Store::Supplier, SUPPLIERS)? {
        let history = supplier.service_config_history.iter();
        for update in history.filter(|update| update.activation_height == height.0) {
            let service = update.service.as_ref();
            let service = service.map(|service| service.service_id.clone() + "/");
            begun.insert((service.unwrap_or_default(), supplier.operator_address.clone()));
        }
    }
    for (service, operator) in begun {
        ctx.emit(
            TypedEvent::new("pocket.supplier.EventSupplierServiceConfigActivated")
                .long("activation_height", height)
                .text("operator_address", &operator)
                .text("service_id", service.trim_end_matches('/')),
        );
    }
    Ok(())
}
