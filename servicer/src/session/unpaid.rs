//! Relays that were answered with a signature and earn nothing: why, how many, and the newest of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use portico_protocol::Address;
use serde::{Deserialize, Serialize};

/// Relays that [`RecentUnpaid`] remembers; the oldest is forgotten for a new one.
const MAX_RECENT: usize = 8192;

/// Why a signed answer earns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Unpaid {
    /// The backend answered with an HTTP status from 500 on.
    BackendError,
    /// The application's budget was used up, and the operator chose to serve anyway.
    OverServiced,
    /// The relay's hash is above the target of the service's difficulty. Those below are paid for it.
    Difficulty,
    /// The same request with the same answer is a leaf already.
    Duplicate,
}

impl Unpaid {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::BackendError,
        Self::OverServiced,
        Self::Difficulty,
        Self::Duplicate,
    ];

    /// Name in metrics and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BackendError => "backend_error",
            Self::OverServiced => "over_serviced",
            Self::Difficulty => "difficulty",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Relays by [`Unpaid`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnpaidBy {
    /// See [`Unpaid::BackendError`].
    pub backend_error: u64,
    /// See [`Unpaid::OverServiced`].
    pub over_serviced: u64,
    /// See [`Unpaid::Difficulty`].
    pub difficulty: u64,
    /// See [`Unpaid::Duplicate`].
    pub duplicate: u64,
}

impl UnpaidBy {
    /// From numbers in the order of [`Unpaid::ALL`].
    pub(crate) const fn new(numbers: [u64; Unpaid::ALL.len()]) -> Self {
        let [backend_error, over_serviced, difficulty, duplicate] = numbers;
        Self {
            backend_error,
            over_serviced,
            difficulty,
            duplicate,
        }
    }

    /// All of them.
    pub(crate) const fn total(&self) -> u64 {
        self.backend_error
            .saturating_add(self.over_serviced)
            .saturating_add(self.difficulty)
            .saturating_add(self.duplicate)
    }

    /// Relays unpaid for `reason`.
    #[must_use]
    pub const fn of(&self, reason: Unpaid) -> u64 {
        match reason {
            Unpaid::BackendError => self.backend_error,
            Unpaid::OverServiced => self.over_serviced,
            Unpaid::Difficulty => self.difficulty,
            Unpaid::Duplicate => self.duplicate,
        }
    }
}

/// An unpaid relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpaidRelay {
    /// Session id.
    pub session_id: String,
    /// Operator address of the supplier.
    pub supplier: Address,
    /// Why it earns nothing.
    pub reason: Unpaid,
}

/// The newest unpaid relays by hash, in memory only: what each session adds up is stored, single relays are not.
#[derive(Debug, Default)]
pub(crate) struct RecentUnpaid {
    relays: Mutex<VecDeque<([u8; 32], u64, Unpaid)>>,
}

impl RecentUnpaid {
    /// Remembers the relay `hash` of the session with this index.
    pub(crate) fn add(&self, hash: [u8; 32], session: u64, reason: Unpaid) {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        if relays.len() == MAX_RECENT {
            relays.pop_front();
        }
        relays.push_back((hash, session, reason));
    }

    /// Session index and reason of the relay `hash`, as of its newest answer.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<(u64, Unpaid)> {
        let relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        let found = relays.iter().rev().find(|(known, _, _)| known == hash)?;
        Some((found.1, found.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_in_one_order() {
        let by = UnpaidBy::new([1, 2, 3, 4]);
        for (index, reason) in Unpaid::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert_eq!(by.of(reason), index as u64 + 1);
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.name());
            assert_eq!(serde_json::to_value(by).unwrap()[reason.name()], index + 1);
        }
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let recent = RecentUnpaid::default();
        let hash = |n: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(n as u64).to_be_bytes());
            hash
        };
        for n in 0..=MAX_RECENT {
            recent.add(hash(n), 7, Unpaid::Difficulty);
        }
        assert_eq!(recent.find(&hash(0)), None);
        assert_eq!(recent.find(&hash(MAX_RECENT)), Some((7, Unpaid::Difficulty)));
        recent.add(hash(MAX_RECENT), 8, Unpaid::Duplicate);
        assert_eq!(recent.find(&hash(MAX_RECENT)), Some((8, Unpaid::Duplicate)));
    }
}
