//! What is verified, and by which terms.

use std::time::Duration;

use tendermint::block::signed_header::SignedHeader;
use tendermint::trust_threshold::TrustThresholdFraction;
use tendermint::validator::Set;
use tendermint::{Hash, Time, chain};
use tendermint_light_client_verifier::types::{TrustedBlockState, UntrustedBlockState};
use tendermint_light_client_verifier::{ProdVerifier, Verdict, Verifier as _, options};

use crate::Fault;

/// A header with its commit and the validators around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightBlock {
    /// Header and commit.
    pub signed_header: SignedHeader,
    /// Who committed to it.
    pub validators: Set,
    /// Who commits to the next one.
    pub next_validators: Set,
}

impl LightBlock {
    /// Height of the header.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.signed_header.header.height.value()
    }

    /// Hash of the header, computed.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.signed_header.header.hash()
    }

    /// Time of the header.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.signed_header.header.time
    }

    fn untrusted(&self) -> UntrustedBlockState<'_> {
        UntrustedBlockState {
            signed_header: &self.signed_header,
            validators: &self.validators,
            next_validators: Some(&self.next_validators),
        }
    }

    fn trusted(&self) -> TrustedBlockState<'_> {
        let header = &self.signed_header.header;
        TrustedBlockState {
            chain_id: &header.chain_id,
            header_time: header.time,
            height: header.height,
            next_validators: &self.next_validators,
            next_validators_hash: header.next_validators_hash,
        }
    }

    /// Errs unless it belongs together, and its own validators committed to it: all that can be said of a block by itself.
    pub(crate) fn check(&self, chain_id: &chain::Id) -> Result<(), Fault> {
        let theirs = &self.signed_header.header.chain_id;
        if theirs != chain_id {
            return Err(Fault::Invalid(format!(
                "it is of the chain {theirs}, not {chain_id}"
            )));
        }
        let verifier = ProdVerifier::default();
        let untrusted = self.untrusted();
        for verdict in [
            verifier.verify_validator_sets(&untrusted),
            verifier.verify_commit(&untrusted),
        ] {
            match verdict {
                Verdict::Success => {}
                Verdict::NotEnoughTrust(tally) => return Err(Fault::Invalid(tally.to_string())),
                Verdict::Invalid(reason) => return Err(Fault::Invalid(reason.to_string())),
            }
        }
        Ok(())
    }

    /// Whether it follows from `trusted`; `Ok(false)` when too few of the validators trusted there signed it.
    pub(crate) fn follows(&self, trusted: &Self, options: &Options, now: Time) -> Result<bool, Fault> {
        let verdict = ProdVerifier::default().verify_update_header(
            self.untrusted(),
            trusted.trusted(),
            &options.of_verifier(),
            now,
        );
        match verdict {
            Verdict::Success => Ok(true),
            Verdict::NotEnoughTrust(_) => Ok(false),
            Verdict::Invalid(reason) => Err(Fault::Invalid(reason.to_string())),
        }
    }
}

/// Terms of trust.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a header is trusted after its time: shorter than validators stay punishable.
    pub trusting_period: Duration,
    /// How far a header's time may lie after `now`: clocks differ.
    pub clock_drift: Duration,
    /// Part of the trusted validators that must have signed a header further on.
    pub trust_threshold: TrustThresholdFraction,
}

impl Default for Options {
    /// Two weeks, ten seconds and a third, as CometBFT's light client.
    fn default() -> Self {
        Self {
            trusting_period: Duration::from_secs(14 * 24 * 60 * 60),
            clock_drift: Duration::from_secs(10),
            trust_threshold: TrustThresholdFraction::ONE_THIRD,
        }
    }
}

impl Options {
    const fn of_verifier(&self) -> options::Options {
        options::Options {
            trust_threshold: self.trust_threshold,
            trusting_period: self.trusting_period,
            clock_drift: self.clock_drift,
        }
    }
}
