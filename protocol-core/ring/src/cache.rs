//! What is computed once per key and per key image: points, and with use the tables that make steps fast.
//!
//! ```text
//!   first sight        computed, not kept: anyone can name a key
//!   a valid signature  of a ring that the chain expects: its keys and its image are kept
//!   the second one     tables are wanted; whoever has time builds them ([`super::build_tables`]), off the path of relays
//! ```
//! A kept key without tables takes [`ENTRY_BYTES`]. Tables of a key and its image take 127 KiB in lanes; on the scalar path, where wider
//! windows pay, 1,200 KiB in the first quarter of the cache and 408 KiB in the second. All is bounded by [`CACHED_BYTES`] and [`CACHED_ENTRIES`]; what was not
//! used for longest goes first, and tables are not built at all when everything else is in use: building them costs more than it saves
//! when they do not stay.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, RwLock};

use k256::AffinePoint;

use super::RingError;
use super::curve::{decode_point, hash_to_curve};
use super::product::use_lanes;
use super::table::{Table, Width};

/// Bytes that tables and entries may take together.
pub(super) const CACHED_BYTES: usize = 128 << 20;
/// Bytes up to which tables are of the widest windows.
const WIDEST_BYTES: usize = CACHED_BYTES / 4;
/// Keys and images that are kept.
const CACHED_ENTRIES: usize = 16_384;
/// What an entry takes without its tables, roughly.
pub(super) const ENTRY_BYTES: usize = 512;
/// Valid signatures after which tables are wanted.
const USES_BEFORE_TABLES: u32 = 2;
/// Tables that may be waited for; more are asked for again at the next use.
const MAX_WANTED: usize = 1_024;
/// An entry is idle when this many times as many signatures were verified since its last use as there are entries.
const IDLE_ROUNDS: u64 = 8;

pub(super) static KEPT: LazyLock<Cache> = LazyLock::new(Cache::default);

/// A key P with its hash to the curve, or a key image.
#[derive(Debug)]
pub(super) struct Entry {
    name: Name,
    pub(super) point: AffinePoint,
    /// Hp(P); an image has none.
    hashed: Option<AffinePoint>,
    tables: OnceLock<Tables>,
    uses: AtomicU32,
    last_use: AtomicU64,
}

/// Tables of an entry's points.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) point: Table,
    pub(super) hashed: Option<Table>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    Key([u8; 33]),
    Image([u8; 33]),
}

impl Entry {
    /// A ring member: from the cache, else computed and not kept.
    pub(super) fn of_key(bytes: &[u8; 33]) -> Result<Arc<Self>, RingError> {
        let name = Name::Key(*bytes);
        KEPT.get(name).map_or_else(
            || {
                Ok(Arc::new(Self::new(
                    name,
                    decode_point(bytes)?,
                    Some(hash_to_curve(bytes)?),
                )))
            },
            Ok,
        )
    }

    /// A key image: from the cache, else decoded and not kept.
    pub(super) fn of_image(bytes: &[u8; 33]) -> Result<Arc<Self>, RingError> {
        let name = Name::Image(*bytes);
        KEPT.get(name)
            .map_or_else(|| Ok(Arc::new(Self::new(name, decode_point(bytes)?, None))), Ok)
    }

    fn new(name: Name, point: AffinePoint, hashed: Option<AffinePoint>) -> Self {
        Self {
            name,
            point,
            hashed,
            tables: OnceLock::new(),
            uses: AtomicU32::new(0),
            last_use: AtomicU64::new(0),
        }
    }

    /// The 33 bytes that it was read from.
    pub(super) const fn bytes(&self) -> &[u8; 33] {
        let (Name::Key(bytes) | Name::Image(bytes)) = &self.name;
        bytes
    }

    /// Hp(P).
    pub(super) fn hashed(&self) -> &AffinePoint {
        self.hashed.as_ref().expect("asked of keys only")
    }

    pub(super) fn tables(&self) -> Option<&Tables> {
        self.tables.get()
    }

    fn build(&self, width: Width) -> Option<Tables> {
        Some(Tables {
            point: Table::new(&self.point, width)?,
            hashed: match &self.hashed {
                Some(hashed) => Some(Table::new(hashed, width)?),
                None => None,
            },
        })
    }

    /// Builds tables whether or not the entry is kept.
    #[cfg(test)]
    pub(super) fn build_at_once(&self, width: Width) {
        self.tables
            .get_or_init(|| self.build(width).expect("no key is the identity"));
    }

    /// An entry of the same name that nobody else has.
    #[cfg(test)]
    pub(super) fn without_tables(&self) -> Self {
        Self::new(self.name, self.point, self.hashed)
    }

    fn cost(&self) -> usize {
        let of = |tables: &Tables| {
            tables.point.width().bytes() + tables.hashed.as_ref().map_or(0, |table| table.width().bytes())
        };
        ENTRY_BYTES + self.tables.get().map_or(0, of)
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSize {
    /// Keys and key images.
    pub entries: usize,
    /// Those with tables.
    pub with_tables: usize,
    /// Bytes of all, at most 128 MiB.
    pub bytes: usize,
}

/// Entries by name. Locked for a look-up, an insertion or an eviction only, and skipped if a panic ever poisoned it.
#[derive(Default)]
pub(super) struct Cache {
    entries: RwLock<Entries>,
    wanted: Mutex<VecDeque<Arc<Entry>>>,
    /// Valid signatures so far: the cache's clock.
    clock: AtomicU64,
}

#[derive(Default)]
struct Entries {
    by_name: HashMap<Name, Arc<Entry>>,
    bytes: usize,
}

impl Cache {
    fn get(&self, name: Name) -> Option<Arc<Entry>> {
        self.entries.read().ok()?.by_name.get(&name).cloned()
    }

    /// Whether an image and all of these keys have tables.
    pub(super) fn has_tables<'a>(
        &self,
        image: &[u8; 33],
        mut keys: impl Iterator<Item = &'a [u8; 33]>,
    ) -> bool {
        let Ok(entries) = self.entries.read() else {
            return false;
        };
        let has = |name| {
            entries
                .by_name
                .get(&name)
                .is_some_and(|entry| entry.tables.get().is_some())
        };
        has(Name::Image(*image)) && keys.all(|key| has(Name::Key(*key)))
    }

    /// Counts a use of each, by one signature; keeps those that are new, and wants tables for those used again.
    pub(super) fn used<'a>(&self, entries: impl Iterator<Item = &'a Arc<Entry>>) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        for entry in entries {
            entry.last_use.store(now, Ordering::Relaxed);
            let uses = entry.uses.fetch_add(1, Ordering::Relaxed) + 1;
            if uses == 1 {
                self.keep(entry);
            }
            if uses >= USES_BEFORE_TABLES && entry.tables.get().is_none() {
                self.want(entry);
            }
        }
    }

    fn keep(&self, entry: &Arc<Entry>) {
        let Ok(mut entries) = self.entries.write() else {
            return;
        };
        if entries.by_name.len() >= CACHED_ENTRIES || entries.bytes + ENTRY_BYTES > CACHED_BYTES {
            // An eighth at once, so that a full cache is not searched for every newcomer.
            entries.evict(CACHED_BYTES / 8 * 7, CACHED_ENTRIES / 8 * 7, u64::MAX);
        }
        if !entries.by_name.contains_key(&entry.name) {
            entries.bytes += entry.cost();
            entries.by_name.insert(entry.name, Arc::clone(entry));
        }
    }

    fn want(&self, entry: &Arc<Entry>) {
        let Ok(mut wanted) = self.wanted.lock() else {
            return;
        };
        if wanted.len() < MAX_WANTED && !wanted.iter().any(|waiting| waiting.name == entry.name) {
            wanted.push_back(Arc::clone(entry));
        }
    }

    /// Entries whose tables are waited for.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.lock().map_or(0, |wanted| wanted.len())
    }

    /// Builds the tables of up to `limit` entries that wait for them; returns how many were looked at.
    pub(super) fn build_wanted(&self, limit: usize) -> usize {
        for done in 0..limit {
            let next = self.wanted.lock().ok().and_then(|mut wanted| wanted.pop_front());
            let Some(entry) = next else {
                return done;
            };
            self.build(&entry);
        }
        limit
    }

    fn build(&self, entry: &Arc<Entry>) {
        let Some(width) = self.width_with_room(entry) else {
            // Everything else is in use: ask again when this one was used more.
            return entry.uses.store(1, Ordering::Relaxed);
        };
        let Some(tables) = entry.build(width) else {
            return;
        };
        if let Ok(mut entries) = self.entries.write()
            && entries.by_name.contains_key(&entry.name)
            && entry.tables.set(tables).is_ok()
        {
            entries.bytes += entry.cost() - ENTRY_BYTES;
        }
    }

    /// How wide the entry's tables may be; makes room by dropping idle entries. `None` when there is none to drop.
    fn width_with_room(&self, entry: &Entry) -> Option<Width> {
        let mut entries = self.entries.write().ok()?;
        let tables = 1 + usize::from(entry.hashed.is_some());
        let room = |width: Width, share: usize| entries.bytes + tables * width.bytes() <= share;
        let width = match use_lanes() {
            true => Width::Six,
            false if room(Width::Ten, WIDEST_BYTES) => Width::Ten,
            false if room(Width::Eight, CACHED_BYTES / 2) => Width::Eight,
            false => Width::Six,
        };
        let needed = tables * width.bytes();
        if entries.bytes + needed > CACHED_BYTES {
            let rounds = IDLE_ROUNDS.saturating_mul(entries.by_name.len() as u64);
            let idle_since = self.clock.load(Ordering::Relaxed).saturating_sub(rounds);
            entries.evict(CACHED_BYTES - needed, CACHED_ENTRIES, idle_since);
        }
        (entries.bytes + needed <= CACHED_BYTES).then_some(width)
    }

    pub(super) fn size(&self) -> CacheSize {
        self.entries.read().map_or_else(
            |_| CacheSize::default(),
            |entries| CacheSize {
                entries: entries.by_name.len(),
                with_tables: entries
                    .by_name
                    .values()
                    .filter(|entry| entry.tables.get().is_some())
                    .count(),
                bytes: entries.bytes,
            },
        )
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        if let Ok(mut entries) = self.entries.write() {
            *entries = Entries::default();
        }
        if let Ok(mut wanted) = self.wanted.lock() {
            wanted.clear();
        }
    }
}

impl Entries {
    /// Drops what was not used since `idle_since`, longest unused first, until no more than so many bytes and entries are left.
    fn evict(&mut self, bytes: usize, count: usize, idle_since: u64) {
        let mut by_age: Vec<_> = self
            .by_name
            .values()
            .map(|entry| (entry.last_use.load(Ordering::Relaxed), entry.name))
            .filter(|(last_use, _)| *last_use < idle_since)
            .collect();
        by_age.sort_unstable();
        for (_, name) in by_age {
            if self.bytes <= bytes && self.by_name.len() <= count {
                return;
            }
            if let Some(entry) = self.by_name.remove(&name) {
                self.bytes = self.bytes.saturating_sub(entry.cost());
                // Should somebody still hold it, its next use keeps it again.
                entry.uses.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> Arc<Entry> {
        let mut bytes = [0; 33];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Arc::new(Entry::new(Name::Image(bytes), AffinePoint::GENERATOR, None))
    }

    #[test]
    fn entries_are_bounded_and_the_oldest_go_first() {
        let cache = Cache::default();
        let first = entry(0);
        cache.used([&first].into_iter());
        for n in 1..CACHED_ENTRIES {
            cache.used([&entry(n)].into_iter());
        }
        assert_eq!(cache.size().entries, CACHED_ENTRIES);
        cache.used([&first].into_iter());
        cache.used([&entry(CACHED_ENTRIES)].into_iter());
        assert_eq!(cache.size().entries, CACHED_ENTRIES / 8 * 7 + 1);
        assert!(cache.get(first.name).is_some(), "it was used again");
        assert!(cache.get(entry(1).name).is_none());
        assert!(cache.get(entry(CACHED_ENTRIES).name).is_some());
    }

    #[test]
    fn tables_are_wanted_at_the_second_use_and_built_when_asked() {
        let cache = Cache::default();
        let entry = entry(0);
        cache.used([&entry].into_iter());
        assert_eq!(cache.wanted(), 0);
        cache.used([&entry].into_iter());
        cache.used([&entry].into_iter());
        assert_eq!(cache.wanted(), 1, "it waits once");
        assert_eq!(cache.build_wanted(10), 1);
        assert!(entry.tables().is_some());
        let width = entry.tables().map(|tables| tables.point.width()).unwrap();
        let size = CacheSize {
            entries: 1,
            with_tables: 1,
            bytes: ENTRY_BYTES + width.bytes(),
        };
        assert_eq!(cache.size(), size);
        cache.clear();
        assert_eq!(cache.size(), CacheSize::default());
    }

    #[test]
    fn tables_stay_within_their_bytes_and_do_not_push_out_what_is_in_use() {
        let cache = Cache::default();
        let entries: Vec<_> = (0..CACHED_BYTES / Width::Six.bytes() + 100).map(entry).collect();
        // As if they had tables: what counts is the sum.
        let built: Vec<_> = entries.iter().take(8).collect();
        for _ in 0..USES_BEFORE_TABLES {
            cache.used(built.iter().copied());
        }
        cache.entries.write().unwrap().bytes = CACHED_BYTES - 3 * Width::Six.bytes();
        assert_eq!(cache.build_wanted(100), 8);
        let with_tables = || built.iter().filter(|entry| entry.tables().is_some()).count();
        assert_eq!(with_tables(), 3, "the others found no room, and nothing idle");
        assert!(cache.size().bytes <= CACHED_BYTES);
        // Many signatures later, all but one are idle.
        for _ in 0..100 * IDLE_ROUNDS {
            cache.used([built[7]].into_iter());
        }
        assert!(cache.build_wanted(100) >= 1);
        assert!(built[7].tables().is_some());
        assert!(cache.size().bytes <= CACHED_BYTES);
    }
}
