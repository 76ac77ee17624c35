//! Who serves whom: a session's id and suppliers, re-derived.

use sha2::Sha256;
use sha3::{Digest, Sha3_256};

use crate::model::{App, Model, Refusal, no, session_end, session_start};

/// Hash of the block at `height`.
pub(crate) fn block_hash(height: i64) -> [u8; 32] {
    Sha256::digest(format!("oracle block {height}")).into()
}

fn preimage(app: &str, service: &str, start: i64) -> Vec<u8> {
    let hash = block_hash(start);
    let parts: [&[u8]; 4] = [&hash, service.as_bytes(), app.as_bytes(), &start.to_le_bytes()];
    parts.join(&b'.')
}

pub(crate) fn session_id(app: &str, service: &str, start: i64) -> String {
    hex::encode(Sha3_256::digest(preimage(app, service, start)))
}

impl App {
    pub(crate) fn active(&self, session_end: i64) -> bool {
        match (self.unstakes, &self.moves) {
            (0, None) => true,
            (0, Some((_, last))) => session_end <= *last,
            (last, _) => session_end <= last,
        }
    }

    pub(crate) fn serves(&self, service: &str, height: i64) -> bool {
        if self.history.is_empty() {
            return self.services.iter().any(|one| one == service);
        }
        let holds = |from: i64, until: i64| from <= height && (until == 0 || height < until);
        self.history
            .iter()
            .any(|(one, from, until)| one == service && holds(*from, *until))
    }
}

impl Model {
    /// Suppliers of the session of (application, service) that contains `height`.
    pub(crate) fn session(&self, app: &str, service: &str, height: i64) -> Result<Vec<String>, Refusal> {
        // The hash of a session's first block is known once that block is done.
        let done = self.height - i64::from(self.executing);
        if height > self.height || session_start(height) > done {
            return no("session", 1101);
        }
        let Some(staked) = self.apps.get(app) else {
            return no("session", 1102);
        };
        if !staked.active(session_end(height)) {
            return no("session", 1109);
        }
        if !staked.serves(service, height) {
            return no("session", 1103);
        }
        let mut candidates = Vec::new();
        for (operator, supplier) in &self.suppliers {
            for offer in &supplier.offers {
                if offer.service == service && offer.holds(height) {
                    candidates.push((offer.from, operator.clone()));
                }
            }
        }
        candidates.sort();
        if candidates.is_empty() {
            return no("session", 1104);
        }
        let mut operators: Vec<String> = candidates.into_iter().map(|(_, operator)| operator).collect();
        if operators.len() >= self.params.num_suppliers {
            let seed = preimage(app, service, session_start(height));
            operators.sort_by_cached_key(|operator| {
                let digest = Sha3_256::digest([&seed, ".".as_bytes(), operator.as_bytes()].concat());
                let weight = i64::from_be_bytes(digest[..8].try_into().expect("8 bytes"));
                (weight, operator.clone())
            });
            operators.truncate(self.params.num_suppliers);
        }
        Ok(operators)
    }

    /// Who may sign relays of an application in the session that ends at `end`.
    pub(crate) fn ring(&self, app: &str, end: i64) -> Vec<String> {
        let mut ring = vec![app.to_owned()];
        if let Some(staked) = self.apps.get(app) {
            ring.extend(staked.gateways.iter().cloned());
            ring.extend(
                staked
                    .left
                    .range(end..)
                    .flat_map(|(_, left)| left.iter().cloned()),
            );
        }
        ring
    }
}
