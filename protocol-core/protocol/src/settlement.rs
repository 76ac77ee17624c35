//! Settlement arithmetic: exact fractions, what a mint is split into, and where remainders go.
//!
//! Shares are doubles in the network's params and become rationals through their shortest decimal text, so that 0.1 is one tenth.
//! Parts are rounded down; what rounding leaves has one owner each time, named below.

use std::collections::BTreeMap;

use crate::types::Upokt;
use crate::wire::pocket::shared::ServiceRevenueShare;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;

/// Why an amount cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettlementError {
    /// Negative, infinite, or with more decimals than the arithmetic holds.
    #[error("{0} is not a fraction that can be computed with")]
    Fraction(f64),
    /// A product left its range.
    #[error("amount is beyond what can be computed with")]
    Range,
    /// Parts of a mint exceed it.
    #[error("shares add up to more than 1")]
    Shares,
    /// A supplier's revenue shares cannot be paid.
    #[error("{0}")]
    RevShare(String),
}

/// Most decimals of a fraction; a double's shortest text has at most 17 significant digits.
const MAX_DECIMALS: usize = 18;

/// A non-negative rational number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    numerator: u128,
    denominator: u128,
}

impl Fraction {
    /// The shortest decimal that reads back as this double, exactly: 0.1 is 1/10 (`pkg/encoding`, `Float64ToRat`).
    pub fn of(value: f64) -> Result<Self, SettlementError> {
        Self::of_decimal(&value.to_string()).ok_or(SettlementError::Fraction(value))
    }

    /// A decimal number such as `0.05`; `None` when it is not one or is too fine.
    #[must_use]
    pub fn of_decimal(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let scale = u32::try_from(decimals.len())
            .ok()
            .filter(|_| decimals.len() <= MAX_DECIMALS)?;
        let digits = format!("{whole}{decimals}");
        let numerator = digits
            .bytes()
            .all(|c| c.is_ascii_digit())
            .then(|| digits.parse().ok())??;
        Some(Self {
            numerator,
            denominator: 10_u128.pow(scale),
        })
    }

    /// Whether the fraction is 0.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.numerator == 0
    }

    /// floor(amount · self).
    #[expect(clippy::arithmetic_side_effects, reason = "denominators are powers of ten")]
    pub fn floor_of(self, amount: Upokt) -> Result<Upokt, SettlementError> {
        Ok(Upokt(self.product(amount)? / self.denominator))
    }

    /// ceil(amount · self).
    pub fn ceil_of(self, amount: Upokt) -> Result<Upokt, SettlementError> {
        Ok(Upokt(self.product(amount)?.div_ceil(self.denominator)))
    }

    /// floor(amount / (1 + self)): what an amount can settle when the inflation of it must be paid too.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the divisor is at least the denominator"
    )]
    pub fn floor_without(self, amount: Upokt) -> Result<Upokt, SettlementError> {
        let whole = self
            .denominator
            .checked_add(self.numerator)
            .ok_or(SettlementError::Range)?;
        let scaled = amount
            .0
            .checked_mul(self.denominator)
            .ok_or(SettlementError::Range)?;
        Ok(Upokt(scaled / whole))
    }

    fn product(self, amount: Upokt) -> Result<u128, SettlementError> {
        amount.0.checked_mul(self.numerator).ok_or(SettlementError::Range)
    }
}

/// Shares of a mint, each between 0 and 1; the DAO's is what the others leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Supplier's shareholders.
    pub supplier: f64,
    /// Validators and their delegators.
    pub proposer: f64,
    /// Owner of the service.
    pub source_owner: f64,
    /// The application itself.
    pub application: f64,
}

/// Parts of one mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `Shares`
pub struct Parts {
    pub supplier: Upokt,
    pub proposer: Upokt,
    pub source_owner: Upokt,
    pub application: Upokt,
    /// The DAO's share and all that rounding left.
    pub dao: Upokt,
}

/// Splits a mint: each share rounded down, the rest to the DAO.
pub fn split(total: Upokt, shares: &Shares) -> Result<Parts, SettlementError> {
    let part = |share: f64| Fraction::of(share)?.floor_of(total);
    let (supplier, proposer) = (part(shares.supplier)?, part(shares.proposer)?);
    let (source_owner, application) = (part(shares.source_owner)?, part(shares.application)?);
    let mut rest = total.0;
    for given in [supplier, proposer, source_owner, application] {
        rest = rest.checked_sub(given.0).ok_or(SettlementError::Shares)?;
    }
    Ok(Parts {
        supplier,
        proposer,
        source_owner,
        application,
        dao: Upokt(rest),
    })
}

/// A supplier's reward by revenue share: each rounded down, the remainder to the first; listed by address, without zeros.
///
/// Errs for an empty list, an address listed twice, or percentages that do not add up to 100
/// (`x/tokenomics/token_logic_module/distribution_supplier.go`).
#[expect(
    clippy::arithmetic_side_effects,
    reason = "parts and rest add up to the total"
)]
pub fn shareholders(
    total: Upokt,
    shares: &[ServiceRevenueShare],
) -> Result<Vec<(String, Upokt)>, SettlementError> {
    let first = shares
        .first()
        .ok_or_else(|| SettlementError::RevShare("empty revshare list".into()))?;
    let mut amounts: BTreeMap<&str, u128> = BTreeMap::new();
    let (mut rest, mut percent) = (total.0, 0_u64);
    for share in shares {
        percent = percent.saturating_add(share.rev_share_percentage);
        let product = total.0.checked_mul(share.rev_share_percentage.into());
        let part = product.ok_or(SettlementError::Range)? / 100;
        rest = rest.saturating_sub(part);
        if amounts.insert(&share.address, part).is_some() {
            let text = format!("duplicate revshare recipient address: {:?}", share.address);
            return Err(SettlementError::RevShare(text));
        }
    }
    if percent != 100 {
        let text = format!("revshare percentage sum {percent} != required 100");
        return Err(SettlementError::RevShare(text));
    }
    *amounts.entry(&first.address).or_default() += rest;
    let amounts = amounts.into_iter().filter(|(_, part)| *part > 0);
    Ok(amounts.map(|(to, part)| (to.to_owned(), Upokt(part))).collect())
}

/// Splits by weight with the largest remainder; ties go to the earlier address. Nobody has anything of an amount without weights.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the sum is not 0; parts and rest add up to the total"
)]
pub fn by_weight(
    total: Upokt,
    weights: &BTreeMap<String, u128>,
) -> Result<BTreeMap<String, Upokt>, SettlementError> {
    let mut sum = 0_u128;
    for weight in weights.values() {
        sum = sum.checked_add(*weight).ok_or(SettlementError::Range)?;
    }
    if sum == 0 {
        return Ok(BTreeMap::new());
    }
    let mut parts = BTreeMap::new();
    let mut remainders = Vec::with_capacity(weights.len());
    let mut rest = total.0;
    for (address, weight) in weights {
        let product = total.0.checked_mul(*weight).ok_or(SettlementError::Range)?;
        rest -= product / sum;
        parts.insert(address.clone(), Upokt(product / sum));
        remainders.push((std::cmp::Reverse(product % sum), address));
    }
    remainders.sort_unstable();
    // The remainders add up to `rest` times the sum of weights, so fewer than all get one more.
    let more = usize::try_from(rest).map_err(|_| SettlementError::Range)?;
    for (_, address) in remainders.into_iter().take(more) {
        if let Some(part) = parts.get_mut(address) {
            part.0 += 1;
        }
    }
    Ok(parts)
}
