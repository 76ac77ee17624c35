//! Whether the disk takes leaves, and why not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::LeafLogError;

/// What keeps leaves from being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// It is about to be full.
    Low {
        /// Bytes that are left.
        free_bytes: u64,
    },
    /// It is full, or a quota is used up.
    Full,
    /// A read or write failed, in words.
    Failed(String),
}

impl std::fmt::Display for DiskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Low { free_bytes } => write!(f, "the disk is full but for {} MiB", free_bytes >> 20),
            Self::Full => f.write_str("the disk is full"),
            Self::Failed(what) => write!(f, "the disk fails: {what}"),
        }
    }
}

/// The state of the disk as relays see it: from the first write that failed until a probe went well, none is taken.
#[derive(Debug, Default)]
pub(crate) struct DiskState {
    refuses: AtomicBool,
    fault: Mutex<Option<DiskFault>>,
}

impl DiskState {
    /// Whether relays are to be refused.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    /// Why they are.
    pub(crate) fn fault(&self) -> Option<DiskFault> {
        self.lock().clone()
    }

    /// A write failed.
    pub(crate) fn failed(&self, error: &LeafLogError) {
        self.set(match error.is_full() {
            true => DiskFault::Full,
            false => DiskFault::Failed(error.with_causes()),
        });
    }

    /// There is hardly any room left.
    pub(crate) fn low(&self, free_bytes: u64) {
        if !self.refuses() {
            self.set(DiskFault::Low { free_bytes });
        }
    }

    /// A write went through, and there is room for more.
    pub(crate) fn recovered(&self) {
        if let Some(fault) = self.lock().take() {
            self.refuses.store(false, Ordering::Release);
            tracing::info!(%fault, "the disk takes leaves again: relays are served");
        }
    }

    fn set(&self, fault: DiskFault) {
        let mut known = self.lock();
        if known.is_none() {
            tracing::error!(%fault, "relays are refused until the disk takes leaves again; claims and proofs go on");
        }
        *known = Some(fault);
        self.refuses.store(true, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<DiskFault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_one_that_fails() {
        let state = DiskState::default();
        assert!(!state.refuses() && state.fault().is_none());
        state.failed(&LeafLogError::Io(std::io::ErrorKind::StorageFull.into()));
        assert_eq!(state.fault(), Some(DiskFault::Full));
        state.low(5);
        assert_eq!(state.fault(), Some(DiskFault::Full), "the first reason stays");
        state.recovered();
        assert!(!state.refuses() && state.fault().is_none());
        let broken = redb::Error::Io(std::io::Error::other("bad sector"));
        state.failed(&LeafLogError::Store(Box::new(broken)));
        let Some(DiskFault::Failed(what)) = state.fault() else {
            panic!("{:?}", state.fault());
        };
        assert!(what.contains("bad sector"), "{what}");
    }
}
