//! JSON-RPC 2.0.

pub(crate) mod conversation;
mod judge;
mod members;
mod read;
pub(crate) mod repeated;
mod whole;
mod write;

use bytes::Bytes;

use super::{Codec, Repeated, Verdict};
use crate::core::call::Call;
use crate::core::fault::Fault;

pub(crate) use judge::is_error;
pub(crate) use read::{Body, Item, NotARequest, looks_like, read};
pub(crate) use whole::{Ids, WholeBatch, whole};
pub(crate) use write::{Attempt, Data, Source, batch, error};

/// The caller's id, byte for byte; `None` is a notification.
pub(crate) type Id = Option<Bytes>;

/// The codec of JSON-RPC calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonRpc;

impl Codec for JsonRpc {
    type Expected = Id;

    fn judge(self, call: &Call<Id>, payload: Bytes, max_bytes: usize) -> Result<Verdict, Fault> {
        judge::judge(payload, &call.expected, max_bytes)
    }

    fn method(self, call: &Call<Id>) -> &[u8] {
        read::method(&call.request.body)
    }

    fn repeated(self, call: &Call<Id>, answer: &Bytes) -> Option<Repeated> {
        repeated::repeated(&call.request.body, &call.expected, answer)
    }
}
