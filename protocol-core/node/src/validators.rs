//! Sets of validators as headers commit to them, and how many must sign.

use std::sync::Arc;

use ed25519_consensus::{Signature, VerificationKey};
use portico_chain::genesis::{Genesis, GenesisError};
use portico_chain::state::{StateError, StateRead};
use portico_chain::validators::{Signatory, members, of_genesis, set_at};
use portico_protocol::wire::portico::validator::ValidatorSet;
use portico_protocol::{Address, Height};
use tendermint::validator::{Info, ProposerPriority, Set};
use tendermint::{Hash, PublicKey, account};

use crate::hash::Sha;
use crate::key::consensus_address;

/// Votes of a validator. Each has one: an engine counts seats, so that powers by stake would tell light clients of another quorum.
const VOTES: u32 = 1;

/// Who commits to a block.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// In the order of the set, which is that of addresses.
    members: Vec<Signatory>,
    set: Set,
    hash: Hash,
    /// What the state has of it; nothing of that of the genesis.
    stored: Option<ValidatorSet>,
}

impl Validators {
    /// Those of the genesis.
    pub(crate) fn of(genesis: &Genesis) -> Result<Self, GenesisError> {
        let members = of_genesis(genesis)?;
        Self::new(members).ok_or_else(|| GenesisError("a validator's key cannot be used".into()))
    }

    /// Those of the block at `height`, as far as `state` knows; `genesis` until the first change.
    pub(crate) fn at(
        state: &dyn StateRead,
        height: i64,
        genesis: &Arc<Self>,
    ) -> Result<Arc<Self>, StateError> {
        Self::following(state, height, genesis, genesis)
    }

    /// As [`Self::at`]; `known` itself where its set still holds, so that a block does not read the keys of all validators again.
    pub(crate) fn following(
        state: &dyn StateRead,
        height: i64,
        known: &Arc<Self>,
        genesis: &Arc<Self>,
    ) -> Result<Arc<Self>, StateError> {
        let Some(stored) = set_at(state, Height(height))? else {
            return Ok(genesis.clone());
        };
        if known.stored.as_ref() == Some(&stored) {
            return Ok(known.clone());
        }
        let unusable = || StateError::Store("a validator's key cannot be used".into());
        let set = Self::new(members(&stored)?).ok_or_else(unusable)?;
        Ok(Arc::new(Self {
            stored: Some(stored),
            ..set
        }))
    }

    fn new(mut members: Vec<Signatory>) -> Option<Self> {
        members.sort_by_key(|member| consensus_address(&member.key.to_bytes()));
        let set = Set::without_proposer(members.iter().map(info).collect::<Option<_>>()?);
        Some(Self {
            hash: set.hash_with::<Sha>(),
            members,
            set,
            stored: None,
        })
    }

    /// The members as CometBFT shows them, in the order in which they sign.
    pub(crate) fn infos(&self) -> &Vec<Info> {
        self.set.validators()
    }

    /// The members, in the same order.
    pub(crate) fn members(&self) -> &[Signatory] {
        &self.members
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// `Header.validators_hash`.
    pub(crate) const fn hash(&self) -> Hash {
        self.hash
    }

    /// Signatures that make a block final: more than two thirds.
    pub(crate) fn quorum(&self) -> usize {
        self.len() * 2 / 3 + 1
    }

    /// Place of the member with this public key.
    pub(crate) fn place(&self, key: &[u8; 32]) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.key.to_bytes() == *key)
    }

    /// Public key of the member at `place`.
    pub(crate) fn key(&self, place: usize) -> Option<[u8; 32]> {
        self.members.get(place).map(|member| member.key.to_bytes())
    }

    /// Whose turn the block at `height` is: address of its key, and its account.
    pub(crate) fn proposer(&self, height: i64) -> (account::Id, Address) {
        let turn = usize::try_from(height).unwrap_or(0) % self.len();
        (self.infos()[turn].address, self.members[turn].account)
    }

    /// Whether `signature` is the one at `place`'s over `message`, by the rules of ZIP-215 as in CometBFT and its light clients: nodes must
    /// not disagree on a commit that somebody crafted.
    pub(crate) fn verify(&self, place: usize, message: &[u8], signature: &[u8]) -> bool {
        let (Some(member), Ok(signature)) = (self.members.get(place), Signature::try_from(signature)) else {
            return false;
        };
        member.key.verify(&signature, message).is_ok()
    }
}

/// A validator as CometBFT shows it.
fn info(member: &Signatory) -> Option<Info> {
    let bytes = VerificationKey::to_bytes(&member.key);
    Some(Info {
        address: account::Id::new(consensus_address(&bytes)),
        pub_key: PublicKey::from_raw_ed25519(&bytes)?,
        power: VOTES.into(),
        name: None,
        proposer_priority: ProposerPriority::default(),
    })
}

#[cfg(test)]
mod tests {
    use ed25519_consensus::VerificationKey;
    use portico_chain::validators::Signatory;
    use portico_protocol::Address;

    use super::Validators;
    use crate::ValidatorKey;

    fn of(keys: &[[u8; 32]]) -> Validators {
        let member = |key: &[u8; 32]| Signatory {
            key: VerificationKey::try_from(*key).expect("a point"),
            account: Address::new([1; 20]),
        };
        Validators::new(keys.iter().map(member).collect()).expect("usable")
    }

    fn keys(count: u8) -> Vec<[u8; 32]> {
        let key = |seed| ValidatorKey::from_seed(&[seed; 32]).public_key();
        (1..=count).map(key).collect()
    }

    #[test]
    fn signatures_count_by_zip_215() {
        // A point of small order, which stricter rules refuse: every signature (R, s) = (identity, 0) holds for it.
        let mut identity = [0; 32];
        identity[0] = 1;
        let signature = [identity, [0; 32]].concat();
        assert!(of(&[identity]).verify(0, b"a vote", &signature));
        let own = ValidatorKey::from_seed(&[7; 32]);
        let validators = of(&[own.public_key()]);
        assert!(validators.verify(0, b"a vote", &own.sign(b"a vote")));
        assert!(!validators.verify(0, b"another", &own.sign(b"a vote")));
        assert!(!validators.verify(1, b"a vote", &own.sign(b"a vote")));
        assert!(!validators.verify(0, b"a vote", &[0; 63]));
    }

    #[test]
    fn each_has_one_vote_and_more_than_two_thirds_make_a_block_final() {
        for (count, quorum) in [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 3),
            (7, 5),
            (10, 7),
            (99, 67),
            (100, 67),
        ] {
            let validators = of(&keys(count));
            assert!(validators.infos().iter().all(|info| info.power() == 1));
            assert_eq!(validators.quorum(), quorum, "{count}");
        }
    }

    #[test]
    fn members_lie_in_the_order_in_which_they_sign_and_take_turns() {
        let validators = of(&keys(7));
        for (place, info) in validators.infos().iter().enumerate() {
            let key = validators.key(place).expect("a member");
            assert_eq!(info.pub_key.to_bytes(), key);
            assert_eq!(validators.place(&key), Some(place));
        }
        let turns: std::collections::BTreeSet<_> =
            (5..12).map(|height| validators.proposer(height).0).collect();
        assert_eq!(turns.len(), 7, "seven blocks, seven proposers");
    }
}
