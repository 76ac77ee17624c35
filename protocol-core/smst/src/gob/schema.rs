//! How a type is declared in a stream, whichever type it is.

/// Ids of the types that gob has built in.
pub(super) const INT: i64 = 2;
pub(super) const BYTES: i64 = 5;
/// Id of the first type that a process defines.
pub(super) const FIRST_ID: i64 = 64;

/// Type of a field, to compare with what a stream declares.
#[derive(Clone, Copy)]
pub(super) enum FieldType {
    Bytes,
    Int,
    BytesList,
    IntList,
    Struct(fn(&str) -> Option<FieldType>),
}

/// One definition at the start of a stream.
pub(super) enum Definition {
    /// Name and fields, each with the id of its type.
    Struct(&'static str, &'static [(&'static str, i64)]),
    /// Name and the id of its elements' type.
    Slice(&'static str, i64),
}
