//! Arithmetic of a distribution: exact fractions, floors, and where remainders go.

use portico_protocol::Upokt;
use portico_protocol::wire::pocket::shared::ServiceRevenueShare;

use crate::error::{Fault, refuse};

/// A non-negative rational number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction {
    numerator: u128,
    denominator: u128,
}

impl Fraction {
    /// The shortest decimal that reads back as this double, exactly: 0.1 is 1/10. Errs for negative, infinite or absurdly fine numbers.
    pub(crate) fn of(value: f64) -> Result<Self, Fault> {
        let fault = || {
            refuse(
                super::MODULE,
                1108,
                format!("{value} is not a fraction that can be computed with"),
            )
        };
        let text = value.to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let scale = u32::try_from(decimals.len())
            .ok()
            .filter(|scale| *scale <= 18)
            .ok_or_else(fault)?;
        let numerator = format!("{whole}{decimals}").parse().map_err(|_| fault())?;
        Ok(Self {
            numerator,
            denominator: 10_u128.pow(scale),
        })
    }

    /// floor(amount · self).
    pub(crate) fn floor_of(self, amount: Upokt) -> Result<Upokt, Fault> {
        Ok(Upokt(self.product(amount)? / self.denominator))
    }

    /// ceil(amount · self).
    pub(crate) fn ceil_of(self, amount: Upokt) -> Result<Upokt, Fault> {
        Ok(Upokt(self.product(amount)?.div_ceil(self.denominator)))
    }

    /// floor(amount / (1 + self)).
    pub(crate) fn floor_without(self, amount: Upokt) -> Result<Upokt, Fault> {
        let whole = self
            .denominator
            .checked_add(self.numerator)
            .ok_or_else(too_large)?;
        let scaled = amount.0.checked_mul(self.denominator).ok_or_else(too_large)?;
        Ok(Upokt(scaled / whole))
    }

    fn product(self, amount: Upokt) -> Result<u128, Fault> {
        amount.0.checked_mul(self.numerator).ok_or_else(too_large)
    }
}

fn too_large() -> Fault {
    refuse(super::MODULE, 1117, "amount is beyond what can be computed with")
}

/// Parts of one mint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) supplier: Upokt,
    pub(crate) proposer: Upokt,
    pub(crate) source_owner: Upokt,
    pub(crate) application: Upokt,
    /// Its share and what rounding left.
    pub(crate) dao: Upokt,
}

/// Shares of a mint in the order supplier, proposer, source owner, application; the DAO gets the rest.
pub(crate) fn split(
    total: Upokt,
    [supplier, proposer, source_owner, application]: [f64; 4],
) -> Result<Parts, Fault> {
    let part = |share: f64| Fraction::of(share)?.floor_of(total);
    let (supplier, proposer) = (part(supplier)?, part(proposer)?);
    let (source_owner, application) = (part(source_owner)?, part(application)?);
    let given = supplier.0 + proposer.0 + source_owner.0 + application.0;
    let dao = total
        .0
        .checked_sub(given)
        .ok_or_else(|| refuse(super::MODULE, 1116, "shares add up to more than 1"))?;
    Ok(Parts {
        supplier,
        proposer,
        source_owner,
        application,
        dao: Upokt(dao),
    })
}

/// A supplier's reward by revenue share: floors, the remainder to the first.
pub(crate) fn shareholders(
    total: Upokt,
    shares: &[ServiceRevenueShare],
) -> Result<Vec<(String, Upokt)>, Fault> {
    let mut amounts = Vec::with_capacity(shares.len());
    let mut given = 0_u128;
    for share in shares {
        let part = total
            .0
            .checked_mul(share.rev_share_percentage.into())
            .ok_or_else(too_large)?
            / 100;
        given += part;
        amounts.push((share.address.clone(), Upokt(part)));
    }
    let rest = total
        .0
        .checked_sub(given)
        .ok_or_else(|| refuse(super::MODULE, 1116, "shares exceed 100 percent"))?;
    if let Some(first) = amounts.first_mut() {
        first.1.0 += rest;
    }
    Ok(amounts)
}

/// Splits by weight with the largest remainder; ties go to the earlier. An empty or weightless list takes nothing.
pub(crate) fn by_weight(total: Upokt, weights: &[(String, u128)]) -> Result<Vec<(String, Upokt)>, Fault> {
    let sum: u128 = weights.iter().map(|(_, weight)| weight).sum();
    if sum == 0 {
        return Ok(Vec::new());
    }
    let mut parts = Vec::with_capacity(weights.len());
    for (index, (account, weight)) in weights.iter().enumerate() {
        let product = total.0.checked_mul(*weight).ok_or_else(too_large)?;
        parts.push((product % sum, index, account.clone(), product / sum));
    }
    let given: u128 = parts.iter().map(|(.., part)| part).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(parts[*index].0), parts[*index].1));
    for index in order
        .into_iter()
        .take(usize::try_from(total.0 - given).unwrap_or(usize::MAX))
    {
        parts[index].3 += 1;
    }
    Ok(parts
        .into_iter()
        .map(|(_, _, account, part)| (account, Upokt(part)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_doubles_as_their_shortest_decimals() {
        assert_eq!(
            Fraction::of(0.1).unwrap(),
            Fraction {
                numerator: 1,
                denominator: 10
            }
        );
        assert_eq!(
            Fraction::of(0.975).unwrap(),
            Fraction {
                numerator: 975,
                denominator: 1000
            }
        );
        assert_eq!(Fraction::of(1.0).unwrap().floor_of(Upokt(7)).unwrap(), Upokt(7));
        assert_eq!(Fraction::of(1e-6).unwrap().ceil_of(Upokt(1)).unwrap(), Upokt(1));
        assert!(Fraction::of(-0.1).is_err() && Fraction::of(f64::NAN).is_err());
    }

    #[test]
    fn gives_every_upokt_to_somebody() {
        let parts = split(Upokt(2), [0.7, 0.05, 0.15, 0.0]).unwrap();
        assert_eq!(
            (parts.supplier, parts.proposer, parts.dao),
            (Upokt(1), Upokt(0), Upokt(1))
        );
        let weights = [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1)];
        let parts: Vec<u128> = by_weight(Upokt(5), &weights)
            .unwrap()
            .into_iter()
            .map(|(_, part)| part.0)
            .collect();
        assert_eq!(parts, [2, 2, 1]);
    }
}
