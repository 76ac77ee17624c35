//! The types that a stream defines.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::input::Input;
use crate::gob::GobError;

/// Most types that a stream may define, and most fields that one of them may have; a proof needs six.
pub(super) const MAX_DEFINED: usize = 256;
/// Ids from here on belong to the process that wrote the stream.
const FIRST_DEFINED: i32 = 64;

const BOOL: i32 = 1;
const INT: i32 = 2;
const UINT: i32 = 3;
const FLOAT: i32 = 4;
const BYTES: i32 = 5;
const STRING: i32 = 6;
const COMPLEX: i32 = 7;
const INTERFACE: i32 = 8;
/// Those of gob's own structs that have fields of basic types only. Go reads them as a proof without content.
const COMMON_TYPE: i32 = 18;
const FIELD_TYPE: i32 = 21;

/// What can be read over without a definition.
#[derive(Clone, Copy)]
pub(super) enum Basic {
    Integer,
    TwoIntegers,
    Bytes,
    Interface,
}

/// A type that the stream defines: one of these in what an encoder writes.
#[derive(Debug, Default)]
pub(super) struct Type {
    /// Elements' type and their number.
    pub(super) array: Option<(i32, i64)>,
    pub(super) slice: Option<i32>,
    /// Names and types.
    pub(super) fields: Option<Vec<(String, i32)>>,
    pub(super) map: Option<(i32, i32)>,
    /// The type marshals itself, to bytes.
    pub(super) marshals: bool,
}

/// All types that were defined so far.
#[derive(Default)]
pub(super) struct Types(BTreeMap<i32, Rc<Type>>);

impl Types {
    /// The type with this id, if the stream defines it.
    pub(super) fn get(&self, id: i32) -> Option<Rc<Type>> {
        self.0.get(&id).cloned()
    }

    /// The struct with this id: one that the stream defines, or one of gob's own.
    pub(super) fn structure(&self, id: i32) -> Option<Rc<Type>> {
        if ![COMMON_TYPE, FIELD_TYPE].contains(&id) {
            return self.get(id).filter(|known| known.fields.is_some());
        }
        Some(Rc::new(Type {
            fields: Some(vec![("Name".to_owned(), STRING), ("Id".to_owned(), INT)]),
            ..Type::default()
        }))
    }

    /// Whether the stream defines the type.
    pub(super) fn defines(&self, id: i32) -> bool {
        self.0.contains_key(&id)
    }

    /// Reads definitions up to a value, and returns the type of that; `inside` a value they have no message
    /// of their own.
    pub(super) fn read(&mut self, input: &mut Input<'_>, inside: bool) -> Result<i32, GobError> {
        loop {
            if input.is_empty() {
                input.next_message()?;
            }
            let id = input.type_id()?;
            if id >= 0 {
                return Ok(id);
            }
            let id = id.checked_neg().ok_or(GobError::Integer)?;
            if id < FIRST_DEFINED {
                return Err(GobError::Type);
            }
            if self.0.insert(id, Rc::new(definition(input)?)).is_some() {
                return Err(GobError::DuplicateType);
            }
            bounded(self.0.len(), MAX_DEFINED)?;
            match (input.is_empty(), inside) {
                (true, _) => {}
                (false, true) => drop(input.uint()?),
                (false, false) => return Err(GobError::Type),
            }
        }
    }

    /// Checks that values of the type can be read over: whatever it refers to is defined. Each type is looked
    /// at once, so that types may contain themselves.
    pub(super) fn check_known(&self, id: i32, seen: &mut BTreeSet<i32>) -> Result<(), GobError> {
        if basic(id).is_some() || !seen.insert(id) {
            return Ok(());
        }
        let known = self.get(id).ok_or(GobError::Type)?;
        if let Some((element, _)) = known.array {
            return self.check_known(element, seen);
        }
        if let Some((key, element)) = known.map {
            self.check_known(key, seen)?;
            return self.check_known(element, seen);
        }
        if let Some(element) = known.slice {
            return self.check_known(element, seen);
        }
        match &known.fields {
            Some(fields) => fields.iter().try_for_each(|(name, id)| match name.is_empty() {
                true => Err(GobError::Type),
                false => self.check_known(*id, seen),
            }),
            None if known.marshals => Ok(()),
            None => Err(GobError::Type),
        }
    }
}

/// How a built-in type is read over.
pub(super) fn basic(id: i32) -> Option<Basic> {
    match id {
        BOOL | INT | UINT | FLOAT => Some(Basic::Integer),
        COMPLEX => Some(Basic::TwoIntegers),
        BYTES | STRING => Some(Basic::Bytes),
        INTERFACE => Some(Basic::Interface),
        _ => None,
    }
}

/// Refuses more of something than is allowed.
pub(super) fn bounded(count: usize, max: usize) -> Result<usize, GobError> {
    if count > max {
        Err(GobError::TooMany { got: count })
    } else {
        Ok(count)
    }
}

/// Reads a definition: a struct with one field per kind of type.
fn definition(input: &mut Input<'_>) -> Result<Type, GobError> {
    let (mut next, mut found) = (0, Type::default());
    while let Some(kind) = input.field(&mut next, 7)? {
        match kind {
            0 => found.array = Some(array(input)?),
            1 => found.slice = Some(ids::<1>(input)?[0]),
            2 => found.fields = Some(struct_fields(input)?),
            3 => {
                let [key, element] = ids(input)?;
                found.map = Some((key, element));
            }
            _ => {
                ids::<0>(input)?;
                found.marshals = true;
            }
        }
    }
    Ok(found)
}

fn array(input: &mut Input<'_>) -> Result<(i32, i64), GobError> {
    let (mut next, mut element, mut len) = (0, 0, 0);
    while let Some(number) = input.field(&mut next, 3)? {
        match number {
            0 => drop(name_and_id(input)?),
            1 => element = input.type_id()?,
            _ => len = input.int()?,
        }
    }
    Ok((element, len))
}

/// Name and id (of no interest), then `N` types; those that are left out are zero.
fn ids<const N: usize>(input: &mut Input<'_>) -> Result<[i32; N], GobError> {
    let (mut next, mut ids) = (0, [0; N]);
    while let Some(number) = input.field(&mut next, N.saturating_add(1))? {
        match number.checked_sub(1) {
            None => drop(name_and_id(input)?),
            Some(index) => ids[index] = input.type_id()?,
        }
    }
    Ok(ids)
}

fn struct_fields(input: &mut Input<'_>) -> Result<Vec<(String, i32)>, GobError> {
    let (mut next, mut fields) = (0, Vec::new());
    while let Some(number) = input.field(&mut next, 2)? {
        if number == 0 {
            name_and_id(input)?;
        } else {
            let count = bounded(input.count()?, MAX_DEFINED)?;
            input.elements(count, |input| {
                fields.push(name_and_id(input)?);
                Ok(())
            })?;
        }
    }
    Ok(fields)
}

fn name_and_id(input: &mut Input<'_>) -> Result<(String, i32), GobError> {
    let (mut next, mut name, mut id) = (0, String::new(), 0);
    while let Some(number) = input.field(&mut next, 2)? {
        match number {
            0 => name = String::from_utf8_lossy(input.bytes()?).into_owned(),
            _ => id = input.type_id()?,
        }
    }
    Ok((name, id))
}
