//! What relays should cost and bring, by arithmetic that shares nothing with the chain's own.
//!
//! ```text
//! relays × units ─► claimed ─┬─► leaves the application's stake, is minted anew, split in shares       (relay burn equals mint)
//!                            ├─► inflation: minted on top, split in shares                             (global mint)
//!                            └─► inflation once more: from the application's stake to the DAO          (reimbursement)
//! ```
//! Every share is rounded down; what rounding leaves over goes to the DAO.

use anyhow::{Context, Result, ensure};
use portico_protocol::wire::pocket::{shared, tokenomics};

/// A fraction, read from the shortest decimal text of a param: 0.15 is 15/100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    numerator: u128,
    denominator: u128,
}

impl Share {
    /// Reads `value`; errs when it is negative, not finite, or too fine for exact arithmetic.
    pub(super) fn of(value: f64) -> Result<Self> {
        let text = value.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 18);
        let denominator = 10_u128.pow(digits.with_context(|| format!("{text} has too many digits"))?);
        let numerator = format!("{whole}{fraction}").parse();
        Ok(Self {
            numerator: numerator.with_context(|| format!("{text} is not a share"))?,
            denominator,
        })
    }

    fn floor(self, amount: u128) -> u128 {
        amount * self.numerator / self.denominator
    }

    fn ceil(self, amount: u128) -> u128 {
        (amount * self.numerator).div_ceil(self.denominator)
    }
}

/// How minted tokens are split; the DAO's own share is what the others leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    proposer: Share,
    supplier: Share,
    source_owner: Share,
    application: Share,
}

/// Prices and shares in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    multiplier: u128,
    granularity: u128,
    inflation: Share,
    mint_ratio: Share,
    burn_split: Split,
    mint_split: Split,
}

impl Rates {
    /// Reads the params; errs when they are incomplete.
    pub(super) fn of(shared: &shared::Params, tokenomics: &tokenomics::Params) -> Result<Self> {
        let burn = tokenomics
            .mint_equals_burn_claim_distribution
            .as_ref()
            .context("no claim distribution")?;
        let mint = tokenomics
            .mint_allocation_percentages
            .as_ref()
            .context("no mint allocation")?;
        ensure!(
            shared.compute_unit_cost_granularity > 0,
            "the granularity of prices is 0"
        );
        Ok(Self {
            multiplier: shared.compute_units_to_tokens_multiplier.into(),
            granularity: shared.compute_unit_cost_granularity.into(),
            inflation: Share::of(tokenomics.global_inflation_per_claim)?,
            mint_ratio: Share::of(tokenomics.mint_ratio)?,
            burn_split: Split::of(burn.proposer, burn.supplier, burn.source_owner, burn.application)?,
            mint_split: Split::of(mint.proposer, mint.supplier, mint.source_owner, mint.application)?,
        })
    }
}

impl Split {
    fn of(proposer: f64, supplier: f64, source_owner: f64, application: f64) -> Result<Self> {
        Ok(Self {
            proposer: Share::of(proposer)?,
            supplier: Share::of(supplier)?,
            source_owner: Share::of(source_owner)?,
            application: Share::of(application)?,
        })
    }

    fn give(self, amount: u128, to: &mut Rewards) {
        let shares = [self.proposer, self.supplier, self.source_owner, self.application];
        let [proposer, supplier, source_owner, application] = shares.map(|share| share.floor(amount));
        to.validator += proposer;
        to.supplier += supplier;
        to.source_owner += source_owner;
        to.application += application;
        to.dao += amount - proposer - supplier - source_owner - application;
    }
}

/// Who receives how many upokt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewards {
    /// The DAO.
    pub(super) dao: u128,
    /// The proposer: on a local network its only validator.
    pub(super) validator: u128,
    /// The supplier's shareholders.
    pub(super) supplier: u128,
    /// The owner of the service.
    pub(super) source_owner: u128,
    /// The application.
    pub(super) application: u128,
}

/// The money of one claim, in upokt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClaimMoney {
    /// Compute units.
    pub(super) compute_units: u128,
    /// What the claim is worth: settled in full, since the applications of a local network can pay.
    pub(super) claimed: u128,
    /// What is minted for it, without inflation.
    pub(super) minted: u128,
    /// What leaves the application's stake.
    pub(super) paid: u128,
    /// By how much the total supply grows (or shrinks, when less is minted than burned).
    pub(super) supply_change: i128,
    /// Who receives it.
    pub(super) rewards: Rewards,
}

impl ClaimMoney {
    /// The money of a claim of `relays` relays that weigh `units` each; every relay is a leaf (base difficulty).
    pub(super) fn of(relays: u64, units: u64, rates: &Rates) -> Self {
        let compute_units = u128::from(relays) * u128::from(units);
        let claimed = compute_units * rates.multiplier / rates.granularity;
        Self::settled(compute_units, claimed, rates)
    }

    fn settled(compute_units: u128, claimed: u128, rates: &Rates) -> Self {
        let minted = rates.mint_ratio.floor(claimed);
        let inflation = rates.inflation.ceil(claimed);
        let mut rewards = Rewards::default();
        rates.burn_split.give(minted, &mut rewards);
        rates.mint_split.give(inflation, &mut rewards);
        rewards.dao += inflation;
        Self {
            compute_units,
            claimed,
            minted,
            paid: claimed + inflation,
            supply_change: (minted + inflation).cast_signed() - claimed.cast_signed(),
            rewards,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClaimMoney, Rates, Rewards, Share, Split};

    /// The network's defaults.
    fn rates(inflation: f64, mint_ratio: f64) -> Rates {
        let split = Split::of(0.05, 0.7, 0.15, 0.0).unwrap();
        Rates {
            multiplier: 42_000_000,
            granularity: 1_000_000,
            inflation: Share::of(inflation).unwrap(),
            mint_ratio: Share::of(mint_ratio).unwrap(),
            burn_split: split,
            mint_split: split,
        }
    }

    #[test]
    fn a_share_is_the_decimal_that_people_wrote() {
        assert_eq!(
            Share::of(0.975).unwrap(),
            Share {
                numerator: 975,
                denominator: 1000
            }
        );
        assert_eq!(
            Share::of(1e-6).unwrap(),
            Share {
                numerator: 1,
                denominator: 1_000_000
            }
        );
        assert_eq!(
            Share::of(1.0).unwrap(),
            Share {
                numerator: 1,
                denominator: 1
            }
        );
        assert!(Share::of(-0.1).is_err() && Share::of(f64::NAN).is_err());
    }

    /// `tokenomics.json` of poktroll 0.1.35: `settlement`, "one supplier, within limits" (100 relays of 3 units).
    #[test]
    fn a_settlement_of_the_go_implementation_agrees() {
        let money = ClaimMoney::of(100, 3, &rates(0.1, 1.0));
        assert_eq!(
            (money.compute_units, money.claimed, money.paid),
            (300, 12_600, 13_860)
        );
        let rewards = Rewards {
            dao: 2646,
            validator: 693,
            supplier: 9702,
            source_owner: 2079,
            application: 0,
        };
        assert_eq!(money.rewards, rewards);
        assert_eq!(money.supply_change, 1260);
    }

    /// `tokenomics.json` of poktroll 0.1.35: `token_logic` with params 0, settlements 1 and 99.
    #[test]
    fn what_rounding_leaves_over_goes_to_the_dao() {
        let rates = rates(0.1, 1.0);
        let one = ClaimMoney::settled(1, 1, &rates);
        assert_eq!(
            (one.paid, one.rewards),
            (
                2,
                Rewards {
                    dao: 3,
                    ..Rewards::default()
                }
            )
        );
        let odd = ClaimMoney::settled(99, 99, &rates);
        let rewards = Rewards {
            dao: 24,
            validator: 4,
            supplier: 76,
            source_owner: 15,
            application: 0,
        };
        assert_eq!((odd.paid, odd.rewards), (109, rewards));
    }

    #[test]
    fn a_mint_ratio_below_one_shrinks_the_supply() {
        let money = ClaimMoney::settled(1000, 1000, &rates(0.0, 0.975));
        assert_eq!((money.paid, money.supply_change), (1000, -25));
    }

    #[test]
    fn all_that_is_paid_or_minted_is_received() {
        for relays in [1, 7, 50, 99, 12_345] {
            let money = ClaimMoney::of(relays, 7, &rates(0.1, 1.0));
            let Rewards {
                dao,
                validator,
                supplier,
                source_owner,
                application,
            } = money.rewards;
            let received = (dao + validator + supplier + source_owner + application).cast_signed();
            assert_eq!(received, money.paid.cast_signed() + money.supply_change);
        }
    }
}
