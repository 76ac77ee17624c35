//! Exact arithmetic: whole numbers without bound, fractions of two of them.

use num_bigint::BigInt;

/// Tokens, in upokt.
pub(crate) type Amount = BigInt;

/// A number of tokens.
pub(crate) fn coins(amount: u128) -> Amount {
    Amount::from(amount)
}

/// A non-negative fraction.
#[derive(Clone, Debug)]
pub(crate) struct Ratio {
    top: BigInt,
    bottom: BigInt,
}

impl Ratio {
    /// Reads a decimal such as `0.975`.
    pub(crate) fn decimal(text: &str) -> Self {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let top = format!("{whole}{decimals}").parse().expect("digits");
        let bottom = BigInt::from(10).pow(u32::try_from(decimals.len()).expect("few"));
        Self { top, bottom }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.top == BigInt::ZERO
    }

    pub(crate) fn floor_of(&self, amount: &Amount) -> Amount {
        amount * &self.top / &self.bottom
    }

    pub(crate) fn ceil_of(&self, amount: &Amount) -> Amount {
        let product = amount * &self.top;
        (product + &self.bottom - 1) / &self.bottom
    }

    /// `amount / (1 + self)`, rounded down.
    pub(crate) fn floor_without(&self, amount: &Amount) -> Amount {
        amount * &self.bottom / (&self.top + &self.bottom)
    }
}
