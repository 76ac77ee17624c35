//! The primitives of a gob stream.

use crate::gob::GobError;

/// A stream while it is read: what is left of a message, and what is behind it.
pub(super) struct Input<'a> {
    message: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Input<'a> {
    /// The stream in front of its first message.
    pub(super) fn new(stream: &'a [u8]) -> Self {
        Self {
            message: &[],
            behind: stream,
        }
    }

    /// Whether the message was read to its end.
    pub(super) fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// Goes on with the next message.
    pub(super) fn next_message(&mut self) -> Result<(), GobError> {
        let len = length(uint(&mut self.behind)?, self.behind)?;
        self.message = take(&mut self.behind, len)?;
        Ok(())
    }

    pub(super) fn uint(&mut self) -> Result<u64, GobError> {
        uint(&mut self.message)
    }

    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        let bits = self.uint()?;
        let value = (bits >> 1).cast_signed();
        Ok(if bits & 1 == 1 { !value } else { value })
    }

    /// The number of a type, as a definition refers to it.
    pub(super) fn type_id(&mut self) -> Result<i32, GobError> {
        i32::try_from(self.int()?).map_err(|_| GobError::Integer)
    }

    /// How many elements follow.
    pub(super) fn count(&mut self) -> Result<usize, GobError> {
        usize::try_from(self.uint()?).map_err(|_| GobError::Integer)
    }

    /// Bytes with their length in front.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], GobError> {
        let len = length(self.uint()?, self.message)?;
        take(&mut self.message, len)
    }

    /// Number of the next field of a struct with `count` fields; `None` at its end, or that of the message.
    pub(super) fn field(&mut self, next: &mut usize, count: usize) -> Result<Option<usize>, GobError> {
        if self.is_empty() {
            return Ok(None);
        }
        let delta = usize::try_from(self.uint()?).map_err(|_| GobError::FieldNumber)?;
        let Some(skipped) = delta.checked_sub(1) else {
            return Ok(None);
        };
        let number = next.checked_add(skipped).filter(|number| *number < count);
        let number = number.ok_or(GobError::FieldNumber)?;
        *next = number.saturating_add(1);
        Ok(Some(number))
    }

    /// Calls `element` `count` times; there is something to read each time.
    pub(super) fn elements(
        &mut self,
        count: usize,
        mut element: impl FnMut(&mut Self) -> Result<(), GobError>,
    ) -> Result<(), GobError> {
        for _ in 0..count {
            if self.is_empty() {
                return Err(GobError::UnexpectedEnd);
            }
            element(self)?;
        }
        Ok(())
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], GobError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(GobError::UnexpectedEnd)?;
    *bytes = rest;
    Ok(taken)
}

/// A length: never more than the bytes that are left.
fn length(value: u64, left: &[u8]) -> Result<usize, GobError> {
    let len = usize::try_from(value).map_err(|_| GobError::Integer)?;
    if len > left.len() {
        Err(GobError::UnexpectedEnd)
    } else {
        Ok(len)
    }
}

fn uint(bytes: &mut &[u8]) -> Result<u64, GobError> {
    let first = take(bytes, 1)?[0];
    if first < 128 {
        return Ok(first.into());
    }
    let len = usize::from(!first).saturating_add(1);
    if len > 8 {
        return Err(GobError::Integer);
    }
    let digits = take(bytes, len)?;
    Ok(digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
