//! Files of redb that are read on while the disk refuses writes, and the room on a disk.
//!
//! ```text
//!  store, leaf log ── transact, read ──► File ── one opening at a time ──► Handle ── through ──► disk
//!                                          └── after a refused write ────► Handle ── kept in memory, over what the disk has
//! ```
//! redb refuses everything after one failed write, reads too, until the file is opened again; and opening writes. A [`File`] opens anew by
//! itself: for reading after a write that failed, for writing at the next one. Nothing is lost by that but the write that failed.
//!
//! Start reading at [`File`].

mod file;
mod handle;
mod room;

pub use file::{File, Refused, is_full, is_want_of_room, lock, lock_shared};
pub use handle::Disk;
pub use room::{Reserve, allocate, free_bytes};
