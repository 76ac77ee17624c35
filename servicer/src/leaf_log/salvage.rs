//! Taking what can be read out of a damaged log, page by page, into a new one.
//!
//! ```text
//!  file ─► every 4 KiB: a page of leaves or sessions? ─► leaves whose key is the hash of their relay, records that read as one
//!                                                        └► of a session that has a record ─► new log
//! ```
//! The tree of pages is not followed, so it does not matter which part of it is damaged: a leaf names its session and proves itself by its hash.
//! Pages that were in use earlier are read too; what they say is older, or the same. The old file is kept.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use portico_disk::Disk;
use portico_protocol::wire::pocket::service::Relay;
use portico_protocol::{Address, Upokt};
use portico_smst::LeafSet;
use prost::Message as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::check::{check_disk, leaf_fault};
use super::records::{LEAF_PLACE, NewLog, Record, SESSION_PLACE};
use super::tables::{META_CURSOR, META_FORMAT, META_PROBE, opening};
use super::{LeafLogError, file};
use crate::session::record::SessionRecord;
use crate::session::stage::Stage;
use crate::session::tree::leaf_hash;
use crate::session::unpaid::Unpaid;

/// Smallest page of redb; every page begins at a multiple of it.
const PAGE: usize = 4096;
/// Mark of a page that holds keys and values (redb, `docs/design.md`, "Leaf page").
const HOLDS_VALUES: u8 = 1;
/// How a session's record begins, in JSON.
const RECORD_BEGINS: &[u8] = b"{\"application\":\"";
/// Largest page that is read: redb's are smaller.
const MAX_PAGE: usize = 256 << 20;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Where the damaged file is now.
    pub kept_as: PathBuf,
    /// Sessions in the new file.
    pub sessions: u64,
    /// Leaves in the new file.
    pub leaves: u64,
    /// What could not be found again.
    pub lost: Vec<Lost>,
}

/// What was lost of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Session id.
    pub session_id: Option<String>,
    /// Operator address.
    pub supplier: Option<Address>,
    /// Leaves that are known to have been there and are not; more may have been.
    pub leaves: u64,
    /// What they were worth; all of the claim's worth when the claim cannot be proved without them.
    pub upokt: Upokt,
    /// What it means.
    pub why: String,
}

/// Repairs the log in `data_dir`: what can be read goes into a new file, the damaged one stays beside it. `None` when there is nothing to
/// repair. With `unchecked` the file is not read as a whole before: that may end a process when its pages name absurd sizes.
///
/// # Errors
/// [`LeafLogError::InUse`] while a servicer runs on it, and when nothing can be written.
pub fn repair(data_dir: &Path, unchecked: bool) -> Result<Option<Repaired>, LeafLogError> {
    let path = file(data_dir);
    std::fs::metadata(&path)?;
    let disk = portico_disk::lock(&path).map_err(opening)?;
    if !unchecked && check_disk(disk.clone())?.is_sound() {
        return Ok(None);
    }
    let found = Found::read(&disk)?;
    let new = path.with_extension("redb.repaired");
    let _ = std::fs::remove_file(&new);
    let mut repaired = found.write(&disk, &new)?;
    repaired.kept_as = aside(&path);
    std::fs::rename(&path, &repaired.kept_as)?;
    std::fs::rename(&new, &path)?;
    #[cfg(unix)]
    std::fs::File::open(data_dir)?.sync_all()?;
    Ok(Some(repaired))
}

/// A name that nothing has yet.
fn aside(path: &Path) -> PathBuf {
    let mut names = (1_u64..).map(|n| path.with_extension(format!("redb.damaged-{n}")));
    names
        .find(|name| !name.exists())
        .expect("fewer files than numbers")
}

/// A leaf in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its position in the session, as it is stored beside it: nothing proves that.
    seq: u64,
    key: [u8; 32],
    offset: u64,
    length: usize,
}

/// A session of a supplier, as the relays themselves name it.
type Of = (String, String);

/// What a damaged file still has.
#[derive(Default)]
struct Found {
    cursor: Option<u64>,
    /// The newest record of each session, with its index where that could be read.
    sessions: BTreeMap<Of, (Option<u64>, SessionRecord)>,
    leaves: BTreeMap<Of, Vec<Place>>,
}

impl Found {
    fn read(disk: &Disk) -> Result<Self, LeafLogError> {
        let mut found = Self::default();
        let (length, mut at, mut page) = (disk.len()?, 0_u64, Vec::new());
        while at < length {
            let used = match read_page(disk, at, length, &mut page)? {
                true => found.page(&page, at),
                false => 0,
            };
            // What is within a page's values is no page, whatever it looks like.
            at = at.saturating_add(used.max(1).next_multiple_of(PAGE) as u64);
        }
        Ok(found)
    }

    /// Takes what is in a page; returns how many bytes are its own for sure.
    fn page(&mut self, page: &[u8], at: u64) -> usize {
        self.leaves(page, at)
            .or_else(|| self.sessions(page))
            .or_else(|| self.meta(page))
            .unwrap_or_else(|| self.records_without_page(page))
    }

    /// Takes records out of a page whose beginning is damaged.
    fn records_without_page(&mut self, page: &[u8]) -> usize {
        for at in 0..page.len() {
            if !page[at..].starts_with(RECORD_BEGINS) {
                continue;
            }
            let mut records = serde_json::Deserializer::from_slice(&page[at..]).into_iter::<SessionRecord>();
            if let Some(Ok(record)) = records.next() {
                self.record(None, record);
            }
        }
        0
    }

    fn record(&mut self, index: Option<u64>, record: SessionRecord) {
        let of = (record.session_id.clone(), record.supplier.to_string());
        let newer = match self.sessions.get(&of) {
            Some((_, known)) => age(&record) > age(known),
            None => true,
        };
        let index = index.or_else(|| self.sessions.get(&of).and_then(|(index, _)| *index));
        match self.sessions.get_mut(&of) {
            Some(known) if !newer => known.0 = index,
            _ => {
                self.sessions.insert(of, (index, record));
            }
        }
    }

    fn leaves(&mut self, page: &[u8], at: u64) -> Option<usize> {
        let entries = Entries::of(page, Some(LEAF_PLACE), None)?;
        let mut end = None;
        for (place, value, offset) in entries.iter() {
            let Some((key, relay)) = value.split_first_chunk::<32>() else {
                continue;
            };
            if *key != <[u8; 32]>::from(Sha256::digest(relay)) {
                continue;
            }
            let Some(of) = named(relay) else { continue };
            end = end.max(Some(offset.saturating_add(value.len())));
            self.leaves.entry(of).or_default().push(Place {
                seq: number(place.get(8..)?)?,
                key: *key,
                offset: at.saturating_add(offset as u64),
                length: value.len(),
            });
        }
        end
    }

    fn sessions(&mut self, page: &[u8]) -> Option<usize> {
        let entries = Entries::of(page, Some(SESSION_PLACE), None)?;
        let mut end = None;
        for (index, json, offset) in entries.iter() {
            let Ok(record) = serde_json::from_slice::<SessionRecord>(json) else {
                continue;
            };
            end = end.max(Some(offset.saturating_add(json.len())));
            self.record(number(index), record);
        }
        end
    }

    fn meta(&mut self, page: &[u8]) -> Option<usize> {
        let entries = Entries::of(page, None, Some(8))?;
        let known = [META_CURSOR, META_FORMAT, META_PROBE].map(str::as_bytes);
        let whole = entries.iter().filter(|(key, ..)| known.contains(key)).count() == entries.count;
        if !whole {
            return None;
        }
        for (key, value, _) in entries.iter() {
            if key == META_CURSOR.as_bytes() {
                self.cursor = self.cursor.max(number(value));
            }
        }
        Some(entries.end)
    }

    fn write(mut self, disk: &Disk, path: &Path) -> Result<Repaired, LeafLogError> {
        let mut log = NewLog::create(path)?;
        // The newest one may be of a block whose work was never finished: one block is looked at again.
        if let Some(height) = self.cursor {
            log.take(Record::Cursor(height.saturating_sub(1)))?;
        }
        let mut repaired = Repaired {
            kept_as: PathBuf::new(),
            sessions: 0,
            leaves: 0,
            lost: Vec::new(),
        };
        let records = std::mem::take(&mut self.sessions);
        let indices: HashSet<u64> = records.values().filter_map(|(index, _)| *index).collect();
        let mut free = (0..).filter(|index| !indices.contains(index));
        let mut taken = HashSet::new();
        for (of, (index, record)) in records {
            let index = index.filter(|index| taken.insert(*index));
            let index = index
                .or_else(|| free.next())
                .expect("fewer sessions than numbers");
            let places = self.leaves.remove(&of).unwrap_or_default();
            let (record, lost) = session(disk, index, record, places, &mut log, &mut repaired)?;
            let json = super::store::encoded(index, &record)?;
            log.take(Record::Session { index, json: &json })?;
            repaired.sessions = repaired.sessions.saturating_add(1);
            repaired.lost.extend(lost);
        }
        for ((session_id, supplier), places) in self.leaves {
            let leaves: HashSet<[u8; 32]> = places.iter().map(|place| place.key).collect();
            repaired.lost.push(Lost {
                session_id: Some(session_id),
                supplier: supplier.parse().ok(),
                leaves: u64::try_from(leaves.len()).unwrap_or(u64::MAX),
                upokt: Upokt(0),
                why: "the session's record is lost, and with it prices and windows: they may be worth something, and are in the damaged file"
                    .to_owned(),
            });
        }
        log.flush()?;
        Ok(repaired)
    }
}

/// The session and supplier that a relay is of.
fn named(relay: &[u8]) -> Option<Of> {
    let meta = Relay::decode(relay).ok()?.req?.meta?;
    Some((meta.session_header?.session_id, meta.supplier_operator_address))
}

/// Copies what there is of a session; returns its record as it is to be stored, and what was lost.
fn session(
    disk: &Disk,
    index: u64,
    mut record: SessionRecord,
    mut places: Vec<Place>,
    log: &mut NewLog,
    repaired: &mut Repaired,
) -> Result<(SessionRecord, Option<Lost>), LeafLogError> {
    if record.deleted_leaves.is_some() {
        return Ok((record, None));
    }
    let mut set = LeafSet::new(record.compute_units_per_relay);
    let (mut seq, mut known, mut positions) = (0_u64, HashSet::new(), 0);
    places.sort_by_key(|place| place.seq);
    for place in places {
        let mut value = vec![0; place.length];
        disk.read(place.offset, &mut value)?;
        let Some((_, relay)) = value.split_first_chunk::<32>() else {
            continue;
        };
        if leaf_fault(&record, &value).is_some() || !known.insert(place.key) {
            continue;
        }
        let (path, hash) = leaf_hash(&place.key, relay, set.weight());
        set.insert(path, hash, seq);
        log.take(Record::Leaf {
            session: index,
            seq,
            value: &value,
        })?;
        seq = seq.saturating_add(1);
        // A position far beyond the others is a damaged one.
        if place.seq < seq.saturating_mul(2) {
            positions = place.seq.saturating_add(1);
        }
    }
    repaired.leaves = repaired.leaves.saturating_add(seq);
    let duplicates = record.counts.unpaid_by.of(Unpaid::Duplicate);
    let applicable = record.counts.applicable.saturating_sub(duplicates);
    let expected = match record.seal {
        Some(seal) => seal.leaves,
        None => applicable.max(positions),
    };
    let missing = expected.saturating_sub(seq);
    let whole = record.seal.is_none_or(|seal| set.root().as_ref() == seal.root);
    if record.stage.is_final() || (whole && missing == 0) {
        return Ok((record, None));
    }
    let lost = Lost {
        session_id: Some(record.session_id.clone()),
        supplier: Some(record.supplier),
        leaves: missing,
        upokt: Upokt(0),
        why: String::new(),
    };
    let price = crate::session::ledger::row(record.clone(), seq).relay_upokt;
    let worth = Upokt(price.0.saturating_mul(missing.into()));
    let (upokt, why) = match (record.seal, record.stage) {
        (None, _) => (worth, "they will not be claimed; the others will"),
        (Some(_), Stage::Sealed) if record.claim.txs.is_empty() => {
            record.seal = None;
            record.stage = Stage::Draining;
            (
                worth,
                "nothing was claimed yet: what is left is sealed again and claimed",
            )
        }
        (Some(_), Stage::ProofNotRequired | Stage::ProofOnChain) => (
            Upokt(0),
            "the chain asks for no proof any more: the claim is paid",
        ),
        (Some(seal), _) => (seal.worth, "the claim cannot be proved without them"),
    };
    let lost = Lost {
        upokt,
        why: why.to_owned(),
        ..lost
    };
    Ok((record, Some(lost)))
}

/// Grows as a session's record is written again.
fn age(record: &SessionRecord) -> (Stage, u32, u64, u64, usize) {
    let attempts = record.claim.attempts.saturating_add(record.proof.attempts);
    (
        record.stage,
        attempts,
        record.counts.validated,
        record.counts.served,
        record.fees.decided(),
    )
}

/// Reads the page at `at` into `page`, as much of it as its values say; false when there is nothing in it.
fn read_page(disk: &Disk, at: u64, length: u64, page: &mut Vec<u8>) -> Result<bool, LeafLogError> {
    let there = |bytes: usize| {
        usize::try_from(length.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(bytes)
    };
    page.resize(there(PAGE), 0);
    disk.read(at, page)?;
    if page.first() != Some(&HOLDS_VALUES) {
        return Ok(page.iter().any(|byte| *byte != 0));
    }
    // Ends of values lie at the beginning of a page; those of many small ones within its first bytes.
    let ends = [LEAF_PLACE, SESSION_PLACE]
        .iter()
        .filter_map(|key| Entries::claimed_end(page, Some(*key), None));
    let longest = ends.filter(|end| *end <= MAX_PAGE).max().unwrap_or(0);
    if longest > page.len() {
        page.resize(there(longest), 0);
        disk.read(at, page)?;
    }
    Ok(true)
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Keys and values of a page that holds them.
struct Entries<'a> {
    page: &'a [u8],
    count: usize,
    key: Option<usize>,
    value: Option<usize>,
    /// Where the last value ends.
    end: usize,
}

impl<'a> Entries<'a> {
    /// Reads a page with keys and values of these lengths, `None` for any; `None` when it is no such page. A page that is cut short has the entries
    /// that are there.
    fn of(page: &'a [u8], key: Option<usize>, value: Option<usize>) -> Option<Self> {
        let entries = Self::header(page, key, value)?;
        let mut at = entries.keys();
        for n in 0..entries.count {
            let end = entries.key_end(n)?;
            if end < at {
                return None;
            }
            at = end;
        }
        for n in 0..entries.count {
            let end = entries.value_end(n)?;
            if end < at || end > MAX_PAGE {
                return None;
            }
            at = end;
        }
        Some(Self { end: at, ..entries })
    }

    fn header(page: &'a [u8], key: Option<usize>, value: Option<usize>) -> Option<Self> {
        let [kind, _, low, high] = *page.first_chunk::<4>()?;
        let count = usize::from(u16::from_le_bytes([low, high]));
        (kind == HOLDS_VALUES && count > 0).then_some(Self {
            page,
            count,
            key,
            value,
            end: 0,
        })
    }

    /// Where the last value of such a page would end, were it one.
    fn claimed_end(page: &'a [u8], key: Option<usize>, value: Option<usize>) -> Option<usize> {
        let entries = Self::header(page, key, value)?;
        entries.value_end(entries.count.checked_sub(1)?)
    }

    /// Key, value, and the value's offset in the page; without values that are not wholly there.
    fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], usize)> + '_ {
        (0..self.count).filter_map(|n| {
            let key_start = match n.checked_sub(1) {
                None => self.keys(),
                Some(before) => self.key_end(before)?,
            };
            let start = match n.checked_sub(1) {
                None => self.key_end(self.count.checked_sub(1)?)?,
                Some(before) => self.value_end(before)?,
            };
            let key = self.page.get(key_start..self.key_end(n)?)?;
            let value = self.page.get(start..self.value_end(n)?)?;
            Some((key, value, start))
        })
    }

    /// Where the keys begin: after the ends of those that have any length.
    fn keys(&self) -> usize {
        let lists = usize::from(self.key.is_none()).saturating_add(usize::from(self.value.is_none()));
        lists
            .saturating_mul(self.count)
            .saturating_mul(4)
            .saturating_add(4)
    }

    fn key_end(&self, n: usize) -> Option<usize> {
        match self.key {
            Some(length) => self.keys().checked_add(length.checked_mul(n.checked_add(1)?)?),
            None => self.listed(n),
        }
    }

    fn value_end(&self, n: usize) -> Option<usize> {
        match self.value {
            Some(length) => {
                let values = self.key_end(self.count.checked_sub(1)?)?;
                values.checked_add(length.checked_mul(n.checked_add(1)?)?)
            }
            None => self.listed(n.checked_add(if self.key.is_none() { self.count } else { 0 })?),
        }
    }

    fn listed(&self, n: usize) -> Option<usize> {
        let at = n.checked_mul(4)?.checked_add(4)?;
        let bytes = self.page.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    }
}
