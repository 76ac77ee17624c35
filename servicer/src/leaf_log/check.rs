//! Whether everything in a log is whole: each page, each record, and what they add up to.
//!
//! ```text
//!  page ══ its sum        record ── reads as one        key ══ SHA-256 of the relay ── is of its session
//!  positions of a session: 0, 1, 2, …        leaves ──► count, sum, root ══ the seal that was claimed
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use portico_disk::{Disk, File};
use portico_protocol::Address;
use portico_protocol::relay::header_difference;
use portico_protocol::wire::pocket::service::Relay;
use portico_smst::LeafSet;
use prost::Message as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::records::{Record, visit};
use super::tables::{CACHE_BYTES, check_format, opening, store};
use super::{LeafLogError, file};
use crate::session::record::SessionRecord;
use crate::session::tree::leaf_hash;

/// Most faults that are told one by one.
const MAX_FAULTS: usize = 100;

/// Something in a log that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Session id, when it is known.
    pub session_id: Option<String>,
    /// Operator address.
    pub supplier: Option<Address>,
    /// What is wrong.
    pub what: String,
}

/// What a check read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Records of sessions.
    pub sessions: u64,
    /// Leaves.
    pub leaves: u64,
    /// Their keys and relays.
    pub leaf_bytes: u64,
    /// What is wrong, at most a hundred; empty when the log is sound.
    pub faults: Vec<Fault>,
    /// Further faults.
    pub more_faults: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, of: Option<&SessionRecord>, what: impl Into<String>) {
        if self.faults.len() == MAX_FAULTS {
            self.more_faults = self.more_faults.saturating_add(1);
            return;
        }
        self.faults.push(Fault {
            session_id: of.map(|record| record.session_id.clone()),
            supplier: of.map(|record| record.supplier),
            what: what.into(),
        });
    }
}

/// Reads all of the log in `data_dir`, which stays untouched, and says what is wrong with it. Uses about a hundred bytes of memory for each
/// leaf of the largest session.
///
/// # Errors
/// [`LeafLogError::InUse`] while a servicer runs on it, [`LeafLogError::Format`], and when there is no file. What cannot be read of a file is
/// a fault in the report.
pub fn check(data_dir: &Path) -> Result<CheckReport, LeafLogError> {
    check_disk(portico_disk::lock_shared(&file(data_dir)).map_err(opening)?)
}

/// As [`check`], of a log that is locked already.
pub(super) fn check_disk(disk: Disk) -> Result<CheckReport, LeafLogError> {
    let mut checker = Checker::default();
    let reading = AssertUnwindSafe(|| {
        let file = File::verified_on(disk, CACHE_BYTES).map_err(store)?;
        let txn = file.begin_read().map_err(store)?;
        check_format(&txn)?;
        visit(&txn, &mut |record| {
            checker.take(record);
            Ok(())
        })
    });
    // redb panics over some damaged pages.
    let read = std::panic::catch_unwind(reading);
    let mut report = checker.finish();
    match read {
        Ok(Ok(())) => {}
        Ok(Err(error @ LeafLogError::Format { .. })) => return Err(error),
        Ok(Err(error)) => report.fault(None, format!("the file cannot be read: {}", error.with_causes())),
        Err(_) => report.fault(None, "the file cannot be read: its pages contradict each other"),
    }
    Ok(report)
}

/// Checks records as they come.
#[derive(Default)]
pub(super) struct Checker {
    sessions: BTreeMap<u64, SessionRecord>,
    current: Option<Current>,
    /// Sessions with leaves.
    seen: std::collections::BTreeSet<u64>,
    report: CheckReport,
}

/// The session whose leaves come.
struct Current {
    session: u64,
    first_seq: u64,
    next_seq: u64,
    gaps: u64,
    set: LeafSet,
}

impl Checker {
    pub(super) fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Cursor(_) => {}
            Record::Session { index, json } => self.session(index, json),
            Record::Leaf { session, seq, value } => self.leaf(session, seq, value),
        }
    }

    pub(super) fn finish(mut self) -> CheckReport {
        self.end_session();
        for (index, record) in &self.sessions {
            let missing = record
                .seal
                .filter(|seal| seal.leaves > 0 && !record.stage.is_final());
            if let Some(seal) = missing
                && !self.seen.contains(index)
            {
                self.report.fault(
                    Some(record),
                    format!("none of the {} leaves that were sealed is there", seal.leaves),
                );
            }
        }
        self.report
    }

    fn session(&mut self, index: u64, json: &[u8]) {
        self.report.sessions = self.report.sessions.saturating_add(1);
        match serde_json::from_slice(json) {
            Ok(record) => {
                self.sessions.insert(index, record);
            }
            Err(error) => self
                .report
                .fault(None, format!("the record of session {index} is damaged: {error}")),
        }
    }

    fn leaf(&mut self, session: u64, seq: u64, value: &[u8]) {
        let (leaves, bytes) = (&mut self.report.leaves, &mut self.report.leaf_bytes);
        *leaves = leaves.saturating_add(1);
        *bytes = bytes.saturating_add(u64::try_from(value.len()).unwrap_or(u64::MAX));
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.session != session)
        {
            self.end_session();
            self.seen.insert(session);
            let weight = self.sessions.get(&session);
            let weight = weight.map_or(0, |record| record.compute_units_per_relay);
            self.current = Some(Current {
                session,
                first_seq: seq,
                next_seq: seq,
                gaps: 0,
                set: LeafSet::new(weight),
            });
        }
        let Some(current) = &mut self.current else { return };
        current.gaps = current.gaps.saturating_add(seq.saturating_sub(current.next_seq));
        current.next_seq = seq.saturating_add(1);
        let Some(record) = self.sessions.get(&session) else {
            return;
        };
        match leaf_fault(record, value) {
            Some(what) => self.report.fault(Some(record), format!("leaf {seq}: {what}")),
            None => {
                if let Some((key, relay)) = value.split_first_chunk::<32>() {
                    let (path, hash) = leaf_hash(key, relay, current.set.weight());
                    current.set.insert(path, hash, seq);
                }
            }
        }
    }

    fn end_session(&mut self) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        let Some(record) = self.sessions.get(&current.session) else {
            let what = format!("leaves of session {}, which has no record", current.session);
            return self.report.fault(None, what);
        };
        // Leaves of a session that is done with are deleted from the first on.
        let partly_deleted = record.stage.is_final() && current.first_seq > 0;
        let missing = current.gaps.saturating_add(match partly_deleted {
            true => 0,
            false => current.first_seq,
        });
        if missing > 0 {
            self.report
                .fault(Some(record), format!("{missing} leaves are missing"));
        }
        let Some(seal) = record.seal.filter(|_| !partly_deleted) else {
            return;
        };
        let found = u64::try_from(current.set.len()).unwrap_or(u64::MAX);
        if found != seal.leaves {
            let what = format!("{found} leaves, {} were sealed", seal.leaves);
            self.report.fault(Some(record), what);
        } else if current.set.sum() != seal.compute_units.0 || current.set.root().as_ref() != seal.root {
            self.report
                .fault(Some(record), "the leaves do not give the sealed root");
        }
    }
}

/// What is wrong with a leaf of a session.
pub(super) fn leaf_fault(record: &SessionRecord, value: &[u8]) -> Option<String> {
    let Some((key, relay)) = value.split_first_chunk::<32>() else {
        return Some("it has no key".to_owned());
    };
    if *key != <[u8; 32]>::from(Sha256::digest(relay)) {
        return Some("its bytes are not those of its key".to_owned());
    }
    let decoded = match Relay::decode(relay) {
        Ok(decoded) => decoded,
        Err(error) => return Some(format!("it is no relay: {error}")),
    };
    let meta = decoded.req.and_then(|request| request.meta);
    let Some(meta) = meta else {
        return Some("it has no request".to_owned());
    };
    let Some(header) = meta.session_header else {
        return Some("it has no session".to_owned());
    };
    if let Some(field) = header_difference(&header, &record.header()) {
        return Some(format!("it is of another session, by its {field}"));
    }
    if meta.supplier_operator_address != record.supplier.to_string() {
        return Some("it is of another supplier".to_owned());
    }
    None
}
