//! How much of a transaction runs.

/// How much of a transaction runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything.
    Deliver,
    /// Signatures, sequence, fee.
    Check,
    /// Everything, but signatures and gas limit are not looked at.
    Simulate,
}
