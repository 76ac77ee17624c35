//! The validator set: of one.

use ed25519_dalek::{Signature, VerifyingKey};
use portico_chain::genesis::{Genesis, GenesisError, GenesisValidator};
use portico_protocol::Address;
use tendermint::validator::{Info, ProposerPriority, Set};
use tendermint::{Hash, PublicKey, account, vote};

use crate::hash::Sha;
use crate::key::consensus_address;

/// Tokens that are worth one vote, as in Cosmos chains: 10^6 of the base denomination.
const TOKENS_PER_VOTE: u128 = 1_000_000;

/// The one validator of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Validator {
    key: VerifyingKey,
    /// Account that gets the proposer's share.
    pub(crate) account: Address,
    /// The set, as headers commit to it.
    pub(crate) set: Set,
}

impl Validator {
    /// The validator of a genesis; errs unless there is exactly one, with an ed25519 key.
    pub(crate) fn of(genesis: &Genesis) -> Result<Self, GenesisError> {
        let [validator] = genesis.validators.as_slice() else {
            let count = genesis.validators.len();
            return Err(GenesisError(format!(
                "{count} validators, but this engine makes blocks with one"
            )));
        };
        Self::new(validator).ok_or_else(|| {
            let key = &validator.consensus_public_key;
            GenesisError(format!(
                "{key:?} is not an ed25519 public key of 64 hexadecimal characters"
            ))
        })
    }

    fn new(validator: &GenesisValidator) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&validator.consensus_public_key, &mut bytes).ok()?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        let votes = (validator.tokens.0 / TOKENS_PER_VOTE).max(1);
        let info = Info {
            address: account::Id::new(consensus_address(&bytes)),
            pub_key: PublicKey::from_raw_ed25519(&bytes)?,
            power: vote::Power::try_from(u64::try_from(votes).ok()?).ok()?,
            name: None,
            proposer_priority: ProposerPriority::default(),
        };
        if info.power() > Set::MAX_TOTAL_VOTING_POWER {
            return None;
        }
        Some(Self {
            key,
            account: validator.account,
            set: Set::without_proposer(vec![info]),
        })
    }

    /// The one member of the set.
    pub(crate) fn info(&self) -> &Info {
        &self.set.validators[0]
    }

    /// The public key, 32 bytes.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// First 20 bytes of SHA-256 of the public key.
    pub(crate) fn address(&self) -> account::Id {
        self.info().address
    }

    /// `Header.validators_hash`.
    pub(crate) fn set_hash(&self) -> Hash {
        self.set.hash_with::<Sha>()
    }

    /// Whether `signature` is the validator's over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}
