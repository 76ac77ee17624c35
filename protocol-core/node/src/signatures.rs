//! Signatures that held, remembered for as long as their transactions may wait.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use portico_chain::block::SignatureCache;

/// Most ids of a generation; two are kept. At 32 bytes each, and the set's own space, that is some 4 MiB.
const MAX_PER_GENERATION: usize = 32_768;

/// Ids of signatures that held, in two generations: when the newer one is full, the older one is forgotten. What is forgotten is verified
/// again.
#[derive(Default)]
pub(crate) struct Signatures(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    newer: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl SignatureCache for Signatures {
    fn contains(&self, id: &[u8; 32]) -> bool {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.newer.contains(id) || generations.older.contains(id)
    }

    fn insert(&self, id: [u8; 32]) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.newer.len() >= MAX_PER_GENERATION {
            generations.older = std::mem::take(&mut generations.newer);
        }
        generations.newer.insert(id);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PER_GENERATION, SignatureCache as _, Signatures};

    #[test]
    fn forgets_the_older_half_when_it_is_full() {
        let id = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            id
        };
        let signatures = Signatures::default();
        for n in 0..3 * MAX_PER_GENERATION {
            signatures.insert(id(n));
        }
        assert!(!signatures.contains(&id(0)));
        assert!(signatures.contains(&id(MAX_PER_GENERATION)));
        assert!(signatures.contains(&id(3 * MAX_PER_GENERATION - 1)));
        let generations = signatures.0.lock().expect("sound");
        assert_eq!(
            generations.newer.len() + generations.older.len(),
            2 * MAX_PER_GENERATION
        );
    }
}
