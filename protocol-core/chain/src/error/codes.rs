//! Descriptions of the modules' error codes, as the network registers them.

/// What a module's code means (`x/*/types/errors.go`).
pub(super) fn description(codespace: &str, code: u32) -> Option<&'static str> {
    let codes: &[(u32, &str)] = match codespace {
        "application" => &APPLICATION,
        "feature" => &FEATURE,
        "gateway" => &GATEWAY,
        "proof" => &PROOF,
        "service" => &SERVICE,
        "session" => &SESSION,
        "shared" => &SHARED,
        "supplier" => &SUPPLIER,
        "tokenomics" => &TOKENOMICS,
        _ => return None,
    };
    codes
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, text)| *text)
}

const APPLICATION: [(u32, &str); 18] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "invalid application stake"),
    (1102, "invalid application address"),
    (1103, "unauthorized application signer"),
    (1104, "application not found"),
    (1106, "invalid service configs"),
    (1107, "gateway not found"),
    (1108, "invalid gateway address"),
    (1109, "application already delegated to gateway"),
    (1110, "maximum number of delegated gateways reached"),
    (1111, "application not delegated to gateway"),
    (1112, "application is in unbonding period"),
    (1113, "duplicate application address"),
    (1114, "application is in transfer period"),
    (1115, "the provided param is invalid"),
    (1116, "unable to emit onchain event"),
    (
        1117,
        "invalid gateway address querying for apps with delegatee gateway address",
    ),
    (1118, "invalid per-session spend limit"),
];
/// Our own module's.
const FEATURE: [(u32, &str); 8] = [
    (1100, "invalid authority"),
    (1101, "invalid flag name"),
    (1102, "invalid flag value"),
    (1103, "invalid flag scope"),
    (1104, "invalid flag kind"),
    (1105, "invalid flag height"),
    (1106, "flag change not found"),
    (1107, "too many flags"),
];
const GATEWAY: [(u32, &str); 9] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "invalid gateway address"),
    (1102, "invalid gateway stake"),
    (1103, "unauthorized signer"),
    (1104, "gateway not found"),
    (1105, "the provided param is invalid"),
    (1106, "unable to emit onchain event"),
    (1107, "gateway is in unbonding period"),
    (1108, "gateway is no longer active"),
];
const PROOF: [(u32, &str); 32] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "invalid address"),
    (1102, "supplier not found"),
    (1103, "invalid service in supplier"),
    (1104, "invalid root hash"),
    (1105, "invalid query request"),
    (1106, "claim not found"),
    (1107, "proof not found"),
    (1108, "invalid proof"),
    (1109, "invalid relay"),
    (1110, "invalid relay request"),
    (1111, "invalid relay response"),
    (1112, "not secp256k1 curve"),
    (1113, "application not found"),
    (1114, "public key not found"),
    (1115, "invalid session header"),
    (1116, "invalid session ID"),
    (1117, "invalid session end height"),
    (1118, "invalid session start height"),
    (1119, "the provided param name is invalid"),
    (1120, "the provided param is invalid"),
    (1121, "claim attempted outside of the session's claim window"),
    (1122, "proof attempted outside of the session's proof window"),
    (
        1123,
        "supplier operator address does not match the claim or proof",
    ),
    (1124, "account not found"),
    (1125, "service not found"),
    (
        1126,
        "mismatch: claim compute units != number of relays * service compute units per relay",
    ),
    (1127, "not enough funds to submit proof"),
    (1128, "failed to deduct proof submission fee"),
    (1129, "proof not required"),
    (1130, "invalid relay difficulty"),
    (1131, "invalid claimed amount"),
];
const SERVICE: [(u32, &str); 15] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "duplicate index when adding a new service"),
    (1102, "invalid address when adding a new service"),
    (1103, "missing service ID"),
    (1104, "missing service name"),
    (1105, "service already exists"),
    (1108, "not enough funds to add service"),
    (1109, "failed to deduct fee"),
    (1110, "invalid relay response"),
    (1111, "invalid relay request"),
    (1113, "invalid owner address"),
    (1115, "the provided param is invalid"),
    (1116, "missing relay mining difficulty"),
    (1117, "service not found"),
    (1118, "unauthorized service operation"),
];
const SESSION: [(u32, &str); 10] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "error during session hydration"),
    (1102, "application for session not found not found "),
    (1103, "application in session not staked for requested service"),
    (1104, "no suppliers not found for session"),
    (1105, "invalid application address for session"),
    (1107, "invalid block height for session"),
    (1108, "invalid sessionId"),
    (1109, "application is not active"),
    (1110, "the provided param is invalid"),
];
const SHARED: [(u32, &str); 12] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "invalid address"),
    (1102, "the provided param name is invalid"),
    (1103, "the provided param is invalid"),
    (1104, "failed to emit event"),
    (1105, "unauthorized supplier update"),
    (1106, "invalid revenue share configuration"),
    (1107, "invalid service"),
    (1108, "invalid service ID"),
    (1109, "invalid service name"),
    (1110, "invalid compute units per relay"),
    (1111, "invalid service metadata"),
];
const SUPPLIER: [(u32, &str); 10] = [
    (1100, "expected gov account as only signer for proposal message"),
    (1101, "invalid supplier stake"),
    (1102, "invalid address"),
    (1103, "supplier not found"),
    (1104, "invalid service config"),
    (1105, "supplier is in unbonding period"),
    (1106, "service not found"),
    (1107, "the provided param is invalid"),
    (1108, "failed to emit event"),
    (1109, "invalid service ID"),
];
const TOKENOMICS: [(u32, &str); 24] = [
    (
        1100,
        "the provided authority address does not match the onchain governance address",
    ),
    (
        1101,
        "the provided authority address is not a valid bech32 address",
    ),
    (1102, "provided claim's session header is nil"),
    (1103, "provided claim's session header is invalid"),
    (
        1104,
        "the supplier operator address in the claim is not a valid bech32 address",
    ),
    (1105, "supplier not found"),
    (1106, "application not found"),
    (
        1107,
        "the application address in the claim is not a valid bech32 address",
    ),
    (1108, "provided params are invalid"),
    (1109, "the root hash in the claim is invalid"),
    (1110, "application stake cannot be reduced to a -ve amount"),
    (1111, "the provided param name is invalid"),
    (1112, "the provided param is invalid"),
    (1113, "failed to unmarshal the provided bytes"),
    (1114, "failed to emit event"),
    (1115, "service not found"),
    (1116, "constraint violation"),
    (1117, "internal claim settlement error"),
    (1118, "internal token logic module error"),
    (1119, "failed to process token logic module"),
    (1120, "coin amount cannot be zero"),
    (
        1121,
        "failed to mint uPOKT while executing settlement state transitions",
    ),
    (
        1122,
        "failed to burn uPOKT while executing settlement state transitions",
    ),
    (
        1123,
        "failed to send coins while executing settlement state transitions",
    ),
];
