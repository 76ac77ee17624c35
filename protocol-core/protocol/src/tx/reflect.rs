//! Messages by their descriptors, for the sign modes that write out what a message holds.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::{Any, Timestamp};

use super::TxError;
use crate::wire::FILE_DESCRIPTOR_SET;

/// Descriptors of all messages.
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the build's own descriptors"));

/// Deepest nesting of messages that is written.
pub(super) const MAX_DEPTH: usize = 16;

/// The message in an `Any`. Errs for one that is not known.
pub(super) fn unpacked(any: &Any) -> Result<DynamicMessage, TxError> {
    let name = any.type_url.trim_start_matches('/');
    let unknown = || TxError::UnknownMessage(any.type_url.clone());
    let descriptor = POOL.get_message_by_name(name).ok_or_else(unknown)?;
    Ok(DynamicMessage::decode(descriptor, any.value.as_slice())?)
}

/// The message of a type as what its descriptor says.
pub(super) fn dynamic(name: &str, message: &impl prost::Message) -> Result<DynamicMessage, TxError> {
    unpacked(&Any {
        type_url: name.to_owned(),
        value: message.encode_to_vec(),
    })
}

/// The message as its own type.
pub(super) fn again<M: prost::Message + Default>(message: &DynamicMessage) -> Result<M, TxError> {
    Ok(M::decode(message.encode_to_vec().as_slice())?)
}

/// A time as Go writes it: nanoseconds without trailing zeros. `None` for one that cannot be.
pub(super) fn rfc3339(time: &Timestamp) -> Option<String> {
    let text = time.to_string(); // 3, 6 or 9 digits
    if time.seconds < -62_135_596_800 || !(0..1_000_000_000).contains(&time.nanos) {
        return None;
    }
    let Some((whole, fraction)) = text.trim_end_matches('Z').split_once('.') else {
        return Some(text);
    };
    let fraction = fraction.trim_end_matches('0');
    Some(match fraction {
        "" => format!("{whole}Z"),
        _ => format!("{whole}.{fraction}Z"),
    })
}
