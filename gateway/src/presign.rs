//! Ring signatures made ahead of the relays that will use them.
//!
//! Two thirds of a signature's cost do not depend on its message. Each signer keeps a few such parts, made on the pool for blocking work
//! whenever they run low; a call that finds none makes its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_protocol::SigningKey;
use portico_protocol::ring::{Prepared, Ring, build_tables, tables_wanted};
use rand::rngs::StdRng;

/// Signatures kept ready, about 1 KiB each for a ring of two.
const READY: usize = 32;
/// Left over when more are made: so many at once that waking another thread for it costs little.
const LOW: usize = READY / 2;
/// Tables that are built at once, 0.1 to 0.3 ms each, should the ring's be waited for.
const TABLES_AT_ONCE: usize = 8;

/// What is ready for one signer and the ring it signs for.
#[derive(Debug, Default)]
pub(crate) struct Presigner(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ring: Option<Ring>,
    ready: Vec<Prepared>,
    /// Whether somebody is making more.
    refilling: bool,
}

impl Presigner {
    /// Takes one for `ring`, if there is one. What was made for another ring is dropped: its delegations changed.
    pub(crate) fn take(&self, ring: &Ring) -> Option<Prepared> {
        let mut state = self.state();
        if state.ring.as_ref() != Some(ring) {
            state.ring = Some(ring.clone());
            state.ready.clear();
        }
        state.ready.pop()
    }

    /// Has more made, if they run low and nobody is at it; `rng` is asked for a generator then.
    pub(crate) fn refill(self: &Arc<Self>, key: &SigningKey, rng: impl FnOnce() -> StdRng) {
        let ring = {
            let mut state = self.state();
            if state.refilling || state.ready.len() > LOW {
                return;
            }
            let Some(ring) = state.ring.clone() else { return };
            state.refilling = true;
            ring
        };
        let (presigner, key, rng) = (Arc::clone(self), key.clone(), rng());
        tokio::task::spawn_blocking(move || presigner.make(&ring, &key, rng));
    }

    /// Fills up, one by one: takers are never waited for.
    fn make(&self, ring: &Ring, key: &SigningKey, mut rng: StdRng) {
        while self.wants_for(ring).is_some() {
            if tables_wanted() > 0 {
                build_tables(TABLES_AT_ONCE);
            }
            let Ok(prepared) = key
                .ring_signer()
                .and_then(|signer| ring.prepare(signer, &mut rng))
            else {
                break;
            };
            if let Some(mut state) = self.wants_for(ring) {
                state.ready.push(prepared);
            }
        }
        self.state().refilling = false;
    }

    /// The state, if it lacks signatures of this ring.
    fn wants_for(&self, ring: &Ring) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        (state.ring.as_ref() == Some(ring) && state.ready.len() < READY).then_some(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32]).unwrap()
    }

    fn ring(keys: [u8; 2]) -> Ring {
        Ring::new(keys.map(|number| key(number).public_key()).to_vec()).unwrap()
    }

    #[test]
    fn what_is_taken_was_made_for_the_ring_that_is_asked_for() {
        let (presigner, first, second) = (Presigner::default(), ring([1, 2]), ring([1, 3]));
        assert!(presigner.take(&first).is_none());
        presigner.make(&first, &key(1), rng());
        assert_eq!(presigner.state().ready.len(), READY);
        assert_eq!(presigner.take(&first).unwrap().keys(), first.keys());
        assert!(presigner.take(&second).is_none());
        assert!(presigner.state().ready.is_empty(), "the other ring's are gone");
        presigner.make(&first, &key(1), rng());
        assert!(
            presigner.state().ready.is_empty(),
            "the ring changed while they were made"
        );
        presigner.make(&second, &key(1), rng());
        assert_eq!(presigner.take(&second).unwrap().keys(), second.keys());
    }

    #[test]
    fn no_two_signatures_share_what_was_made_ahead() {
        let (presigner, ring) = (Presigner::default(), ring([4, 5]));
        assert!(presigner.take(&ring).is_none());
        presigner.make(&ring, &key(4), rng());
        let taken = std::iter::from_fn(|| presigner.take(&ring));
        let mut signatures: Vec<_> = taken.map(|prepared| prepared.sign(&[0; 32]).unwrap()).collect();
        assert_eq!(signatures.len(), READY);
        signatures.sort();
        signatures.dedup();
        assert_eq!(signatures.len(), READY);
    }

    #[test]
    fn a_key_outside_the_ring_makes_nothing_and_ends() {
        let (presigner, ring) = (Presigner::default(), ring([1, 2]));
        assert!(presigner.take(&ring).is_none());
        presigner.make(&ring, &key(9), rng());
        assert!(presigner.take(&ring).is_none());
    }

    #[tokio::test]
    async fn more_are_made_only_when_they_run_low_and_by_one_at_a_time() {
        let (presigner, ring, key) = (Arc::new(Presigner::default()), ring([6, 7]), key(6));
        presigner.refill(&key, || panic!("no ring was asked for yet"));
        assert!(presigner.take(&ring).is_none());
        presigner.state().refilling = true;
        presigner.refill(&key, || panic!("somebody is at it"));
        presigner.state().refilling = false;
        presigner.refill(&key, rng);
        while presigner.state().refilling {
            tokio::task::yield_now().await;
        }
        for _ in LOW..READY {
            presigner.refill(&key, || panic!("there are enough"));
            assert!(presigner.take(&ring).is_some());
        }
        presigner.refill(&key, rng);
        while presigner.state().refilling {
            tokio::task::yield_now().await;
        }
        assert_eq!(presigner.state().ready.len(), READY);
    }
}
