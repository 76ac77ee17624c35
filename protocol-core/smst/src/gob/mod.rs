//! Proofs as Go's `encoding/gob` writes them: the bytes that go on chain.
//!
//! A stream is a row of messages: definitions of types, then one value. Type ids depend on what the
//! writing process used gob for before, and a definition may name fields in any order. So the reader goes
//! by the definitions in the stream and matches fields by name, as Go does; the writer emits what a fresh
//! Go process would.
//!
//! ```text
//!  length │ -64 │ struct, its name and fields │ length │ -65 │ … │ length │ 64 │ field delta, value, … 0 │
//!  └──────────── definition of type 64 ───────┘                 └──────────────── value ────────────────┘
//! ```

mod proofs;
mod read;
mod schema;
mod write;

use thiserror::Error;

use crate::closest::ClosestProof;
use crate::compact::{CompactClosestProof, CompactProof};
use crate::proof::Proof;

/// Longest stream that is looked at, in bytes. A transaction with a proof of more does not fit a block.
pub const MAX_STREAM_LEN: usize = 16 << 20;

/// Why bytes are not a gob stream of the expected type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GobError {
    /// The stream ends within something, or has no value.
    #[error("the stream ends too early")]
    UnexpectedEnd,
    /// The stream is longer than [`MAX_STREAM_LEN`].
    #[error("a stream of {got} bytes, at most {MAX_STREAM_LEN} are read")]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// An integer that is no gob integer, or does not fit where it is.
    #[error("bad integer")]
    Integer,
    /// A field number beyond the fields of the type.
    #[error("field numbers out of bounds")]
    FieldNumber,
    /// A type that was not defined, or a definition that makes no sense.
    #[error("unknown type id or corrupted definition")]
    Type,
    /// A type was defined twice.
    #[error("a type was defined twice")]
    DuplicateType,
    /// The value is no struct.
    #[error("the value is not a struct")]
    NotAStruct,
    /// No field of the value is one of the proof's.
    #[error("no field of the value belongs to the proof")]
    NoCommonField,
    /// A field has another type than in the proof.
    #[error("field {field} has the wrong type")]
    FieldType {
        /// Name of the field.
        field: &'static str,
    },
    /// More types, fields or list elements than a proof can need.
    #[error("{got} types, fields or elements")]
    TooMany {
        /// How many there are.
        got: usize,
    },
    /// Types nest deeper than any proof does.
    #[error("types nest too deeply")]
    Nesting,
}

macro_rules! gob_stream {
    ($type:ty) => {
        impl $type {
            /// The gob stream, as `Marshal` of the Go library returns it.
            #[must_use]
            pub fn to_gob(&self) -> Vec<u8> {
                write::stream(self)
            }

            /// Reads the first value of a gob stream; what follows it is ignored, as Go does.
            ///
            /// # Errors
            /// See [`GobError`]; any bytes are safe to pass.
            pub fn from_gob(bytes: &[u8]) -> Result<Self, GobError> {
                read::stream(bytes)
            }
        }
    };
}
gob_stream!(Proof);
gob_stream!(CompactProof);
gob_stream!(ClosestProof);
gob_stream!(CompactClosestProof);
