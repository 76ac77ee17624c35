//! The file: opening it, transactions, and going on after the disk failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use portico_disk::{Disk, File};
use redb::backends::InMemoryBackend;
use redb::{ReadableTable as _, WriteTransaction};

use crate::live::Live;

use crate::tables::{
    BLOCKS, CERTIFICATES, FORMAT, HEIGHTS, IDS, JOURNAL, META, META_FORMAT, OLDEST_FORMAT, RESULTS, STATE,
    STATE_HISTORY, TIP, TREE, TREE_HISTORY, TXS,
};
use crate::{Snapshot, StateTries, StoreError};

/// Memory for cached pages, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// Blocks below the tip whose state stays readable and provable, unless it is configured: about a quarter of an hour of one-second
/// blocks, sixteen hours of one-minute blocks.
pub const DEFAULT_RETAIN: u32 = 1_000;

/// Where a store is: the tables, and the two files of its log.
#[derive(Clone, Debug)]
pub struct Disks {
    /// Tables of all but the newest blocks.
    pub tables: Disk,
    /// The newest blocks.
    pub logs: [Disk; 2],
}

/// The chain's data.
pub struct ChainStore {
    live: Arc<Live>,
    /// Moves blocks from the log to the tables.
    mover: Option<JoinHandle<()>>,
}

/// The two files of the log of the store whose tables are at `path`.
#[must_use]
pub fn log_files(path: &Path) -> [PathBuf; 2] {
    ["log-a", "log-b"].map(|name| {
        let mut file = path.as_os_str().to_owned();
        file.push(".");
        file.push(name);
        file.into()
    })
}

impl ChainStore {
    /// Opens the file at `path` with its log ([`log_files`]), or makes them; keeps the states of `retain` blocks below the tip. Blocks of
    /// the log go to the tables first. Only one process can have it open.
    pub fn open(path: &Path, retain: u32) -> Result<Self, StoreError> {
        let refused = |source: redb::Error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let tables = portico_disk::lock(path).map_err(refused)?;
        let [a, b] = log_files(path);
        let logs = [
            portico_disk::lock(&a).map_err(refused)?,
            portico_disk::lock(&b).map_err(refused)?,
        ];
        sync_parent(path)?; // a log whose name is lost is lost
        Self::on(Disks { tables, logs }, retain).map_err(|error| match error {
            StoreError::Io(source) => refused(*source),
            StoreError::Format { found, expected, .. } => StoreError::Format {
                path: path.to_owned(),
                found,
                expected,
            },
            other => other,
        })
    }

    /// A store in memory, for tests and simulations.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::on(Disks::in_memory(), DEFAULT_RETAIN)
    }

    /// A store on any disks, such as ones that fail.
    pub fn on(disks: Disks, retain: u32) -> Result<Self, StoreError> {
        let file = Arc::new(File::on(disks.tables, CACHE_BYTES)?);
        prepare(&file)?;
        let live = Arc::new(Live::open(file, disks.logs, retain)?);
        let background = Arc::clone(&live);
        let mover = std::thread::Builder::new()
            .name("chain-store".to_owned())
            .spawn(move || background.run())
            .map_err(|error| StoreError::Io(Box::new(redb::Error::Io(error))))?;
        Ok(Self {
            live,
            mover: Some(mover),
        })
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// How many blocks below the tip keep their state.
    #[must_use]
    pub fn retain(&self) -> u32 {
        self.live.retain
    }

    /// The committed version of now.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.live.snapshot()
    }

    /// Moves all blocks from the log to the tables, and empties the log. Commits wait meanwhile. Nothing that is read changes by that.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.settle_observed(|_| Ok(()))
    }

    /// As [`Self::settle`], calling `observe` at each of its steps; its error abandons the whole. For crash tests.
    pub fn settle_observed(
        &self,
        mut observe: impl FnMut(crate::Step) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.live.settle(&mut observe, || Ok(()))
    }

    /// A look at the tables, which hold all blocks then.
    pub(crate) fn settled_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        let file = &self.live.file;
        self.live.settle(&mut |_| Ok(()), || Ok(file.begin_read()?))
    }

    /// The state after the block at `height`; errs with [`StoreError::NotRetained`] when it is forgotten or not there yet.
    pub fn at(&self, height: i64) -> Result<Snapshot, StoreError> {
        self.snapshot()?.at(height)
    }

    /// [`Snapshot::load_tries`] of now.
    pub fn load_tries(&self, stores: &[&'static str]) -> Result<StateTries, StoreError> {
        self.snapshot()?.load_tries(stores)
    }

    /// Whether the last write was refused by the disk.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.live.is_read_only()
    }

    /// Changes the tables alone.
    pub(crate) fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        self.live.transact(change)
    }
}

impl Drop for ChainStore {
    /// Leaves an empty log, so that the next opening has nothing to do. What the disk refuses stays in the log.
    fn drop(&mut self) {
        self.live.end();
        if let Some(mover) = self.mover.take() {
            drop(mover.join());
        }
        if let Err(error) = self.settle() {
            tracing::warn!(error = &error as &dyn std::error::Error, "blocks stay in the log");
        }
    }
}

impl Disks {
    /// Nothing, in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        let disk = || -> Disk { Arc::new(InMemoryBackend::new()) };
        Self {
            tables: disk(),
            logs: [disk(), disk()],
        }
    }
}

/// Adds the path to an error of the file system.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    |source| StoreError::File {
        path: path.to_owned(),
        source,
    }
}

/// Makes a rename or a new file durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(at(parent))
}

/// Makes what is missing; errs when the file has another format.
fn prepare(file: &File) -> Result<(), StoreError> {
    let mut found = FORMAT;
    let disk_error = |error| match error {
        StoreError::Io(source) => Ok(*source),
        other => Err(other),
    };
    let made = file.transact(
        true,
        |write| {
            found = make_tables(write)?;
            Ok(found == FORMAT)
        },
        disk_error,
    );
    made.map_err(|refused| match refused {
        portico_disk::Refused::Disk(source) => StoreError::Unwritable(Box::new(source)),
        portico_disk::Refused::Change(error) => error,
    })?;
    match found {
        FORMAT => Ok(()),
        found => Err(StoreError::Format {
            path: PathBuf::new(),
            found,
            expected: FORMAT,
        }),
    }
}

/// Makes all tables of an empty file, and goes on with one of an older format; returns the format of the file.
fn make_tables(write: &WriteTransaction) -> Result<u32, StoreError> {
    let format = {
        let mut meta = write.open_table(META)?;
        let known = meta.get(META_FORMAT)?.map(|row| row.value().to_vec());
        let known = known.map_or(Ok(FORMAT), |bytes| bytes.try_into().map(u32::from_le_bytes));
        let known = known.map_err(|_| StoreError::Damaged("its format is not a number".into()))?;
        match known {
            OLDEST_FORMAT..=FORMAT => {
                meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
                FORMAT
            }
            other => other,
        }
    };
    if format != FORMAT {
        return Ok(format);
    }
    write.open_table(TIP)?;
    write.open_table(STATE)?;
    write.open_table(STATE_HISTORY)?;
    write.open_table(TREE)?;
    write.open_table(TREE_HISTORY)?;
    write.open_table(JOURNAL)?;
    write.open_table(BLOCKS)?;
    write.open_table(RESULTS)?;
    write.open_table(CERTIFICATES)?;
    write.open_table(IDS)?;
    write.open_table(HEIGHTS)?;
    write.open_table(TXS)?;
    Ok(format)
}
