//! Stored results of blocks, read where they lie, without decoding all of them.

/// Field of the transactions' results in `ResponseFinalizeBlock`.
const TX_RESULTS: u64 = 2;

/// Stored results that do not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Results of the transactions in stored results, in order.
pub(crate) fn tx_results(results: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    of_field(results, TX_RESULTS)
}

/// The fields of this number that have a length, in order.
pub(crate) fn of_field(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields(message).filter_map(move |field| match field {
        Ok((found, bytes)) => (found == number).then_some(Ok(bytes)),
        Err(error) => Some(Err(error)),
    })
}

/// The fields of a protobuf message that have a length, with their numbers; the others are passed over. Ends after an error.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    /// `None` when malformed; the inner one for a field without a length.
    fn field(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        let tag = self.varint()?;
        match tag & 7 {
            0 => self.varint().map(|_| None),
            1 => self.take(8).map(|_| None),
            5 => self.take(4).map(|_| None),
            2 => {
                let len = self.varint()?;
                self.take(len).map(|bytes| Some((tag >> 3, bytes)))
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Some(Some(field)) => return Some(Ok(field)),
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return Some(Err(Malformed));
                }
            }
        }
        None
    }
}
