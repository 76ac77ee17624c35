//! Which claims a supplier can pay for. Pure: balance, prices and sessions go in.
//!
//! A claim that the chain asks a proof of, and that is not proved, costs stake. So what a proof costs is set aside for every claim that may still
//! be asked for one, and a claim is sent only when what is left pays for it and for its proof. Proofs are never held back.
//!
//! ```text
//! balance = proofs that are or may be asked for + claims being sent + left for new claims, the most valuable first
//! ```

use std::cmp::Reverse;

use portico_protocol::Upokt;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::proof::Params;

use crate::session::record::SessionRecord;
use crate::session::stage::Stage;

/// What is certain, in millionths.
const CERTAIN: u128 = 1_000_000;

/// What a supplier's account holds, and what the chain takes from it.
#[derive(Clone, Debug)]
pub(crate) struct Funds {
    pub(crate) balance: Upokt,
    pub(crate) params: Params,
}

/// Fees that transactions offer, for each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fees {
    pub(crate) claim: Upokt,
    pub(crate) proof: Upokt,
}

/// What claims and proofs cost a supplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Costs {
    claim: u128,
    /// The transaction's fee and the chain's own for a proof.
    proof: u128,
    /// Worth from which on a proof is always asked for.
    threshold: u128,
    /// How probable it is below that, in millionths, rounded up.
    probability: u128,
}

/// What to do about a claim that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// It costs more than it is worth to the operator.
    Unprofitable {
        /// What it costs on average.
        cost: Upokt,
    },
    /// The account cannot pay for it and for the proofs that come before it.
    Unfunded {
        /// What the account would have to hold for all that is under way and this claim.
        needed: Upokt,
    },
}

impl Costs {
    pub(crate) fn new(fees: Fees, params: &Params) -> Self {
        Self {
            claim: fees.claim.0,
            proof: fees
                .proof
                .0
                .saturating_add(amount(params.proof_submission_fee.as_ref())),
            threshold: amount(params.proof_requirement_threshold.as_ref()),
            probability: millionths(params.proof_request_probability),
        }
    }

    /// How probable it is that a claim of `worth` is asked for a proof, in millionths.
    const fn chance(&self, worth: Upokt) -> u128 {
        if worth.0 >= self.threshold {
            CERTAIN
        } else {
            self.probability
        }
    }

    /// What a claim of `worth` costs on average, rounded up.
    fn expected(&self, worth: Upokt) -> u128 {
        let proof = self.proof.saturating_mul(self.chance(worth)).div_ceil(CERTAIN);
        self.claim.saturating_add(proof)
    }

    /// What is set aside for the proof of a claim of `worth` that was not drawn yet.
    const fn reserve(&self, worth: Upokt) -> u128 {
        if self.chance(worth) > 0 { self.proof } else { 0 }
    }

    /// What the session of `record` may still cost. `is_sent` says that its claim is on its way, or in a transaction that is being made.
    pub(crate) fn outstanding(&self, record: &SessionRecord, is_sent: bool) -> u128 {
        let worth = record.seal.map_or(Upokt(0), |seal| seal.worth);
        match record.stage {
            Stage::Sealed | Stage::ClaimSent if is_sent => self.claim.saturating_add(self.reserve(worth)),
            Stage::ClaimOnChain => self.reserve(worth),
            Stage::ProofRequired | Stage::ProofSent => self.proof,
            _ => 0,
        }
    }

    /// What an account has to hold for `outstanding` and for a claim with its proof in each of so many sessions.
    pub(crate) const fn needed(&self, outstanding: u128, sessions: u128) -> Upokt {
        let each = self.claim.saturating_add(self.proof);
        let needed = outstanding.saturating_add(each.saturating_mul(sessions));
        // The chain takes a proof of an account only that holds more than the fee.
        Upokt(needed.saturating_add(1))
    }

    /// Decides about claims that are due, by session and worth: the most valuable ones come first. `outstanding` is what others may still
    /// cost; a claim worth less than `min_value_percent` of its average cost is not sent.
    pub(crate) fn choose(
        &self,
        balance: Upokt,
        outstanding: u128,
        mut due: Vec<(u64, Upokt)>,
        min_value_percent: u32,
    ) -> Vec<(u64, Verdict)> {
        due.sort_by_key(|(index, worth)| (Reverse(*worth), *index));
        let mut taken = outstanding;
        let decide = |(index, worth): (u64, Upokt)| {
            let expected = self.expected(worth);
            let asked = expected.saturating_mul(u128::from(min_value_percent));
            if worth.0.saturating_mul(100) < asked {
                let cost = Upokt(expected);
                return (index, Verdict::Unprofitable { cost });
            }
            let reserve = self.reserve(worth);
            // The chain takes a proof of an account only that holds more than the fee, also when there is none.
            let more = u128::from(self.chance(worth) > 0);
            let then = taken.saturating_add(self.claim).saturating_add(reserve);
            let needed = then.saturating_add(more);
            if needed > balance.0 {
                let needed = Upokt(needed);
                return (index, Verdict::Unfunded { needed });
            }
            taken = then;
            (index, Verdict::Send)
        };
        due.into_iter().map(decide).collect()
    }
}

fn amount(coin: Option<&Coin>) -> u128 {
    let upokt = coin.and_then(|coin| Upokt::try_from(coin).ok());
    upokt.unwrap_or_default().0
}

/// A probability in millionths, rounded up; what is none counts as certain.
fn millionths(probability: f64) -> u128 {
    if !(0.0..=1.0).contains(&probability) {
        return CERTAIN;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a million"
    )]
    let millionths = (probability * 1e6).ceil() as u128;
    millionths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lifecycle::next::tests::{record, sealed};

    fn costs(claim: u128, proof: u128, threshold: u128, probability: f64) -> Costs {
        let params = Params {
            proof_request_probability: probability,
            proof_requirement_threshold: Some(Upokt(threshold).into()),
            proof_submission_fee: Some(Upokt(proof).into()),
            ..Params::default()
        };
        let fees = Fees {
            claim: Upokt(claim),
            proof: Upokt(0),
        };
        Costs::new(fees, &params)
    }

    fn worths(worths: &[u128]) -> Vec<(u64, Upokt)> {
        (0..).zip(worths.iter().map(|worth| Upokt(*worth))).collect()
    }

    #[test]
    fn the_most_valuable_claims_are_paid_for_first() {
        let costs = costs(2, 100, 1_000, 0.01);
        let due = worths(&[500, 900, 700]);
        let verdicts = costs.choose(Upokt(205), 0, due, 100);
        let needed = Upokt(307);
        assert_eq!(
            verdicts,
            [
                (1, Verdict::Send),
                (2, Verdict::Send),
                (0, Verdict::Unfunded { needed })
            ]
        );
    }

    #[test]
    fn the_last_upokt_stays_because_the_chain_wants_more_than_the_fee() {
        let costs = costs(2, 100, 1_000, 0.01);
        let due = worths(&[500]);
        let needed = Upokt(103);
        assert_eq!(
            costs.choose(Upokt(102), 0, due.clone(), 100),
            [(0, Verdict::Unfunded { needed })]
        );
        assert_eq!(costs.choose(needed, 0, due, 100), [(0, Verdict::Send)]);
    }

    #[test]
    fn what_proofs_may_cost_is_set_aside() {
        let costs = costs(2, 100, 1_000, 0.01);
        let at = |stage| {
            let record = SessionRecord {
                stage,
                seal: Some(sealed()),
                ..record()
            };
            (
                costs.outstanding(&record, false),
                costs.outstanding(&record, true),
            )
        };
        assert_eq!(at(Stage::Sealed), (0, 102));
        assert_eq!(at(Stage::ClaimSent), (0, 102));
        assert_eq!(at(Stage::ClaimOnChain), (100, 100));
        assert_eq!(at(Stage::ProofRequired), (100, 100));
        assert_eq!(at(Stage::ProofSent), (100, 100));
        assert_eq!(at(Stage::ProofNotRequired), (0, 0));
        assert_eq!(at(Stage::ProofOnChain), (0, 0));
        let due = worths(&[500]);
        assert_eq!(
            costs.choose(Upokt(203), 100, due.clone(), 100),
            [(0, Verdict::Send)]
        );
        assert!(matches!(
            costs.choose(Upokt(202), 100, due, 100)[..],
            [(0, Verdict::Unfunded { .. })]
        ));
    }

    #[test]
    fn a_claim_has_to_be_worth_its_average_cost() {
        // 2 for the claim, and the hundredth part of 1,000 for a proof.
        let costs = costs(2, 1_000, 5_000, 0.01);
        let cost = Upokt(12);
        let decide = |worth, percent| costs.choose(Upokt(10_000), 0, worths(&[worth]), percent);
        assert_eq!(decide(11, 100), [(0, Verdict::Unprofitable { cost })]);
        assert_eq!(decide(12, 100), [(0, Verdict::Send)]);
        assert_eq!(decide(23, 200), [(0, Verdict::Unprofitable { cost })]);
        assert_eq!(decide(1, 0), [(0, Verdict::Send)], "every claim");
        // From the threshold on the proof is certain.
        let certain = self::costs(2, 1_000, 900, 0.01);
        let cost = Upokt(1_002);
        assert_eq!(
            certain.choose(Upokt(10_000), 0, worths(&[950]), 100),
            [(0, Verdict::Unprofitable { cost })]
        );
    }

    #[test]
    fn nothing_is_set_aside_where_no_proof_can_be_asked_for() {
        let costs = costs(2, 1_000, 5_000, 0.0);
        assert_eq!(
            costs.choose(Upokt(2), 0, worths(&[40]), 100),
            [(0, Verdict::Send)]
        );
    }

    #[test]
    fn odd_probabilities_are_rounded_to_the_safe_side() {
        assert_eq!(millionths(1e-9), 1);
        assert_eq!(millionths(0.25), 250_000);
        assert_eq!(millionths(f64::NAN), CERTAIN);
        assert_eq!(millionths(7.0), CERTAIN);
    }

    proptest! {
        /// Whatever is due, the balance pays for all that is sent, with the proof of each, and of two claims with the same chance of a proof
        /// the more valuable one is sent.
        #[test]
        fn what_is_sent_is_paid_for(
            balance in 0_u128..2_000,
            outstanding in 0_u128..500,
            due in prop::collection::vec(0_u128..2_000, 0..12),
            (claim, proof, threshold) in (0_u128..20, 0_u128..300, 0_u128..2_000),
            probability in 0.0..=1.0_f64,
        ) {
            let costs = costs(claim, proof, threshold, probability);
            let verdicts = costs.choose(Upokt(balance), outstanding, worths(&due), 100);
            prop_assert_eq!(verdicts.len(), due.len());
            let sent = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Send);
            let sent: Vec<u128> = sent.map(|(index, _)| due[usize::try_from(*index).unwrap()]).collect();
            let spent: u128 = sent.iter().map(|worth| claim + costs.reserve(Upokt(*worth))).sum();
            prop_assert!(sent.is_empty() || outstanding + spent <= balance);
            for (index, verdict) in &verdicts {
                let worth = due[usize::try_from(*index).unwrap()];
                if matches!(verdict, Verdict::Unfunded { .. }) {
                    let same = |other: &&u128| costs.chance(Upokt(**other)) == costs.chance(Upokt(worth));
                    prop_assert!(sent.iter().filter(same).all(|other| *other >= worth));
                }
            }
        }
    }
}
