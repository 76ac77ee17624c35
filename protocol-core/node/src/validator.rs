//! The validator set: of one.

use ed25519_consensus::{Signature, VerificationKey};
use portico_chain::genesis::{Genesis, GenesisError, GenesisValidator};
use portico_protocol::Address;
use tendermint::validator::{Info, ProposerPriority, Set};
use tendermint::{Hash, PublicKey, account};

use crate::hash::Sha;
use crate::key::consensus_address;

/// Votes of a validator. Each has one: an engine counts seats, so that powers by stake would tell light clients of another quorum.
const VOTES: u32 = 1;

/// The one validator of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Validator {
    key: VerificationKey,
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
        let key = VerificationKey::try_from(bytes).ok()?;
        let info = Info {
            address: account::Id::new(consensus_address(&bytes)),
            pub_key: PublicKey::from_raw_ed25519(&bytes)?,
            power: VOTES.into(),
            name: None,
            proposer_priority: ProposerPriority::default(),
        };
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

    /// Whether `signature` is the validator's over `message`, by the rules of ZIP-215 as in CometBFT and its light clients: nodes must not
    /// disagree on a commit that somebody crafted.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::try_from(signature);
        signature.is_ok_and(|signature| self.key.verify(&signature, message).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use portico_chain::genesis::GenesisValidator;
    use portico_protocol::{Address, Upokt};

    use super::Validator;

    fn of(key: [u8; 32], tokens: u128) -> Validator {
        let validator = GenesisValidator {
            consensus_public_key: hex::encode(key),
            account: Address::new([1; 20]),
            tokens: Upokt(tokens),
        };
        Validator::new(&validator).expect("a point")
    }

    #[test]
    fn signatures_count_by_zip_215() {
        // A point of small order, which stricter rules refuse: every signature (R, s) = (identity, 0) holds for it.
        let mut identity = [0; 32];
        identity[0] = 1;
        let signature = [identity, [0; 32]].concat();
        assert!(of(identity, 1).verify(b"a vote", &signature));
        let own = crate::ValidatorKey::from_seed(&[7; 32]);
        let validator = of(own.public_key(), 1);
        assert!(validator.verify(b"a vote", &own.sign(b"a vote")));
        assert!(!validator.verify(b"another", &own.sign(b"a vote")));
        assert!(!validator.verify(b"a vote", &[0; 63]));
    }

    #[test]
    fn a_validator_has_one_vote_whatever_it_bonded() {
        let key = crate::ValidatorKey::from_seed(&[7; 32]).public_key();
        for tokens in [1, 5_000_000, u128::MAX] {
            assert_eq!(of(key, tokens).info().power(), 1);
        }
    }
}
