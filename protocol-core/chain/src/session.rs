//! Module session: block hashes, hydration.

use portico_protocol::session::{Timing, select_candidates, session_id, session_id_preimage};
use portico_protocol::wire::pocket::session::{Params, ParamsUpdate, Session, SessionHeader};
use portico_protocol::wire::pocket::shared::{ServiceConfigUpdate, Supplier};
use portico_protocol::{BlockHash, Height};

use crate::context::{Context, history_key, newest, read, required};
use crate::error::{Fault, refuse};
use crate::state::{StateError, StateRead, Store};
use crate::{application, feature, shared, supplier};

const MODULE: &str = "session";
const PARAMS: &[u8] = b"params";
const HISTORY: &[u8] = b"params_history/";
/// Height of the oldest block whose hash was not forgotten; absent before any was.
const OLDEST_HASH: &[u8] = b"oldest_block_hash";
/// Most hashes that a block forgets: more than one, so that a chain which begins to forget late catches up.
const MAX_FORGOTTEN: i64 = 4;

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Session, PARAMS)?.unwrap_or_default())
}

/// Params in force at `height`.
pub(crate) fn params_at(state: &dyn StateRead, height: Height) -> Result<Params, StateError> {
    let update: Option<ParamsUpdate> = newest(state, Store::Session, HISTORY, height)?;
    match update.and_then(|update| update.params) {
        Some(params) => Ok(params),
        None => params(state),
    }
}

/// Changes params from the next session on; what was before is recorded first.
pub(crate) fn change_params(ctx: &mut Context<'_>, new: &Params) -> Result<(), Fault> {
    let height = ctx.height();
    if newest::<ParamsUpdate>(&ctx.state, Store::Session, HISTORY, Height(i64::MAX))?.is_none() {
        let old = params(&ctx.state)?;
        record(ctx, height, old);
    }
    let sessions = shared::params_at(&ctx.state, height)?;
    let next = Height(Timing::new(&sessions).end(height).0.saturating_add(1));
    record(ctx, next, *new);
    set_params(ctx, new);
    Ok(())
}

fn record(ctx: &mut Context<'_>, effective: Height, params: Params) {
    let update = ParamsUpdate {
        effective_height: effective.0,
        params: Some(params),
    };
    ctx.put(Store::Session, history_key(HISTORY, effective), &update);
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Session, PARAMS.to_vec(), params);
}

fn hash_key(height: Height) -> Vec<u8> {
    format!("BlockHash/{height}/").into_bytes()
}

/// Hash of the block at `height`: empty for heights before the first block.
pub(crate) fn block_hash(state: &dyn StateRead, height: Height) -> Result<Option<Vec<u8>>, StateError> {
    if height.0 <= 0 {
        return Ok(Some(Vec::new()));
    }
    state.get(Store::Session, &hash_key(height))
}

/// Stores this block's hash: from now on its height can be a session's start.
pub(crate) fn end_block(ctx: &mut Context<'_>, hash: &BlockHash) -> Result<(), Fault> {
    set_block_hash(ctx, ctx.height(), hash);
    if feature::is_enabled(&ctx.state, feature::FORGET_BLOCK_HASHES, ctx.height())? {
        forget(ctx)?;
    }
    Ok(())
}

/// Removes hashes of blocks that lie further back than twice what the longest session takes from its first block to its settlement.
fn forget(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let kept = shared::longest_life(&ctx.state)?.saturating_mul(2);
    let cursor = ctx.state.get(Store::Session, OLDEST_HASH)?;
    let oldest = cursor
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(1, i64::from_be_bytes);
    let target = ctx.height().0.saturating_sub(kept);
    let end = target.min(oldest.saturating_add(MAX_FORGOTTEN));
    for height in oldest..end {
        ctx.delete(Store::Session, hash_key(Height(height)));
    }
    if end > oldest {
        ctx.state
            .set(Store::Session, OLDEST_HASH.to_vec(), end.to_be_bytes().to_vec());
    }
    Ok(())
}

/// Stores the hash of the block at `height`.
pub(crate) fn set_block_hash(ctx: &mut Context<'_>, height: Height, hash: &[u8]) {
    ctx.state.set(Store::Session, hash_key(height), hash.to_vec());
}

/// The session of (application, service) that contains `height`; `current` is the height of the state.
pub(crate) fn hydrate(
    state: &dyn StateRead,
    current: Height,
    application: &str,
    service: &str,
    height: Height,
) -> Result<Session, Fault> {
    if height > current {
        let text = format!("block height {height} is ahead of the last committed block height {current}");
        return Err(refuse(MODULE, 1101, text));
    }
    if let Some(text) = shared::service_id_fault(service) {
        return Err(refuse(MODULE, 1101, format!("{text}: invalid service ID")));
    }
    let params = shared::params_at(state, height)?;
    let timing = Timing::new(&params);
    let (start, end) = (timing.start(height), timing.end(height));
    let hash = required(block_hash(state, start)?, || {
        refuse(
            MODULE,
            1101,
            format!("the hash of block {start}, the session's first, is not stored"),
        )
    })?;
    let preimage = session_id_preimage(&hash, service, application, start);
    let app = required(application::application(state, application)?, || {
        refuse(
            MODULE,
            1102,
            format!("could not find app with address {application:?} at height {start}"),
        )
    })?;
    if !application::is_active(&app, end) {
        return Err(refuse(
            MODULE,
            1109,
            format!(
                "application {application:?} is not active for session {}",
                session_id(&preimage)
            ),
        ));
    }
    if !application::serves(&app, service, height) {
        return Err(refuse(
            MODULE,
            1103,
            format!("application {application:?} not staked for service ID {service:?}"),
        ));
    }
    let suppliers = draw(state, &preimage, service, start, height)?;
    let id = session_id(&preimage);
    Ok(Session {
        header: Some(SessionHeader {
            application_address: application.to_owned(),
            service_id: service.to_owned(),
            session_id: id.clone(),
            session_start_block_height: start.0,
            session_end_block_height: end.0,
        }),
        session_id: id,
        session_number: timing.number(height),
        num_blocks_per_session: i64::try_from(params.num_blocks_per_session).unwrap_or(i64::MAX),
        application: Some(app),
        suppliers,
    })
}

fn draw(
    state: &dyn StateRead,
    preimage: &[u8],
    service: &str,
    start: Height,
    height: Height,
) -> Result<Vec<Supplier>, Fault> {
    let candidates = supplier::candidates(state, service, height)?;
    if candidates.is_empty() {
        let text = format!("could not find suppliers for service {service} at height {start}");
        return Err(refuse(MODULE, 1104, text));
    }
    let operators: Vec<String> = candidates
        .iter()
        .map(|update| update.operator_address.clone())
        .collect();
    let num_suppliers = params_at(state, height)?.num_suppliers_per_session;
    let drawn = select_candidates(preimage, &operators, num_suppliers);
    let members = drawn.iter().filter_map(|index| candidates.get(*index));
    members.map(|update| member(state, update)).collect()
}

/// A supplier with nothing but the config that it was drawn for.
fn member(state: &dyn StateRead, update: &ServiceConfigUpdate) -> Result<Supplier, Fault> {
    let operator = &update.operator_address;
    let mut found = required(supplier::supplier(state, operator)?, || {
        refuse(
            MODULE,
            1104,
            format!("supplier {operator} is in the index but not staked"),
        )
    })?;
    found.services = update.service.clone().into_iter().collect();
    found.service_config_history.clear();
    Ok(found)
}
