//! What is computed once per public key: its point and its hash to the curve.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use k256::AffinePoint;

use super::RingError;
use super::curve::{decode_point, hash_to_curve};

/// Keys that are kept, some 2 MB; when full, all are dropped: a miss costs tens of microseconds.
const CACHED_KEYS: usize = 8_192;

static KEPT: LazyLock<Cache> = LazyLock::new(Cache::default);

/// A ring member: P and Hp(P).
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) point: AffinePoint,
    pub(super) hashed: AffinePoint,
}

impl Member {
    /// From the cache, else computed and *not* kept: anyone can name a key.
    pub(super) fn of(key: &[u8; 33]) -> Result<Self, RingError> {
        if let Some(member) = KEPT.get(key) {
            return Ok(member);
        }
        Ok(Self {
            point: decode_point(key)?,
            hashed: hash_to_curve(key)?,
        })
    }

    /// Keeps the member: for keys that the chain gave, so that strangers cannot push these out.
    pub(super) fn keep(&self, key: &[u8; 33]) {
        if KEPT.get(key).is_none() {
            KEPT.insert(key, *self);
        }
    }
}

/// Members by key, at most [`CACHED_KEYS`]; locked for a look-up or an insertion only, and skipped if a panic ever poisoned it.
#[derive(Default)]
pub(super) struct Cache(RwLock<HashMap<[u8; 33], Member>>);

impl Cache {
    fn get(&self, key: &[u8; 33]) -> Option<Member> {
        self.0.read().ok()?.get(key).copied()
    }

    fn insert(&self, key: &[u8; 33], member: Member) {
        if let Ok(mut members) = self.0.write() {
            if members.len() >= CACHED_KEYS {
                members.clear();
            }
            members.insert(*key, member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_bounded() {
        let cache = Cache::default();
        let member = Member {
            point: AffinePoint::GENERATOR,
            hashed: AffinePoint::GENERATOR,
        };
        let key = |n: usize| {
            let mut key = [0; 33];
            key[..8].copy_from_slice(&n.to_le_bytes());
            key
        };
        for n in 0..CACHED_KEYS {
            cache.insert(&key(n), member);
        }
        assert!(cache.get(&key(0)).is_some());
        cache.insert(&key(CACHED_KEYS), member);
        assert!(cache.get(&key(CACHED_KEYS)).is_some());
        assert!(cache.get(&key(0)).is_none(), "all were dropped to make room");
    }

    #[test]
    fn a_member_is_kept_only_when_told_and_is_the_same_from_the_cache() {
        let mut key = [2; 33];
        // An x that no other test uses.
        let member = (0..=u8::MAX)
            .find_map(|n| {
                key[32] = n;
                Member::of(&key).ok()
            })
            .unwrap();
        assert!(KEPT.get(&key).is_none());
        member.keep(&key);
        let kept = KEPT.get(&key).unwrap();
        let again = Member::of(&key).unwrap();
        assert_eq!((kept.point, kept.hashed), (member.point, member.hashed));
        assert_eq!((again.point, again.hashed), (member.point, member.hashed));
    }
}
