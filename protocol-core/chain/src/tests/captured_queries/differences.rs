//! Answers that are meant to differ from the network's, and how far.

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Differs {
    /// The text of an error; its code is the same.
    Text,
    /// What an answer holds; it is none of an error.
    Content,
    /// Whether or how it fails.
    Code,
}

use Differs::{Code, Content, Text};

/// File of `chain/grpc/`, part of "name path", what differs, reason.
pub(super) const DIFFERENCES: &[(&str, &str, Differs, &str)] = &[
    ("auth", " bad", Text, BECH32),
    ("bank", "bad address", Text, BECH32),
    ("feegrant", "Allowance bad", Text, BECH32),
    ("pocket", "GetSession bad app", Text, BECH32),
    ("pocket", "AllApplications delegatee bad", Text, BECH32),
    ("pocket", "AllSuppliers bad owner", Text, BECH32),
    ("pocket", "Claim bad supplier", Text, BECH32),
    (
        "auth",
        "/Accounts",
        Content,
        "the accounts of modules that we do not have are plain here",
    ),
    (
        "auth",
        "/ModuleAccounts",
        Content,
        "those of our modules: there is no mint, distribution, gov or ibc",
    ),
    (
        "auth",
        "auth.v1beta1.Query/Params",
        Content,
        "signatures cost no gas of their own here (decisions/0004)",
    ),
    (
        "bank",
        "/DenomOwners",
        Content,
        "a next key is for the node that gave it: there an address has its length before it; and the owners that are modules differ",
    ),
    ("circuit", "/Account", Text, "there are no circuits here"),
    ("crisis-group-ibc", "group", Code, "there is no module group here"),
    ("crisis-group-ibc", "ibc", Code, "there is no ibc here"),
    (
        "distribution",
        "/",
        Content,
        "rewards are paid out in the settlement here: none are kept, and there is no community pool",
    ),
    (
        "gov",
        "/Params",
        Content,
        "one account governs here, without votes",
    ),
    ("gov", "/Deposit", Text, "the text there is of its store"),
    (
        "migration",
        "/Params",
        Content,
        "nobody can claim Morse accounts here",
    ),
    ("mint", "/Params", Content, "tokens are minted by settlement only"),
    (
        "params",
        "/Subspaces",
        Content,
        "params are their modules' own here",
    ),
    (
        "params",
        "staking MaxValidators",
        Code,
        "params are their modules' own here",
    ),
    (
        "pocket",
        "AllApplications delegatee",
        Content,
        "a page there is cut first and filtered then, and its total counts all; here page and total are of those wanted",
    ),
    (
        "pocket",
        "AllSuppliers operator",
        Content,
        "there is a page info here too",
    ),
    (
        "pocket",
        "AllSuppliers owner",
        Content,
        "the total there counts all suppliers, here those of the owner",
    ),
    (
        "pocket",
        "AllClaims limit 1 count_total",
        Content,
        "a next key is for the node that gave it",
    ),
    ("slashing", "/Params", Content, NO_SLASHING),
    ("slashing", "/SigningInfos", Content, NO_SLASHING),
    ("slashing", "SigningInfo ", Code, NO_SLASHING),
    (
        "staking",
        "/Params",
        Content,
        "validators do not unbond here, and there may be 100",
    ),
    (
        "staking",
        "Validator",
        Content,
        "a validator has no rates that may change, and no time of them",
    ),
    (
        "staking",
        "HistoricalInfo",
        Code,
        "no validators of past blocks are kept for ibc",
    ),
    (
        "upgrade",
        "/ModuleVersions",
        Content,
        "those of our modules, whose state has had one form so far",
    ),
];

const BECH32: &str = "the text there is of Go's bech32 decoder";
const NO_SLASHING: &str = "validators are not slashed for being away";

/// Whether `ours` differs from `theirs` by this much and no more.
pub(super) fn is_within(differs: Differs, theirs: &str, ours: &str) -> bool {
    let code = |answer: &str| answer.split_once(' ').map(|(code, _)| code.to_owned());
    match differs {
        Text => code(theirs) == code(ours) && !theirs.starts_with("0 "),
        Content => theirs.starts_with("0 ") && ours.starts_with("0 "),
        Code => true,
    }
}
