//! Comparing what was verified with another node's chain.

use tendermint::Time;

use crate::bisection::Bisection;
use crate::evidence::Attack;
use crate::{Fault, LightBlock, Options};

/// What is wrong with a witness that does not agree, and cannot show another chain either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("witness {witness}: {fault}")]
pub struct WitnessFault {
    /// Index of the witness.
    pub witness: usize,
    /// What it did.
    pub fault: Fault,
}

/// What became of a comparison.
pub(crate) enum Outcome {
    Agrees,
    Attack(Box<Attack>),
    Faulty(Fault),
}

/// A comparison that goes on.
pub(crate) struct Comparison {
    witness: usize,
    stage: Stage,
}

enum Stage {
    /// The witness' header at the place `at` of what was verified is compared; `above` is what it showed one place higher.
    Searching { at: usize, above: Option<LightBlock> },
    /// What it showed at place `at` is verified from the place before, where both have the same header.
    Proving {
        at: usize,
        shown: LightBlock,
        way: Bisection,
    },
}

impl Comparison {
    /// Begins with the newest of `verified`.
    pub(crate) fn new(witness: usize, verified: &[LightBlock]) -> Self {
        Self {
            witness,
            stage: Stage::Searching {
                at: verified.len().saturating_sub(1),
                above: None,
            },
        }
    }

    pub(crate) const fn witness(&self) -> usize {
        self.witness
    }

    /// The height that the witness is asked for.
    pub(crate) fn wants(&self, verified: &[LightBlock]) -> u64 {
        match &self.stage {
            Stage::Searching { at, .. } => verified[*at].height(),
            Stage::Proving { way, shown, .. } => way.wants().unwrap_or_else(|| shown.height()),
        }
    }

    /// Takes the witness' block; `None` when another one is needed.
    pub(crate) fn supply(
        &mut self,
        verified: &[LightBlock],
        block: LightBlock,
        options: &Options,
        now: Time,
    ) -> Option<Outcome> {
        let wanted = self.wants(verified);
        if block.height() != wanted {
            let has = block.height();
            return Some(Outcome::Faulty(Fault::OtherHeight { wanted, has }));
        }
        match &mut self.stage {
            Stage::Searching { at, above } => {
                let agrees = block.hash() == verified[*at].hash();
                match (agrees, above.take()) {
                    (true, None) => Some(Outcome::Agrees),
                    (true, Some(shown)) => {
                        let way = Bisection::new(verified[*at].clone(), shown.height());
                        self.stage = Stage::Proving {
                            at: *at + 1,
                            shown,
                            way,
                        };
                        self.prove(verified, options, now)
                    }
                    (false, _) if *at == 0 => {
                        let text = "it does not have the header that is trusted";
                        Some(Outcome::Faulty(Fault::Invalid(text.into())))
                    }
                    (false, _) => {
                        *at -= 1;
                        *above = Some(block);
                        None
                    }
                }
            }
            Stage::Proving { way, .. } => {
                if let Err(fault) = way.supply(block, options, now) {
                    return Some(Outcome::Faulty(fault));
                }
                self.prove(verified, options, now)
            }
        }
    }

    /// Goes on with what the witness has shown already.
    fn prove(&mut self, verified: &[LightBlock], options: &Options, now: Time) -> Option<Outcome> {
        let Stage::Proving { at, shown, way } = &mut self.stage else {
            return None;
        };
        if way.wants() == Some(shown.height())
            && let Err(fault) = way.supply(shown.clone(), options, now)
        {
            return Some(Outcome::Faulty(fault));
        }
        if way.wants().is_some() {
            return None;
        }
        let attack = Attack::of(self.witness, &verified[*at - 1], &verified[*at], shown);
        Some(Outcome::Attack(Box::new(attack)))
    }
}
