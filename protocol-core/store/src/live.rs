//! From the log to the tables: who commits appends, one thread in the background moves whole files of the log.
//!
//! ```text
//!  commit ──append, sync──► log (file A) ──full──► background: one transaction for its blocks ──► tables, file A is emptied
//!     └──► layer in memory ◄── readers                      commits go on in file B
//! ```
//! Locks, in the order in which they are taken: `moving` (by whoever moves blocks), `log` (by whoever commits), `layers`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use portico_disk::{Disk, File, Refused};
use redb::WriteTransaction;

use crate::layer::Layer;
use crate::log::Segment;
use crate::put::put_layers;
use crate::step::Step;
use crate::{Snapshot, StoreError};

/// Blocks in a file of the log, after which it is moved to the tables.
const SEGMENT_BLOCKS: usize = 16;
/// Bytes in a file of the log, after which it is moved to the tables.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Most blocks that are in the log and not in the tables: a commit waits while there are so many.
pub(crate) const MAX_LAYERS: usize = 64;
/// Most bytes of such blocks, unless it is one.
const MAX_BYTES: u64 = 128 << 20;
/// Between attempts to move blocks while the disk refuses.
const RETRY: Duration = Duration::from_secs(1);

/// Layers above what is in the tables, oldest first. Each is one block higher than the one before.
pub(crate) type Layers = Arc<Vec<Arc<Layer>>>;

/// What commits, readers and the background share.
pub(crate) struct Live {
    pub(crate) file: Arc<File>,
    pub(crate) retain: u32,
    moving: Mutex<()>,
    log: Mutex<Log>,
    /// Told when there is something to move, or to end.
    due: Condvar,
    /// Told after each attempt to move.
    moved: Condvar,
    layers: RwLock<Layers>,
}

struct Log {
    segments: [Segment; 2],
    /// Which one is appended to.
    active: usize,
    /// Whether the other one is to be moved.
    full: bool,
    /// Why the last attempt to move failed.
    failure: Option<Failure>,
    /// Whether the last append failed.
    refused: bool,
    /// Attempts to move so far.
    attempts: u64,
    retry: bool,
    ends: bool,
}

/// Why blocks do not get into the tables.
#[derive(Clone)]
enum Failure {
    Disk(std::io::ErrorKind, String),
    Other(String),
}

impl Failure {
    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Unwritable(source) => {
                let kind = match &**source {
                    redb::Error::Io(error) => error.kind(),
                    _ => std::io::ErrorKind::Other,
                };
                Self::Disk(kind, source.to_string())
            }
            other => Self::Other(other.to_string()),
        }
    }

    fn error(&self) -> StoreError {
        match self {
            Self::Disk(kind, text) => {
                let error = std::io::Error::new(*kind, text.clone());
                StoreError::Unwritable(Box::new(redb::Error::Io(error)))
            }
            Self::Other(text) => {
                StoreError::Damaged(format!("blocks of the log do not fit the tables: {text}"))
            }
        }
    }
}

impl Live {
    /// Opens the log, and moves what it holds into the tables of `file`.
    pub(crate) fn open(file: Arc<File>, logs: [Disk; 2], retain: u32) -> Result<Self, StoreError> {
        let mut layers = Vec::new();
        let [a, b] = logs;
        let mut open = |disk| {
            Segment::open(disk, |layer| {
                layers.push(Arc::new(layer));
                Ok(())
            })
        };
        let segments = [open(a)?, open(b)?];
        layers.sort_by_key(|layer| layer.height);
        let live = Self {
            file,
            retain,
            moving: Mutex::new(()),
            log: Mutex::new(Log {
                segments,
                active: 0,
                full: false,
                failure: None,
                refused: false,
                attempts: 0,
                retry: false,
                ends: false,
            }),
            due: Condvar::new(),
            moved: Condvar::new(),
            layers: RwLock::default(),
        };
        if !layers.is_empty() {
            tracing::info!(blocks = layers.len(), "blocks of the log go to the tables");
        }
        live.put(&layers, &mut |_| Ok(()))?;
        live.log().segments.iter_mut().try_for_each(Segment::clear)?;
        Ok(live)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The committed version of now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        // Held until the tables are read: nothing is rolled back in between.
        let layers = self.layers();
        Snapshot::new(&self.file, &layers, self.retain)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        let log = self.log();
        log.refused || matches!(log.failure, Some(Failure::Disk(..)))
    }

    /// Commits the block that `layer` makes of the tip, unless there is none to make.
    pub(crate) fn commit(
        &self,
        layer: impl FnOnce(&Snapshot) -> Result<Option<Layer>, StoreError>,
        observe: &mut dyn FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let mut log = self.wait_for_room(self.log())?;
        let Some(layer) = layer(&self.snapshot()?)? else {
            return Ok(false);
        };
        observe(Step::Begun)?;
        let active = log.active;
        let appended = log.segments[active].append(&layer);
        log.refused = appended.is_err();
        appended?;
        if let Err(error) = observe(Step::Appended) {
            log.segments[active].take_back(&layer);
            return Err(error);
        }
        {
            let mut layers = self.layers_mut();
            let mut more = Vec::clone(&layers);
            more.push(Arc::new(layer));
            *layers = Arc::new(more);
        }
        log.turn();
        if log.full {
            self.due.notify_one();
        }
        Ok(true)
    }

    /// Waits while there are as many blocks in the log as there may be.
    fn wait_for_room<'a>(&'a self, mut log: MutexGuard<'a, Log>) -> Result<MutexGuard<'a, Log>, StoreError> {
        let mut seen = None;
        loop {
            if let Some(failure @ Failure::Other(_)) = &log.failure {
                return Err(failure.error());
            }
            let bytes: u64 = log.segments.iter().map(Segment::bytes).sum();
            if self.layers().len() < MAX_LAYERS && bytes < MAX_BYTES {
                return Ok(log);
            }
            match (&log.failure, seen) {
                (Some(failure), Some(before)) if before != log.attempts => return Err(failure.error()),
                (_, None) => seen = Some(log.attempts),
                _ => {}
            }
            log.retry = true;
            log.turn();
            self.due.notify_one();
            log = self.moved.wait(log).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What the thread in the background does, until the store is closed.
    pub(crate) fn run(&self) {
        loop {
            let mut log = self.log();
            while !log.ends && !(log.full && (log.failure.is_none() || log.retry)) {
                if log.full {
                    let (next, waited) = self
                        .due
                        .wait_timeout(log, RETRY)
                        .unwrap_or_else(PoisonError::into_inner);
                    log = next;
                    log.retry |= waited.timed_out();
                } else {
                    log = self.due.wait(log).unwrap_or_else(PoisonError::into_inner);
                }
            }
            if log.ends {
                return;
            }
            drop(log);
            let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
            let count = {
                let log = self.log();
                match log.full {
                    true => log.segments[log.active ^ 1].records,
                    false => continue, // somebody else moved it
                }
            };
            let layers = Arc::clone(&self.layers());
            let outcome = self.put(&layers[..count.min(layers.len())], &mut |_| Ok(()));
            let mut log = self.log();
            let outcome = outcome.and_then(|()| {
                self.drop_layers(count);
                let full = log.active ^ 1;
                log.segments[full].clear()
            });
            log.full = outcome.is_err();
            self.note(&mut log, &outcome);
            log.turn();
            drop(log);
            drop(moving);
        }
    }

    fn note(&self, log: &mut Log, outcome: &Result<(), StoreError>) {
        if let Err(error) = outcome
            && log.failure.is_none()
        {
            tracing::warn!(error = error as &dyn std::error::Error, "blocks stay in the log");
        }
        log.failure = outcome.as_ref().err().map(Failure::of);
        log.attempts = log.attempts.wrapping_add(1);
        log.retry = false;
        self.moved.notify_all();
    }

    /// Writes layers, oldest first, to the tables, in one transaction; those that are there already are passed over.
    fn put(
        &self,
        layers: &[Arc<Layer>],
        observe: &mut dyn FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if layers.is_empty() {
            return Ok(());
        }
        self.transact(|write| put_layers(write, layers, self.retain, observe))?;
        observe(Step::Moved)
    }

    fn drop_layers(&self, count: usize) {
        let mut layers = self.layers_mut();
        *layers = Arc::new(layers.iter().skip(count).cloned().collect());
    }

    /// Moves everything to the tables, and empties the log; then runs `then` while nobody commits, moves or takes a snapshot.
    pub(crate) fn settle<T>(
        &self,
        observe: &mut dyn FnMut(Step) -> Result<(), StoreError>,
        then: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = self.log();
        let layers = Arc::clone(&self.layers());
        let outcome = self.put(&layers, observe).and_then(|()| {
            self.drop_layers(layers.len());
            log.segments.iter_mut().try_for_each(Segment::clear)
        });
        if !matches!(outcome, Err(StoreError::Abandoned)) {
            log.full &= outcome.is_err();
            self.note(&mut log, &outcome);
        }
        outcome?;
        let _nobody_reads = self.layers_mut();
        then()
    }

    /// Ends [`Self::run`].
    pub(crate) fn end(&self) {
        self.log().ends = true;
        self.due.notify_all();
    }

    /// Runs `change` in a transaction, and commits it if it returns true. When the disk fails, nothing was written, the tables are
    /// opened for reading, and the next transaction opens them for writing again.
    pub(crate) fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let disk_error = |error| match error {
            StoreError::Io(source) => Ok(*source),
            other => Err(other),
        };
        let outcome = self.file.transact(true, change, disk_error);
        outcome.map_err(|refused| match refused {
            Refused::Disk(source) => StoreError::Unwritable(Box::new(source)),
            Refused::Change(error) => error,
        })
    }
}

impl Log {
    /// Begins the other file when this one is full and that one is empty.
    fn turn(&mut self) {
        let segment = &self.segments[self.active];
        let is_full = segment.records >= SEGMENT_BLOCKS || segment.bytes() >= SEGMENT_BYTES;
        if is_full && !self.full {
            self.active ^= 1;
            self.full = true;
        }
    }
}
