//! Who commits to blocks, from a height on. Our own: in the network this follows from module staking.
//!
//! ```text
//! genesis ─► set of the first blocks          MsgSetValidators in block h ─► set from h + 2 on
//! ```
//! The header of h + 1 names those of h + 2 as the next validators, so that a light client can follow from set to set. Who commits to blocks
//! says nothing about who is paid: rewards go by the tokens that were bonded in the genesis.
//!
//! Sets stay for ever, since light clients ask for those of old blocks, and lie in the store `feature`: a store of its own would change the
//! root of every chain that exists. Without the flag `VALIDATOR_SETS` the genesis' set is the only one.

use std::collections::BTreeSet;

use ed25519_consensus::VerificationKey;
use portico_protocol::wire::portico::validator::{MsgSetValidators, Validator, ValidatorSet};
use portico_protocol::{Address, Height};

use crate::authority::authorize;
use crate::context::{Context, history_key, newest};
use crate::error::{Fault, refuse};
use crate::event::{TypedEvent, quote};
use crate::feature::{VALIDATOR_SETS, is_enabled};
use crate::genesis::Genesis;
use crate::stake;
use crate::state::{StateError, StateRead, Store};

/// Most validators of a set.
pub const MAX_VALIDATORS: usize = 100;
/// Blocks from a message to the first one that its set commits to.
const DELAY: i64 = 2;

const MODULE: &str = "validator";
const SETS: &[u8] = b"validators/";

/// A validator: who signs, and whose account stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signatory {
    /// ed25519 public key.
    pub key: VerificationKey,
    /// Account of its operator.
    pub account: Address,
}

impl Signatory {
    fn new(key: &[u8], account: Address) -> Option<Self> {
        let key = VerificationKey::try_from(key).ok()?;
        Some(Self { key, account })
    }
}

/// Those of the genesis. Errs for none, for too many, and for a key that is none.
pub fn of_genesis(genesis: &Genesis) -> Result<Vec<Signatory>, crate::genesis::GenesisError> {
    let count = genesis.validators.len();
    if !(1..=MAX_VALIDATORS).contains(&count) {
        return Err(crate::genesis::GenesisError(format!(
            "{count} validators, but there must be 1 to {MAX_VALIDATORS}"
        )));
    }
    let one = |validator: &crate::genesis::GenesisValidator| {
        let text = &validator.consensus_public_key;
        let key = hex::decode(text).unwrap_or_default();
        Signatory::new(&key, validator.account).ok_or_else(|| {
            crate::genesis::GenesisError(format!(
                "consensus_public_key {text:?} is not an ed25519 public key of 64 hexadecimal characters"
            ))
        })
    };
    genesis.validators.iter().map(one).collect()
}

/// Who commits to the block at `height`, as far as `state` knows; `None` where the genesis' set still does. Final for heights of up to two
/// above that of the state. Its keys are not read: [`members`] does.
pub fn set_at(state: &dyn StateRead, height: Height) -> Result<Option<ValidatorSet>, StateError> {
    newest(state, Store::Feature, SETS, height)
}

/// The members of a set. Errs for one that [`set_at`] cannot have given.
pub fn members(set: &ValidatorSet) -> Result<Vec<Signatory>, StateError> {
    let damaged = || StateError::Corrupt {
        store: Store::Feature.name(),
        key: hex::encode(SETS),
        reason: "a validator is none".into(),
    };
    let one = |validator: &Validator| {
        let account = validator.account.parse().ok()?;
        Signatory::new(&validator.consensus_public_key, account)
    };
    let members = set.validators.iter().map(one);
    members.collect::<Option<_>>().ok_or_else(damaged)
}

/// Stateless checks of `MsgSetValidators`.
pub(crate) fn check_set(message: &MsgSetValidators) -> Result<(), Fault> {
    stake::address(MODULE, 1100, &message.authority)?;
    let count = message.validators.len();
    if !(1..=MAX_VALIDATORS).contains(&count) {
        let text = format!("{count} validators, but there must be 1 to {MAX_VALIDATORS}");
        return Err(refuse(MODULE, 1101, text));
    }
    let (mut keys, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for validator in &message.validators {
        let key = &validator.consensus_public_key;
        let account = stake::address(MODULE, 1102, &validator.account)?;
        if Signatory::new(key, account).is_none() {
            let text = format!("{} is not an ed25519 public key", hex::encode(key));
            return Err(refuse(MODULE, 1103, text));
        }
        if !keys.insert(key) || !accounts.insert(account) {
            let text = format!("{} is listed twice", validator.account);
            return Err(refuse(MODULE, 1104, text));
        }
    }
    Ok(())
}

/// `portico.validator.MsgSetValidators`
pub(crate) fn msg_set(ctx: &mut Context<'_>, message: &MsgSetValidators) -> Result<(), Fault> {
    authorize(ctx, MODULE, &message.authority)?;
    if !is_enabled(&ctx.state, VALIDATOR_SETS, ctx.height())? {
        let text = format!("the flag {VALIDATOR_SETS} is not set: this chain's validators are its genesis'");
        return Err(refuse(MODULE, 1105, text));
    }
    let from = Height(ctx.height().0.saturating_add(DELAY));
    let set = ValidatorSet {
        from_height: from.0,
        validators: message.validators.clone(),
    };
    ctx.put(Store::Feature, history_key(SETS, from), &set);
    ctx.emit(TypedEvent::new("portico.validator.EventValidatorsSet").json("set", json(&set)));
    Ok(())
}

/// JSON of a set in events.
fn json(set: &ValidatorSet) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let one = |validator: &Validator| {
        let key = quote(&STANDARD.encode(&validator.consensus_public_key));
        let account = quote(&validator.account);
        format!("{{\"consensus_public_key\":{key},\"account\":{account}}}")
    };
    let validators: Vec<_> = set.validators.iter().map(one).collect();
    let from = set.from_height;
    format!(
        "{{\"from_height\":\"{from}\",\"validators\":[{}]}}",
        validators.join(",")
    )
}
