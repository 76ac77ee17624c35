//! Relays that passed every check and that their client got no answer of: how many, by the refusal that it got instead.

use std::collections::BTreeMap;

use portico_relay::refusal::Reason;
use serde::{Deserialize, Serialize};

/// Relays by the name of their [`Reason`] in the table of refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedBy {
    /// No answer was signed, such as for want of the backend's.
    pub unanswered: BTreeMap<String, u64>,
    /// The answer was signed and its leaf not written, so that it was not sent.
    pub unrecorded: BTreeMap<String, u64>,
}

impl FailedBy {
    /// A relay was refused before an answer was signed.
    pub(crate) fn unanswered(&mut self, reason: Reason) {
        count(&mut self.unanswered, reason);
    }

    /// A relay was refused because its leaf was not written.
    pub(crate) fn unrecorded(&mut self, reason: Reason) {
        count(&mut self.unrecorded, reason);
    }
}

fn count(relays: &mut BTreeMap<String, u64>, reason: Reason) {
    let name = reason.row().name;
    match relays.get_mut(name) {
        Some(relays) => *relays = relays.saturating_add(1),
        None => _ = relays.insert(name.to_owned(), 1),
    }
}

/// Of at most `left` relays, those of each reason; what is over is taken off `left`. Names of a later version's are left out.
pub(crate) fn within(relays: &BTreeMap<String, u64>, left: &mut u64) -> Vec<(Reason, u64)> {
    let known = relays
        .iter()
        .filter_map(|(name, relays)| Some((Reason::named(name)?, *relays)));
    let within = known.map(|(reason, relays)| {
        let relays = relays.min(*left);
        *left = left.saturating_sub(relays);
        (reason, relays)
    });
    within.collect()
}
