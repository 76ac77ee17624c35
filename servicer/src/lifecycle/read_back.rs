//! Reading leaves back from disk before their root is claimed.
//!
//! A root counts what memory knows, a proof needs what the disk has: one leaf that changed there spoils every proof of its session, and costs
//! stake when a proof is asked for. So all leaves of a session are read once before it is sealed, and what is not as it was written is left out.
//!
//! A leaf's key is the hash of its relay, which was checked in full before it was written. So equal hashes, and the session and supplier that the
//! relay names, say that the leaf is the one that was written, and in its place: a few microseconds each. What the chain checks of a proven relay
//! besides, signatures above all, is checked of that one (`prove`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use portico_protocol::difficulty;
use portico_protocol::wire::pocket::service::Relay;
use portico_smst::{LeafSet, Path};
use prost::Message;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::lifecycle::prove::{Named, relay_hash};
use crate::session::record::SessionRecord;
use crate::session::tree::{SessionTree, leaf_hash};

/// Leaves out of `tree`, which takes no more, whatever is on disk otherwise than it was written, and says how many leaves that is.
///
/// When the log cannot be read as a whole, that is an error, unless `leaf_by_leaf`: then each leaf is read alone, and those that cannot be read are
/// left out. It is an error again when none can be read.
pub(crate) fn leave_out_damaged(
    tree: &SessionTree,
    record: &SessionRecord,
    log: &dyn LeafLog,
    leaf_by_leaf: bool,
) -> Result<u64, LeafLogError> {
    let (known, weight, mut sound) = {
        let leaves = tree.leaves();
        let positions = usize::try_from(leaves.next_seq).unwrap_or(usize::MAX);
        (
            leaves.set.len(),
            leaves.set.weight(),
            Sound(vec![false; positions]),
        )
    };
    let named = Named::by(record);
    let is_sound = |key: &[u8; 32], relay: &[u8]| is_sound(&named, &record.target_hash, key, relay);
    let scanned = guarded(|| {
        log.scan(tree.index, &mut |seq, key, relay| {
            if is_sound(key, relay) && tree.leaves().set.get(&Path::of_key(key)) == Some(seq) {
                sound.add(seq);
            }
        })
    });
    let alone = match scanned {
        Ok(()) => None,
        Err(error) if !leaf_by_leaf => return Err(error),
        Err(error) => {
            let places: Vec<(Path, u64)> = tree
                .leaves()
                .set
                .leaves()
                .map(|(leaf, _)| (leaf.path, leaf.seq))
                .collect();
            let mut readable = places.is_empty();
            for (path, seq) in &places {
                if let Ok(Some(relay)) = guarded(|| log.relay(tree.index, *seq)) {
                    readable = true;
                    let key = relay_hash(&relay);
                    if Path::of_key(&key) == *path && is_sound(&key, &relay) {
                        sound.add(*seq);
                    }
                }
            }
            if !readable {
                return Err(error);
            }
            Some(places)
        }
    };
    // Positions are given without gaps: one without a sound leaf had one once, also when an earlier seal left it out that was not stored.
    let damaged = u64::try_from(sound.0.len() - sound.count()).unwrap_or(u64::MAX);
    if sound.count() == known {
        return Ok(damaged);
    }
    let mut set = LeafSet::new(weight);
    let mut keep = |seq: u64, key: &[u8; 32], relay: &[u8]| {
        if sound.has(seq) {
            let (path, hash) = leaf_hash(key, relay, weight);
            set.insert(path, hash, seq);
        }
    };
    match alone {
        None => guarded(|| log.scan(tree.index, &mut keep))?,
        Some(places) => {
            for (_, seq) in places.iter().filter(|(_, seq)| sound.has(*seq)) {
                if let Some(relay) = guarded(|| log.relay(tree.index, *seq))? {
                    keep(*seq, &relay_hash(&relay), &relay);
                }
            }
        }
    }
    tree.leaves().set = set;
    Ok(damaged)
}

/// Which positions hold a leaf as it was written.
struct Sound(Vec<bool>);

impl Sound {
    fn add(&mut self, seq: u64) {
        let position = usize::try_from(seq).ok().and_then(|at| self.0.get_mut(at));
        if let Some(sound) = position {
            *sound = true;
        }
    }

    fn has(&self, seq: u64) -> bool {
        usize::try_from(seq).is_ok_and(|at| self.0.get(at) == Some(&true))
    }

    fn count(&self) -> usize {
        self.0.iter().filter(|sound| **sound).count()
    }
}

/// Whether a leaf is one that was written for the session that relays name so.
fn is_sound(named: &Named, target_hash: &[u8; 32], key: &[u8; 32], relay: &[u8]) -> bool {
    relay_hash(relay) == *key
        && difficulty::is_applicable(key, target_hash)
        && Relay::decode(relay).is_ok_and(|relay| named.check(&relay).is_ok())
}

/// The store may panic over a page that is not what it wrote.
fn guarded<T>(read: impl FnOnce() -> Result<T, LeafLogError>) -> Result<T, LeafLogError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(std::io::Error::other("the store panicked over a damaged page").into()))
}
