//! Protobuf messages of the network, generated from `proto/`.
//!
//! Package names, field names and numbers are those of the on-chain modules, so that encoded bytes and type URLs agree.
//! Go writes fields in ascending order, omits proto3 zero values and always writes *non-nullable* embedded messages: `prost` does the
//! same as long as those fields are set to `Some(..)` (`meta` of a relay request and response are the important ones).
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/wire.rs"));

/// All of `proto/` and what it imports as an encoded `google.protobuf.FileDescriptorSet`, without comments: what servers reflect.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wire.bin"));
