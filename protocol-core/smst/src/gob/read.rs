//! Reading gob streams from anyone: bounded, and by the definitions that the stream brings.

#![warn(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use super::schema::{BYTES, FieldType, INT, Message};
use super::{GobError, MAX_STREAM_LEN};

/// How deep types may nest; a proof needs three.
const MAX_NESTING: usize = 16;
/// Most types that a stream may define, and most fields that one of them may have; a proof needs six.
const MAX_DEFINED: usize = 256;
/// Most elements of a list; a proof has at most 256 side nodes and as many flipped bits.
const MAX_ELEMENTS: usize = 1 << 16;
/// Ids from here on belong to the process that wrote the stream.
const FIRST_DEFINED: i64 = 16;

const BOOL: i64 = 1;
const UINT: i64 = 3;
const FLOAT: i64 = 4;
const STRING: i64 = 6;
const COMPLEX: i64 = 7;

/// A type that the stream defines.
#[derive(Debug, Clone)]
enum Type {
    /// Length and elements' type.
    Array(u64, i64),
    Slice(i64),
    Map(i64, i64),
    Struct(Vec<(String, i64)>),
    /// A type that marshals itself: bytes.
    Opaque,
}

type Types = BTreeMap<i64, Type>;

/// Reads definitions up to the first value, then that value.
pub(super) fn stream<T: Message>(bytes: &[u8]) -> Result<T, GobError> {
    if bytes.len() > MAX_STREAM_LEN {
        return Err(GobError::TooLong { got: bytes.len() });
    }
    let (mut rest, mut types) = (Input(bytes), Types::new());
    loop {
        let len = rest.len()?;
        let mut message = Input(rest.take(len)?);
        let id = message.int()?;
        if id >= 0 {
            return value(message, &types, id);
        }
        let id = id.checked_neg().ok_or(GobError::Integer)?;
        let definition = definition(&mut message)?;
        if !message.0.is_empty() || id < FIRST_DEFINED {
            return Err(GobError::Type);
        }
        if types.insert(id, definition).is_some() {
            return Err(GobError::DuplicateType);
        }
        bounded(types.len(), MAX_DEFINED)?;
    }
}

fn value<T: Message>(message: Input<'_>, types: &Types, id: i64) -> Result<T, GobError> {
    let fields = match types.get(&id) {
        Some(Type::Struct(fields)) => fields,
        Some(_) => return Err(GobError::NotAStruct),
        None if id < FIRST_DEFINED => return Err(GobError::NotAStruct),
        None => return Err(GobError::Type),
    };
    check_fields(types, fields, T::field_type, MAX_NESTING)?;
    Reader {
        input: message,
        types,
        id,
    }
    .message()
}

/// Compares the fields that a stream declares with ours of the same names, as Go does before it reads.
fn check_fields(
    types: &Types,
    fields: &[(String, i64)],
    ours: fn(&str) -> Option<FieldType>,
    nesting: usize,
) -> Result<(), GobError> {
    let nesting = nesting.checked_sub(1).ok_or(GobError::Nesting)?;
    let mut common = false;
    for (name, id) in fields {
        if name.is_empty() {
            return Err(GobError::Type);
        }
        let Some(want) = ours(name) else { continue };
        common = true;
        if !same_type(types, *id, want, nesting)? {
            return Err(GobError::FieldType {
                field: known_name(name),
            });
        }
    }
    if common || fields.is_empty() {
        Ok(())
    } else {
        Err(GobError::NoCommonField)
    }
}

fn same_type(types: &Types, id: i64, want: FieldType, nesting: usize) -> Result<bool, GobError> {
    Ok(match (want, types.get(&id)) {
        (FieldType::Bytes, _) => id == BYTES,
        (FieldType::Int, _) => id == INT,
        (FieldType::BytesList, Some(Type::Slice(element))) => *element == BYTES,
        (FieldType::IntList, Some(Type::Slice(element))) => *element == INT,
        (FieldType::Struct(ours), Some(Type::Struct(fields))) => {
            check_fields(types, fields, ours, nesting)?;
            true
        }
        _ => false,
    })
}

/// The name as a static string, for errors.
fn known_name(name: &str) -> &'static str {
    let names = [
        "Path",
        "FlippedBits",
        "Depth",
        "ClosestPath",
        "ClosestValueHash",
        "ClosestProof",
        "SideNodes",
        "NonMembershipLeafData",
        "BitMask",
        "NumSideNodes",
        "SiblingData",
    ];
    names
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("of the proof")
}

/// Reads values of the type `id`, which the caller has compared with its own.
pub(super) struct Reader<'a> {
    input: Input<'a>,
    types: &'a Types,
    id: i64,
}

impl Reader<'_> {
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, GobError> {
        self.input.bytes().map(<[u8]>::to_vec)
    }

    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        self.input.int()
    }

    pub(super) fn list<T>(
        &mut self,
        element: impl Fn(&mut Self) -> Result<T, GobError>,
    ) -> Result<Vec<T>, GobError> {
        let count = bounded(self.input.len()?, MAX_ELEMENTS)?;
        (0..count).map(|_| element(self)).collect()
    }

    pub(super) fn message<T: Message>(&mut self) -> Result<T, GobError> {
        let types = self.types;
        let Some(Type::Struct(fields)) = types.get(&self.id) else {
            return Err(GobError::Type);
        };
        let mut message = T::default();
        let mut next = 0;
        while let Some(number) = self.input.field(&mut next, fields.len())? {
            let (name, id) = &fields[number];
            if T::field_type(name).is_some() {
                self.inside(*id, |reader| message.read_field(name, reader))?;
            } else {
                skip(&mut self.input, types, *id, MAX_NESTING)?;
            }
        }
        Ok(message)
    }

    fn inside<T>(
        &mut self,
        id: i64,
        read: impl FnOnce(&mut Self) -> Result<T, GobError>,
    ) -> Result<T, GobError> {
        let outer = std::mem::replace(&mut self.id, id);
        let result = read(self);
        self.id = outer;
        result
    }
}

/// Reads over a value that is of no interest, and in which types nest at most `nesting` times.
fn skip(input: &mut Input<'_>, types: &Types, id: i64, nesting: usize) -> Result<(), GobError> {
    let nesting = nesting.checked_sub(1).ok_or(GobError::Nesting)?;
    match id {
        BOOL | INT | UINT | FLOAT => return input.uint().map(|_| ()),
        COMPLEX => return input.uint().and_then(|_| input.uint()).map(|_| ()),
        BYTES | STRING => return input.bytes().map(|_| ()),
        _ => {}
    }
    match types.get(&id).ok_or(GobError::Type)? {
        Type::Opaque => input.bytes().map(|_| ()),
        Type::Slice(element) => {
            let count = input.len()?;
            (0..count).try_for_each(|_| skip(input, types, *element, nesting))
        }
        Type::Array(len, element) => {
            let count = input.len()?;
            if u64::try_from(count) != Ok(*len) {
                return Err(GobError::Type);
            }
            (0..count).try_for_each(|_| skip(input, types, *element, nesting))
        }
        Type::Map(key, element) => {
            let count = input.len()?;
            (0..count).try_for_each(|_| {
                skip(input, types, *key, nesting)?;
                skip(input, types, *element, nesting)
            })
        }
        Type::Struct(fields) => {
            let mut next = 0;
            while let Some(number) = input.field(&mut next, fields.len())? {
                skip(input, types, fields[number].1, nesting)?;
            }
            Ok(())
        }
    }
}

/// Reads a definition: a struct with one field per kind of type, of which one is set.
fn definition(input: &mut Input<'_>) -> Result<Type, GobError> {
    let (mut next, mut found) = (0, None);
    while let Some(kind) = input.field(&mut next, 7)? {
        let read = match kind {
            0 => {
                let [element, len] = ids(input)?;
                Type::Array(u64::try_from(len).map_err(|_| GobError::Type)?, element)
            }
            1 => Type::Slice(ids::<1>(input)?[0]),
            2 => Type::Struct(struct_fields(input)?),
            3 => {
                let [key, element] = ids(input)?;
                Type::Map(key, element)
            }
            _ => {
                ids::<0>(input)?;
                Type::Opaque
            }
        };
        if found.replace(read).is_some() {
            return Err(GobError::Type);
        }
    }
    found.ok_or(GobError::Type)
}

/// Name and id (of no interest), then `N` integers; those that are left out are zero.
fn ids<const N: usize>(input: &mut Input<'_>) -> Result<[i64; N], GobError> {
    let (mut next, mut ids) = (0, [0; N]);
    while let Some(number) = input.field(&mut next, N.saturating_add(1))? {
        match number.checked_sub(1) {
            None => drop(name_and_id(input)?),
            Some(index) => ids[index] = input.int()?,
        }
    }
    Ok(ids)
}

fn struct_fields(input: &mut Input<'_>) -> Result<Vec<(String, i64)>, GobError> {
    let (mut next, mut fields) = (0, Vec::new());
    while let Some(number) = input.field(&mut next, 2)? {
        if number == 0 {
            name_and_id(input)?;
        } else {
            let count = bounded(input.len()?, MAX_DEFINED)?;
            fields = (0..count).map(|_| name_and_id(input)).collect::<Result<_, _>>()?;
        }
    }
    Ok(fields)
}

fn name_and_id(input: &mut Input<'_>) -> Result<(String, i64), GobError> {
    let (mut next, mut name, mut id) = (0, String::new(), 0);
    while let Some(number) = input.field(&mut next, 2)? {
        match number {
            0 => name = String::from_utf8_lossy(input.bytes()?).into_owned(),
            _ => id = input.int()?,
        }
    }
    Ok((name, id))
}

fn bounded(count: usize, max: usize) -> Result<usize, GobError> {
    if count > max {
        Err(GobError::TooMany { got: count })
    } else {
        Ok(count)
    }
}

/// What is left of a message.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], GobError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(GobError::UnexpectedEnd)?;
        self.0 = rest;
        Ok(taken)
    }

    fn uint(&mut self) -> Result<u64, GobError> {
        let first = self.take(1)?[0];
        if first < 128 {
            return Ok(first.into());
        }
        let len = usize::from(!first).saturating_add(1);
        if len > 8 {
            return Err(GobError::Integer);
        }
        Ok(self
            .take(len)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn int(&mut self) -> Result<i64, GobError> {
        let bits = self.uint()?;
        let value = (bits >> 1).cast_signed();
        Ok(if bits & 1 == 1 { !value } else { value })
    }

    /// A length or count: never more than the bytes that are left.
    fn len(&mut self) -> Result<usize, GobError> {
        let len = usize::try_from(self.uint()?).map_err(|_| GobError::Integer)?;
        if len > self.0.len() {
            Err(GobError::UnexpectedEnd)
        } else {
            Ok(len)
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], GobError> {
        let len = self.len()?;
        self.take(len)
    }

    /// Number of the next field of a struct with `count` fields; `None` at its end, or that of the message.
    fn field(&mut self, next: &mut usize, count: usize) -> Result<Option<usize>, GobError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let delta = usize::try_from(self.uint()?).map_err(|_| GobError::FieldNumber)?;
        let Some(skipped) = delta.checked_sub(1) else {
            return Ok(None);
        };
        let number = next.checked_add(skipped).filter(|number| *number < count);
        *next = number.ok_or(GobError::FieldNumber)?.saturating_add(1);
        Ok(number)
    }
}

#[cfg(test)]
mod tests;
