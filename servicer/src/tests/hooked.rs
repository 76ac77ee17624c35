//! A real leaf log with something that happens around each of its writes.

use portico_protocol::Height;

use super::*;
use crate::fees::SessionFees;
use crate::leaf_log::{DiskState, LeafLogError, NewLeaf, TakeRecord, Usage, VisitLeaf};
use crate::session::record::SessionRecord;

/// A write of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Write {
    Append,
    Begin,
    Put,
    PutFees,
    Probe,
    DeleteLeaves,
    DeleteSessions,
}

/// Called before a write, and after one that succeeded: an error is the write's outcome.
pub(super) type Hook = Box<dyn Fn(Write) -> Result<(), LeafLogError> + Send + Sync>;

/// [`RedbLog`] with hooks.
pub(super) struct HookedLog {
    pub(super) inner: RedbLog,
    pub(super) before: Hook,
    pub(super) after: Hook,
}

impl HookedLog {
    /// `inner`, with `before` called before each write.
    pub(super) fn new(
        inner: RedbLog,
        before: impl Fn(Write) -> Result<(), LeafLogError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            before: Box::new(before),
            after: Box::new(|_| Ok(())),
        }
    }

    fn around<T>(
        &self,
        what: Write,
        write: impl FnOnce(&RedbLog) -> Result<T, LeafLogError>,
    ) -> Result<T, LeafLogError> {
        (self.before)(what)?;
        let written = write(&self.inner)?;
        (self.after)(what)?;
        Ok(written)
    }
}

impl LeafLog for HookedLog {
    fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, LeafLogError> {
        self.inner.sessions()
    }

    fn cursor(&self) -> Result<Height, LeafLogError> {
        self.inner.cursor()
    }

    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError> {
        self.around(Write::Append, |log| log.append(leaves))
    }

    fn begin(&self, index: u64, record: &SessionRecord) -> Result<(), LeafLogError> {
        self.around(Write::Begin, |log| log.begin(index, record))
    }

    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError> {
        self.around(Write::Put, |log| log.put(records, cursor))
    }

    fn put_fees(&self, fees: &[(u64, SessionFees)]) -> Result<(), LeafLogError> {
        self.around(Write::PutFees, |log| log.put_fees(fees))
    }

    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError> {
        self.inner.scan(session, visit)
    }

    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError> {
        self.inner.relay(session, seq)
    }

    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError> {
        self.around(Write::DeleteLeaves, |log| log.delete_leaves(session, limit))
    }

    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError> {
        self.around(Write::DeleteSessions, |log| log.delete_sessions(sessions))
    }

    fn state(&self) -> &Arc<DiskState> {
        self.inner.state()
    }

    fn probe(&self) -> Result<(), LeafLogError> {
        self.around(Write::Probe, RedbLog::probe)
    }

    fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
        self.inner.visit(take)
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }
}
