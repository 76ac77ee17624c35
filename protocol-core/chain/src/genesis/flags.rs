//! Feature flags as a genesis states them.

use portico_protocol::wire::portico::feature::{Flag, FlagKind, FlagScope};
use serde::{Deserialize, Serialize};

use crate::feature;

/// A rule that holds from a height on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisFlag {
    /// Name, e.g. `strict_closest_proof`.
    pub name: String,
    /// Free text; empty for flags that are only on or off.
    #[serde(default)]
    pub value: String,
    /// First height of which it holds; 0 is the whole chain.
    #[serde(default)]
    pub from_height: i64,
    /// Who applies it.
    #[serde(default)]
    pub scope: GenesisFlagScope,
    /// What a node does that does not know it.
    #[serde(default)]
    pub kind: GenesisFlagKind,
}

/// Who applies a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenesisFlagScope {
    /// The state machine.
    #[default]
    Chain,
    /// Gateways and servicers.
    Relay,
}

/// What a node does that does not know an enabled flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenesisFlagKind {
    /// It says so, and goes on.
    Optional,
    /// It halts.
    #[default]
    Required,
}

impl GenesisFlag {
    /// The flags of our own chain, from height 0.
    pub(super) fn own_chain() -> Vec<Self> {
        let flag = |name: &str| Self {
            name: name.to_owned(),
            value: String::new(),
            from_height: 0,
            scope: GenesisFlagScope::Chain,
            kind: GenesisFlagKind::Required,
        };
        feature::OWN_CHAIN.map(flag).to_vec()
    }

    pub(super) fn to_wire(&self) -> Flag {
        let scope = match self.scope {
            GenesisFlagScope::Chain => FlagScope::Chain,
            GenesisFlagScope::Relay => FlagScope::Relay,
        };
        let kind = match self.kind {
            GenesisFlagKind::Optional => FlagKind::Optional,
            GenesisFlagKind::Required => FlagKind::Required,
        };
        Flag {
            name: self.name.clone(),
            value: self.value.clone(),
            enabled: true,
            from_height: self.from_height,
            scope: scope.into(),
            kind: kind.into(),
        }
    }
}
