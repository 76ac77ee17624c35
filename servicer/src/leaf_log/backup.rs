//! A log on its way to another file: from a servicer that runs, while it runs.
//!
//! ```text
//!  portico leaf log 1 │ record │ record │ … │ end: SHA-256 of all before
//!  record: kind (1 byte), length (4 bytes, little endian), content
//! ```
//! The records are those of one moment. What has no end, or another sum, is no backup.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::check::{CheckReport, Checker};
use super::records::{NewLog, Record};
use super::tables::FORMAT;
use super::{FILE_NAME, LeafLog, LeafLogError, LeafReader, private};

/// What a backup begins with; the format's number follows.
const HEAD: &[u8] = b"portico leaf log ";
const HEAD_LEN: usize = HEAD.len() + 8;
/// Bytes that are handed over at a time.
const CHUNK: usize = 64 << 10;
/// Longest content of a record: a relay with its request's largest body.
const MAX_RECORD: usize = 256 << 20;
const RECORD_HEAD: usize = 5;

const CURSOR: u8 = 1;
const SESSION: u8 = 2;
const LEAF: u8 = 3;
const END: u8 = 4;

/// Hands over a backup of `log`, as it is now, until `send` returns false: nobody wants the rest.
pub(crate) fn send(log: &dyn LeafLog, mut send: impl FnMut(Vec<u8>) -> bool) -> Result<(), LeafLogError> {
    let mut encoder = Encoder::new();
    log.visit(&mut |record| match encoder.add(record).is_none_or(&mut send) {
        true => Ok(()),
        false => Err(LeafLogError::Backup("nobody takes it any more")),
    })?;
    send(encoder.end());
    Ok(())
}

/// Writes records as bytes.
struct Encoder {
    chunk: Vec<u8>,
    sum: Sha256,
}

impl Encoder {
    fn new() -> Self {
        let mut chunk = HEAD.to_vec();
        chunk.extend(FORMAT.to_le_bytes());
        Self {
            chunk,
            sum: Sha256::new(),
        }
    }

    /// Adds a record; returns bytes when there are enough of them.
    fn add(&mut self, record: Record<'_>) -> Option<Vec<u8>> {
        match record {
            Record::Cursor(height) => self.put(CURSOR, &[&height.to_le_bytes()]),
            Record::Session { index, json } => self.put(SESSION, &[&index.to_le_bytes(), json]),
            Record::Leaf { session, seq, value } => {
                self.put(LEAF, &[&session.to_le_bytes(), &seq.to_le_bytes(), value]);
            }
        }
        (self.chunk.len() >= CHUNK).then(|| self.cut())
    }

    /// The last bytes.
    fn end(mut self) -> Vec<u8> {
        let mut last = self.cut();
        let sum = self.sum.finalize();
        last.push(END);
        last.extend(32_u32.to_le_bytes());
        last.extend(sum);
        last
    }

    fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.chunk.push(kind);
        self.chunk
            .extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        parts.iter().for_each(|part| self.chunk.extend_from_slice(part));
    }

    fn cut(&mut self) -> Vec<u8> {
        let chunk = std::mem::take(&mut self.chunk);
        self.sum.update(&chunk);
        chunk
    }
}

/// Reads what [`Encoder`] wrote.
#[derive(Default)]
struct Decoder {
    /// Bytes that are no whole record yet.
    rest: Vec<u8>,
    sum: Sha256,
    began: bool,
    ended: bool,
}

impl Decoder {
    fn push(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Record<'_>) -> Result<(), LeafLogError>,
    ) -> Result<(), LeafLogError> {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        if !self.began {
            let Some(head) = self.rest.first_chunk::<HEAD_LEN>() else {
                return Ok(());
            };
            let (name, format) = head.split_at(HEAD.len());
            if name != HEAD {
                return Err(LeafLogError::Backup("it does not begin as one"));
            }
            let found = number(format)?;
            if found != FORMAT {
                return Err(LeafLogError::Format {
                    found,
                    expected: FORMAT,
                });
            }
            self.sum.update(head);
            (self.began, at) = (true, HEAD_LEN);
        }
        while let Some((kind, content)) = next(&self.rest[at..])? {
            if self.ended {
                return Err(LeafLogError::Backup("something follows its end"));
            }
            let whole = RECORD_HEAD + content.len();
            match kind {
                END if content == self.sum.clone().finalize().as_slice() => self.ended = true,
                END => return Err(LeafLogError::Backup("its sum is another one")),
                kind => {
                    self.sum.update(&self.rest[at..at + whole]);
                    take(record(kind, content)?)?;
                }
            }
            at += whole;
        }
        self.rest.drain(..at);
        Ok(())
    }

    fn finish(&self) -> Result<(), LeafLogError> {
        match self.ended && self.rest.is_empty() {
            true => Ok(()),
            false => Err(LeafLogError::Backup("it ends too early")),
        }
    }
}

/// Kind and content of the first record, once it is whole.
fn next(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, LeafLogError> {
    let Some((head, rest)) = bytes.split_first_chunk::<RECORD_HEAD>() else {
        return Ok(None);
    };
    let [kind, length @ ..] = *head;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_RECORD {
        return Err(LeafLogError::Backup("a record is too long"));
    }
    Ok(rest.get(..length).map(|content| (kind, content)))
}

fn record(kind: u8, content: &[u8]) -> Result<Record<'_>, LeafLogError> {
    let cut = |bytes: &'_ [u8]| bytes.len() >= 8;
    let short = LeafLogError::Backup("a record is too short");
    if !cut(content) {
        return Err(short);
    }
    let (first, rest) = content.split_at(8);
    let first = number(first)?;
    match kind {
        CURSOR => Ok(Record::Cursor(first)),
        SESSION => Ok(Record::Session {
            index: first,
            json: rest,
        }),
        LEAF if cut(rest) => {
            let (seq, value) = rest.split_at(8);
            Ok(Record::Leaf {
                session: first,
                seq: number(seq)?,
                value,
            })
        }
        LEAF => Err(short),
        _ => Err(LeafLogError::Backup("a record is of an unknown kind")),
    }
}

fn number(bytes: &[u8]) -> Result<u64, LeafLogError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| LeafLogError::Backup("a record is too short"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// A backup that arrives: it is checked on the way, and becomes a data folder once it is whole.
pub struct Backup {
    decoder: Decoder,
    checker: Checker,
    to: Option<(NewLog, PathBuf)>,
    done: bool,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Backup {
    /// Goes into a log in `folder`, which is made.
    ///
    /// # Errors
    /// [`LeafLogError::Exists`] when there is one.
    pub fn to(folder: &Path) -> Result<Self, LeafLogError> {
        private::folder(folder)?;
        let file = folder.join(FILE_NAME);
        Ok(Self::new(Some((NewLog::create(&file)?, file))))
    }

    /// Is only checked.
    #[must_use]
    pub fn to_nowhere() -> Self {
        Self::new(None)
    }

    fn new(to: Option<(NewLog, PathBuf)>) -> Self {
        Self {
            decoder: Decoder::default(),
            checker: Checker::default(),
            to,
            done: false,
        }
    }

    /// The next bytes of it.
    ///
    /// # Errors
    /// When they are not those of a backup, or cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LeafLogError> {
        let (checker, to) = (&mut self.checker, &mut self.to);
        self.decoder.push(bytes, &mut |record| {
            checker.take(record);
            to.as_mut().map_or(Ok(()), |(log, _)| log.take(record))
        })
    }

    /// All of the log in `data_dir`, instead of bytes.
    ///
    /// # Errors
    /// [`LeafLogError::InUse`] while a servicer runs on it, and when it cannot be read or written.
    pub fn read(&mut self, data_dir: &Path) -> Result<(), LeafLogError> {
        let (checker, to) = (&mut self.checker, &mut self.to);
        LeafReader::open(data_dir)?.visit(&mut |record| {
            checker.take(record);
            to.as_mut().map_or(Ok(()), |(log, _)| log.take(record))
        })?;
        self.decoder.ended = true;
        Ok(())
    }

    /// After the last bytes: what is in it, and wrong with it.
    ///
    /// # Errors
    /// When it is not whole; a file that was begun is removed then.
    pub fn finish(mut self) -> Result<CheckReport, LeafLogError> {
        self.decoder.finish()?;
        if let Some((log, _)) = &mut self.to {
            log.flush()?;
        }
        self.done = true;
        Ok(std::mem::take(&mut self.checker).finish())
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if let Some((_, file)) = self.to.take().filter(|_| !self.done) {
            let _ = std::fs::remove_file(file);
        }
    }
}
