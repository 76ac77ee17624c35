//! What is fuzzed: one function per kind of bytes that a stranger may send.
//!
//! Each takes any bytes, may not panic, and checks what must hold of all of them: reading what was written gives the same, what
//! verifies still verifies after a round trip, and two ways to one result agree. The binaries of the same names hand these functions to
//! libFuzzer; `seeds` writes the corpus that they start from, made of the vectors.

pub mod chain;
pub mod node;
pub mod relay;
pub mod seeds;
pub mod smst;

use prost::Message;

/// Decodes a message; checks that its encoding decodes to the same again.
///
/// # Panics
/// When it does not: that is what is looked for.
fn decoded<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let again = M::decode(message.encode_to_vec().as_slice()).expect("what was encoded decodes");
    assert!(again == message, "{message:?} became {again:?}");
    Some(message)
}

/// Cuts `N` bytes off the front.
fn head<const N: usize>(data: &[u8]) -> Option<(&[u8; N], &[u8])> {
    data.split_first_chunk()
}
