//! Writing gob streams.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of what is in memory")]

use super::schema::{Definition, FIRST_ID};

/// A struct that is written as the one value of a stream.
pub(super) trait Encode {
    /// What a fresh process defines when it writes one; the first has id [`FIRST_ID`], and so on.
    const DEFINITIONS: &'static [Definition];
    /// Writes the fields that are not empty.
    fn write_fields(&self, body: &mut Body);
}

/// The definitions of `T` and one value.
pub(super) fn stream<T: Encode>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, definition) in (FIRST_ID..).zip(T::DEFINITIONS) {
        push_message(&mut out, -id, &definition.body(id));
    }
    let mut body = Body::default();
    value.write_fields(&mut body);
    push_message(&mut out, FIRST_ID, &body.end());
    out
}

fn push_message(out: &mut Vec<u8>, id: i64, body: &[u8]) {
    let mut message = Vec::with_capacity(body.len() + 3);
    push_int(&mut message, id);
    message.extend_from_slice(body);
    push_uint(out, message.len() as u64);
    out.extend_from_slice(&message);
}

impl Definition {
    /// The definition as a value of gob's own wire type.
    fn body(&self, id: i64) -> Vec<u8> {
        let mut wire_type = Body::default();
        match self {
            Self::Slice(name, element) => wire_type.nested(1, |slice| {
                slice.nested(0, |common| common.name_and_id(name, id));
                slice.int(1, *element);
            }),
            Self::Struct(name, fields) => wire_type.nested(2, |structure| {
                structure.nested(0, |common| common.name_and_id(name, id));
                structure.list(1, fields, |out, (field, field_id)| {
                    let mut body = Body::default();
                    body.name_and_id(field, *field_id);
                    out.extend(body.end());
                });
            }),
        }
        wire_type.end()
    }
}

/// The fields of a struct, written in order; zero values are left out.
#[derive(Default)]
pub(super) struct Body {
    out: Vec<u8>,
    /// Number of fields up to the last written one.
    next: u64,
}

impl Body {
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.start(field);
            push_bytes(&mut self.out, bytes);
        }
    }

    pub(super) fn int(&mut self, field: u64, value: i64) {
        if value != 0 {
            self.start(field);
            push_int(&mut self.out, value);
        }
    }

    pub(super) fn bytes_list(&mut self, field: u64, list: &[Vec<u8>]) {
        self.list(field, list, |out, bytes| push_bytes(out, bytes));
    }

    pub(super) fn int_list(&mut self, field: u64, list: &[i64]) {
        self.list(field, list, |out, value| push_int(out, *value));
    }

    /// A pointer to a struct: written when there is one, even when all its fields are zero.
    pub(super) fn message<T: Encode>(&mut self, field: u64, message: Option<&T>) {
        if let Some(message) = message {
            self.nested(field, |body| message.write_fields(body));
        }
    }

    fn nested(&mut self, field: u64, fields: impl FnOnce(&mut Self)) {
        self.start(field);
        let mut body = Self::default();
        fields(&mut body);
        self.out.extend(body.end());
    }

    fn list<T>(&mut self, field: u64, list: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
        if !list.is_empty() {
            self.start(field);
            push_uint(&mut self.out, list.len() as u64);
            list.iter().for_each(|element| push(&mut self.out, element));
        }
    }

    fn name_and_id(&mut self, name: &str, id: i64) {
        self.bytes(0, name.as_bytes());
        self.int(1, id);
    }

    fn start(&mut self, field: u64) {
        push_uint(&mut self.out, field + 1 - self.next);
        self.next = field + 1;
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// One byte below 128; else the negated number of bytes, then those bytes, big-endian.
fn push_uint(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    if let [.., byte @ 0..128] = bytes
        && value < 128
    {
        out.push(byte);
        return;
    }
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
    out.push(match bytes.len() - start {
        1 => 0xff,
        2 => 0xfe,
        3 => 0xfd,
        4 => 0xfc,
        5 => 0xfb,
        6 => 0xfa,
        7 => 0xf9,
        _ => 0xf8,
    });
    out.extend_from_slice(&bytes[start..]);
}

/// The sign in the lowest bit, the value (complemented if negative) above it.
fn push_int(out: &mut Vec<u8>, value: i64) {
    let bits = value.cast_unsigned() << 1;
    push_uint(out, if value < 0 { !bits } else { bits });
}
