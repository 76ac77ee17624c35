//! Module service: services, their compute units per relay, their relay mining difficulty.

use portico_protocol::difficulty::{BASE_TARGET, next_ema, target_hash};
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::service::{
    MsgAddService, MsgTransferService, Params, RelayMiningDifficulty, RelayMiningDifficultyUpdate,
    ServiceComputeUnitsPerRelayUpdate,
};
use portico_protocol::wire::pocket::shared::{Metadata, Service};
use portico_protocol::{Address, Height, ServiceId, Upokt};

use crate::context::{Context, history_key, key, newest, read, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::state::{StateError, StateRead, Store};
use crate::{bank, shared, stake};

const MODULE: &str = "service";
const PARAMS: &[u8] = b"params";
/// Prefix of services.
pub(crate) const SERVICES: &[u8] = b"service/";
/// Prefix of difficulties.
pub(crate) const DIFFICULTIES: &[u8] = b"difficulty/";

/// Highest compute units per relay (`x/shared/types/service.go`).
const MAX_COMPUTE_UNITS_PER_RELAY: u64 = 2 << 20;
/// Longest name of a service.
const MAX_NAME_LEN: usize = 169;
/// Largest card of a service's metadata.
const MAX_CARD_LEN: usize = 256 << 10;

/// Live params.
pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Service, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Service, PARAMS.to_vec(), params);
}

/// The service with this id.
pub(crate) fn service(state: &dyn StateRead, id: &str) -> Result<Option<Service>, StateError> {
    read(state, Store::Service, &key("service", id))
}

/// Compute units per relay of a service at `height`.
pub(crate) fn compute_units_at(
    state: &dyn StateRead,
    id: &str,
    height: Height,
) -> Result<Option<u64>, StateError> {
    let update: Option<ServiceComputeUnitsPerRelayUpdate> =
        newest(state, Store::Service, &units_history(id), height)?;
    match update {
        Some(update) => Ok(Some(update.compute_units_per_relay)),
        None => Ok(service(state, id)?.map(|service| service.compute_units_per_relay)),
    }
}

/// Difficulty of a service in force at `height`; the base difficulty when none was recorded by then.
pub(crate) fn difficulty_at(
    state: &dyn StateRead,
    id: &str,
    height: Height,
) -> Result<RelayMiningDifficulty, StateError> {
    let update: Option<RelayMiningDifficultyUpdate> =
        newest(state, Store::Service, &difficulty_history(id), height)?;
    match update.and_then(|update| update.difficulty) {
        Some(difficulty) => Ok(difficulty),
        None => base_difficulty(state, id, 0),
    }
}

/// The newest difficulty of a service, as seen at the newest height.
pub(crate) fn difficulty(
    state: &dyn StateRead,
    id: &str,
    height: Height,
) -> Result<RelayMiningDifficulty, StateError> {
    match read(state, Store::Service, &key("difficulty", id))? {
        Some(difficulty) => Ok(difficulty),
        None => base_difficulty(state, id, height.0),
    }
}

fn base_difficulty(
    state: &dyn StateRead,
    id: &str,
    block_height: i64,
) -> Result<RelayMiningDifficulty, StateError> {
    Ok(RelayMiningDifficulty {
        service_id: id.to_owned(),
        block_height,
        num_relays_ema: params(state)?.target_num_relays,
        target_hash: BASE_TARGET.to_vec(),
    })
}

/// Prefix of the history of a service's compute units per relay.
pub(crate) fn units_history(id: &str) -> Vec<u8> {
    key("compute_units", id)
}

/// Prefix of the history of a service's difficulty.
pub(crate) fn difficulty_history(id: &str) -> Vec<u8> {
    key("difficulty_history", id)
}

fn set_compute_units(ctx: &mut Context<'_>, id: &str, effective: Height, compute_units: u64) {
    let update = ServiceComputeUnitsPerRelayUpdate {
        effective_height: effective.0,
        service_id: id.to_owned(),
        compute_units_per_relay: compute_units,
    };
    ctx.put(
        Store::Service,
        history_key(&units_history(id), effective),
        &update,
    );
}

/// Writes a service of the genesis.
pub(crate) fn genesis_service(ctx: &mut Context<'_>, service: &Service) -> Result<(), Fault> {
    validate(service)?;
    ctx.put(Store::Service, key("service", &service.id), service);
    Ok(())
}

fn validate(service: &Service) -> Result<(), Fault> {
    ServiceId::new(&service.id).map_err(|error| refuse("shared", 1108, error.to_string()))?;
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b' ');
    if service.name.len() > MAX_NAME_LEN || !service.name.bytes().all(allowed) {
        return Err(refuse(
            "shared",
            1109,
            format!("invalid service name: {:?}", service.name),
        ));
    }
    if !(1..=MAX_COMPUTE_UNITS_PER_RELAY).contains(&service.compute_units_per_relay) {
        // The network reports it as a fault of the service.
        let text = format!(
            "compute units per relay must be 1 to {MAX_COMPUTE_UNITS_PER_RELAY}: invalid compute units per relay"
        );
        return Err(refuse("shared", 1107, text));
    }
    validate_metadata(service.metadata.as_ref())
}

/// A card, when there is one, is not empty and not too large.
pub(crate) fn validate_metadata(metadata: Option<&Metadata>) -> Result<(), Fault> {
    match metadata.map(|metadata| metadata.card.len()) {
        Some(0) => Err(refuse("shared", 1111, "metadata card must not be empty")),
        Some(size) if size > MAX_CARD_LEN => {
            let text =
                format!("metadata card exceeds maximum size: got {size} bytes, max {MAX_CARD_LEN} bytes");
            Err(refuse("shared", 1111, text))
        }
        _ => Ok(()),
    }
}

/// Stateless checks of `MsgAddService`.
pub(crate) fn check_add(message: &MsgAddService) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.owner_address)?;
    let service = message.service.clone().unwrap_or_default();
    if service.owner_address != message.owner_address {
        return Err(refuse(MODULE, 1113, "the service's owner is not the signer"));
    }
    validate(&service)
}

/// `MsgAddService`: adds a service, or updates one of the same owner.
pub(crate) fn msg_add(ctx: &mut Context<'_>, message: &MsgAddService) -> Result<(), Fault> {
    let owner = stake::address(MODULE, 1102, &message.owner_address)?;
    let mut service = message.service.clone().unwrap_or_default();
    let existing = self::service(&ctx.state, &service.id)?;
    match &existing {
        Some(old) if old.owner_address != service.owner_address => {
            return Err(refuse(
                MODULE,
                1113,
                format!(
                    "existing owner address {:?} does not match the new owner address {:?}",
                    old.owner_address, service.owner_address
                ),
            ));
        }
        Some(old) => service.metadata = service.metadata.or_else(|| old.metadata.clone()),
        None => charge_fee(ctx, &owner)?,
    }
    record_compute_units(ctx, existing.as_ref(), &service)?;
    ctx.put(Store::Service, key("service", &service.id), &service);
    Ok(())
}

/// Stateless checks of `MsgTransferService`.
pub(crate) fn check_transfer(message: &MsgTransferService) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.owner_address)?;
    stake::address(MODULE, 1102, &message.new_owner_address)?;
    if message.service_id.is_empty() {
        return Err(refuse(MODULE, 1103, "service ID cannot be empty"));
    }
    if message.owner_address == message.new_owner_address {
        let text = "new owner address cannot be the same as the current owner address";
        return Err(refuse(MODULE, 1113, text));
    }
    Ok(())
}

/// `MsgTransferService`: gives a service to another owner.
pub(crate) fn msg_transfer(ctx: &mut Context<'_>, message: &MsgTransferService) -> Result<(), Fault> {
    let id = &message.service_id;
    let mut found = required(service(&ctx.state, id)?, || {
        refuse(MODULE, 1117, format!("service {id:?} not found"))
    })?;
    if found.owner_address != message.owner_address {
        let text = format!(
            "signer {:?} is not the owner of service {id:?} (owner: {:?})",
            message.owner_address, found.owner_address
        );
        return Err(refuse(MODULE, 1118, text));
    }
    found.owner_address.clone_from(&message.new_owner_address);
    ctx.put(Store::Service, key("service", id), &found);
    Ok(())
}

fn charge_fee(ctx: &mut Context<'_>, owner: &Address) -> Result<(), Fault> {
    let fee = params(&ctx.state)?
        .add_service_fee
        .as_ref()
        .and_then(|coin| Upokt::try_from(coin).ok())
        .unwrap_or_default();
    let balance = bank::balance(&ctx.state, owner)?;
    if balance <= fee {
        let text = if balance == Upokt(0) {
            "account has no spendable coins".into()
        } else {
            format!("account has {}, but the service fee is {fee}", balance.0)
        };
        return Err(refuse(MODULE, 1108, text));
    }
    bank::send(ctx, owner, &module_address(MODULE), fee)
}

fn record_compute_units(ctx: &mut Context<'_>, old: Option<&Service>, new: &Service) -> Result<(), Fault> {
    let Some(old) = old else {
        let params = shared::params(&ctx.state)?;
        let start = portico_protocol::session::Timing::new(&params).start(ctx.height());
        set_compute_units(ctx, &new.id, start, new.compute_units_per_relay);
        return Ok(());
    };
    if old.compute_units_per_relay != new.compute_units_per_relay {
        let history = units_history(&new.id);
        let recorded: Option<ServiceComputeUnitsPerRelayUpdate> =
            newest(&ctx.state, Store::Service, &history, Height(i64::MAX))?;
        if recorded.is_none() {
            set_compute_units(ctx, &new.id, Height(1), old.compute_units_per_relay);
        }
        let next = shared::next_session_start(ctx)?;
        set_compute_units(ctx, &new.id, next, new.compute_units_per_relay);
    }
    Ok(())
}

/// Follows a service's volume: `num_relays` leaves were settled in this block.
pub(crate) fn update_difficulty(ctx: &mut Context<'_>, id: &str, num_relays: u64) -> Result<(), Fault> {
    let goal = params(&ctx.state)?.target_num_relays;
    let recorded: Option<RelayMiningDifficulty> = ctx.get(Store::Service, &key("difficulty", id))?;
    let history: Option<RelayMiningDifficultyUpdate> = newest(
        &ctx.state,
        Store::Service,
        &difficulty_history(id),
        Height(i64::MAX),
    )?;
    let first = history.is_none();
    let previous = match recorded {
        Some(previous) => previous,
        None => RelayMiningDifficulty {
            service_id: id.to_owned(),
            block_height: ctx.height().0,
            num_relays_ema: num_relays,
            target_hash: target_hash(goal, num_relays).unwrap_or(BASE_TARGET).to_vec(),
        },
    };
    if first {
        let height = ctx.height();
        record_difficulty(ctx, height, previous.clone());
    }
    let ema = next_ema(previous.num_relays_ema, num_relays);
    let target = if ema <= goal {
        BASE_TARGET
    } else {
        target_hash(goal, ema).unwrap_or(BASE_TARGET)
    };
    let effective = shared::next_session_start(ctx)?;
    let next = RelayMiningDifficulty {
        service_id: id.to_owned(),
        block_height: effective.0,
        num_relays_ema: ema,
        target_hash: target.to_vec(),
    };
    ctx.emit(
        TypedEvent::new("pocket.service.EventRelayMiningDifficultyUpdated")
            .text("service_id", id)
            .text(
                "prev_target_hash_hex_encoded",
                &hex::encode(&previous.target_hash),
            )
            .text("new_target_hash_hex_encoded", &hex::encode(target))
            .long("prev_num_relays_ema", previous.num_relays_ema)
            .long("new_num_relays_ema", ema),
    );
    set_difficulty(ctx, &next);
    record_difficulty(ctx, effective, next);
    Ok(())
}

/// Sets the newest difficulty of a service.
pub(crate) fn set_difficulty(ctx: &mut Context<'_>, difficulty: &RelayMiningDifficulty) {
    ctx.put(
        Store::Service,
        key("difficulty", &difficulty.service_id),
        difficulty,
    );
}

/// Adds a difficulty to the history of its service.
pub(crate) fn record_difficulty(ctx: &mut Context<'_>, effective: Height, difficulty: RelayMiningDifficulty) {
    let key = history_key(&difficulty_history(&difficulty.service_id), effective);
    let update = RelayMiningDifficultyUpdate {
        effective_height: effective.0,
        difficulty: Some(difficulty),
    };
    ctx.put(Store::Service, key, &update);
}
