//! Reading gob streams from anyone: bounded, and by the definitions that the stream brings.
//!
//! What is read, and what is refused, follows Go's decoder: before a value is looked at, every type that it
//! refers to has to be known, also of fields that are read over.

mod input;
mod types;

use std::collections::BTreeSet;

use super::schema::{BYTES, FieldType, INT};
use super::{GobError, MAX_STREAM_LEN};

use self::input::Input;
use self::types::{Basic, Types, basic, bounded};

/// How deep values of fields that are read over may nest.
const MAX_NESTING: usize = 256;
/// Most elements of a list; a proof has at most 256 side nodes and as many flipped bits.
const MAX_ELEMENTS: usize = 1 << 16;

/// A struct that is read from a stream, field by field.
pub(super) trait Decode: Default {
    /// Type of the field with this name.
    fn field_type(name: &str) -> Option<FieldType>;
    /// Reads one field.
    fn read_field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), GobError>;
}

/// Reads definitions up to the first value, then that value.
pub(super) fn stream<T: Decode>(bytes: &[u8]) -> Result<T, GobError> {
    if bytes.len() > MAX_STREAM_LEN {
        return Err(GobError::TooLong { got: bytes.len() });
    }
    let (mut input, mut types) = (Input::new(bytes), Types::default());
    let id = types.read(&mut input, false)?;
    let common = check_fields(&types, id, T::field_type)?;
    if common == Common::None {
        return Err(GobError::NoCommonField);
    }
    Reader { input, types, id }.message()
}

/// Whether a struct in a stream has fields of ours.
#[derive(PartialEq)]
enum Common {
    Some,
    None,
}

/// Compares the fields that a stream declares with ours of the same names, as Go does before it reads.
fn check_fields(types: &Types, id: i32, ours: fn(&str) -> Option<FieldType>) -> Result<Common, GobError> {
    let declared = types
        .structure(id)
        .ok_or(match basic(id).is_some() || types.defines(id) {
            true => GobError::NotAStruct,
            false => GobError::Type,
        })?;
    let fields = declared.fields.as_ref().ok_or(GobError::NotAStruct)?;
    // Without any field in the definition Go finds nothing wrong.
    let mut common = match fields.is_empty() || !types.defines(id) {
        true => Common::Some,
        false => Common::None,
    };
    let mut seen = BTreeSet::new();
    for (name, id) in fields {
        if name.is_empty() {
            return Err(GobError::Type);
        }
        match ours(name) {
            None => types.check_known(*id, &mut seen)?,
            Some(want) if has_type(types, *id, want)? => common = Common::Some,
            Some(_) => {
                return Err(GobError::FieldType {
                    field: known_name(name),
                });
            }
        }
    }
    Ok(common)
}

fn has_type(types: &Types, id: i32, want: FieldType) -> Result<bool, GobError> {
    let list_of = |element: i64| {
        let list = types.get(id).filter(|known| !known.marshals);
        list.and_then(|known| known.slice)
            .is_some_and(|of| i64::from(of) == element)
    };
    Ok(match want {
        FieldType::Bytes => i64::from(id) == BYTES,
        FieldType::Int => i64::from(id) == INT,
        FieldType::BytesList => list_of(BYTES),
        FieldType::IntList => list_of(INT),
        FieldType::Struct(ours) => {
            let structure = types.structure(id).filter(|known| !known.marshals);
            if structure.is_some() {
                check_fields(types, id, ours)?;
            }
            structure.is_some()
        }
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
    types: Types,
    id: i32,
}

impl Reader<'_> {
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, GobError> {
        self.input.bytes().map(<[u8]>::to_vec)
    }

    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        self.input.int()
    }

    pub(super) fn bytes_list(&mut self) -> Result<Vec<Vec<u8>>, GobError> {
        self.list(|input| input.bytes().map(<[u8]>::to_vec))
    }

    pub(super) fn int_list(&mut self) -> Result<Vec<i64>, GobError> {
        self.list(|input| input.int())
    }

    fn list<T>(
        &mut self,
        element: impl Fn(&mut Input<'_>) -> Result<T, GobError>,
    ) -> Result<Vec<T>, GobError> {
        let (count, mut list) = (bounded(self.input.count()?, MAX_ELEMENTS)?, Vec::new());
        self.input.elements(count, |input| {
            list.push(element(input)?);
            Ok(())
        })?;
        Ok(list)
    }

    pub(super) fn message<T: Decode>(&mut self) -> Result<T, GobError> {
        let declared = self.types.structure(self.id).ok_or(GobError::Type)?;
        let fields = declared.fields.as_ref().ok_or(GobError::Type)?;
        let (mut message, mut next) = (T::default(), 0);
        while let Some(number) = self.input.field(&mut next, fields.len())? {
            let (name, id) = &fields[number];
            if T::field_type(name).is_some() {
                let outer = std::mem::replace(&mut self.id, *id);
                message.read_field(name, self)?;
                self.id = outer;
            } else {
                skip(&mut self.input, &mut self.types, *id, MAX_NESTING)?;
            }
        }
        Ok(message)
    }
}

/// Reads over a value that is of no interest, and in which values nest at most `nesting` times.
fn skip(input: &mut Input<'_>, types: &mut Types, id: i32, nesting: usize) -> Result<(), GobError> {
    let nesting = nesting.checked_sub(1).ok_or(GobError::Nesting)?;
    match basic(id) {
        Some(Basic::Integer) => return input.uint().map(drop),
        Some(Basic::TwoIntegers) => return input.uint().and_then(|_| input.uint()).map(drop),
        Some(Basic::Bytes) => return input.bytes().map(drop),
        Some(Basic::Interface) => return skip_interface(input, types),
        None => {}
    }
    let known = types.get(id).ok_or(GobError::Type)?;
    if let Some((element, len)) = known.array {
        let count = input.count()?;
        if u64::try_from(count) != Ok(len.cast_unsigned()) {
            return Err(GobError::Type);
        }
        return input.elements(count, |input| skip(input, types, element, nesting));
    }
    if let Some((key, element)) = known.map {
        let count = input.count()?;
        return input.elements(count, |input| {
            skip(input, types, key, nesting)?;
            skip(input, types, element, nesting)
        });
    }
    if let Some(element) = known.slice {
        let count = input.count()?;
        return input.elements(count, |input| skip(input, types, element, nesting));
    }
    let Some(fields) = &known.fields else {
        return input.bytes().map(drop);
    };
    let mut next = 0;
    while let Some(number) = input.field(&mut next, fields.len())? {
        skip(input, types, fields[number].1, nesting)?;
    }
    Ok(())
}

/// The name of a type, definitions that it needs, its id, and a value with its length in front.
fn skip_interface(input: &mut Input<'_>, types: &mut Types) -> Result<(), GobError> {
    input.bytes()?;
    types.read(input, true)?;
    input.bytes().map(drop)
}

#[cfg(test)]
mod tests;
