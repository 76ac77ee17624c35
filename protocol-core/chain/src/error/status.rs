//! Which gRPC status the network's handlers answer with: `codes.NotFound` and the like, by message and code.
//!
//! The network chooses it at each place. What was recorded of it is in the captured chain, which `tests/captured_chain.rs` replays; the
//! others follow from what the codes mean.

/// Status of a refusal with `codespace` and `code` by the handler of messages of type `url`.
pub(super) fn of(url: &str, codespace: &str, code: u32) -> &'static str {
    let message = url.rsplit('.').next().unwrap_or_default();
    match (message, codespace, code) {
        ("MsgSubmitProof", ..) | ("MsgCreateClaim", "proof", 1121) => "FailedPrecondition",
        ("MsgCreateClaim" | "MsgTransferApplication", ..) => "InvalidArgument",
        (_, "application", 1104 | 1107) | (_, "gateway", 1104) => "NotFound",
        (_, "supplier", 1103) | (_, "service", 1117) => "NotFound",
        (_, "application", 1109) => "AlreadyExists",
        (_, "application", 1110..=1112 | 1114) | (_, "gateway", 1107 | 1108) => "FailedPrecondition",
        (_, "supplier", 1105) | (_, "service", 1108 | 1109) => "FailedPrecondition",
        (_, "shared", 1105) | (_, "service", 1118) => "PermissionDenied",
        (_, "sdk", 5) => "Internal",
        _ => "InvalidArgument",
    }
}
