//! One verification, from the anchor to the target and past all witnesses.

use tendermint::{Hash, Time, chain};

use crate::bisection::Bisection;
use crate::evidence::Attack;
use crate::witness::{Comparison, Outcome, WitnessFault};
use crate::{Fault, LightBlock, Options};

/// The header that trust begins with; a user has it from somebody that he trusts, or from an earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Chain id.
    pub chain_id: chain::Id,
    /// Height.
    pub height: u64,
    /// Hash of the header.
    pub hash: Hash,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one whose chain is followed.
    Primary,
    /// One that is asked whether it has the same chain, by index.
    Witness(usize),
}

/// What a session needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The block at `height` as that node has it: for [`Session::supply`], or [`Session::missing`] when there is none.
    Fetch {
        /// Whom to ask.
        from: Source,
        /// Height to ask for.
        height: u64,
    },
    /// Nothing more: [`Session::finish`].
    Done,
}

/// Why the target is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target is below the anchor.
    #[error("height {target} lies before {anchor}, which is trusted; choose an older header to trust")]
    BeforeAnchor {
        /// Height that was asked for.
        target: u64,
        /// Height of the anchor.
        anchor: u64,
    },
    /// The primary's chain does not verify.
    #[error("the primary's block {height}: {fault}")]
    Primary {
        /// Height that it was asked for.
        height: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// There are witnesses, and none of them has the chain.
    #[error("no witness confirms the header ({})", list(.0))]
    NoWitness(Vec<WitnessFault>),
    /// Two chains verify.
    #[error("witness {} shows another header that verifies too: the chain is attacked", .0.witness)]
    Attack(Box<Attack>),
}

fn list(faults: &[WitnessFault]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// What a session found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Headers from the anchor to the target, each verified by the one before; the last is the target.
    pub blocks: Vec<LightBlock>,
    /// Witnesses that were of no use, and why; the others have the same target.
    pub faults: Vec<WitnessFault>,
}

impl Verified {
    /// The target.
    #[must_use]
    pub fn target(&self) -> &LightBlock {
        self.blocks.last().expect("the anchor is one of them")
    }
}

/// A verification that goes on.
pub struct Session {
    anchor: Anchor,
    target: u64,
    witnesses: usize,
    options: Options,
    stage: Stage,
    agreed: usize,
    faults: Vec<WitnessFault>,
}

enum Stage {
    Anchor,
    Primary(Bisection),
    Witnesses {
        verified: Vec<LightBlock>,
        now: Box<Comparison>,
    },
    Done(Vec<LightBlock>),
}

impl Session {
    /// Of the header at `target`, with `witnesses` nodes besides the primary. None is allowed: then nobody tells whether the primary and a
    /// majority of its validators show this client a chain of its own.
    pub fn new(anchor: Anchor, target: u64, witnesses: usize, options: Options) -> Result<Self, Error> {
        if target < anchor.height {
            let anchor = anchor.height;
            return Err(Error::BeforeAnchor { target, anchor });
        }
        Ok(Self {
            anchor,
            target,
            witnesses,
            options,
            stage: Stage::Anchor,
            agreed: 0,
            faults: Vec::new(),
        })
    }

    /// What is needed next.
    #[must_use]
    pub fn step(&self) -> Step {
        let (from, height) = match &self.stage {
            Stage::Anchor => (Source::Primary, self.anchor.height),
            Stage::Primary(way) => (Source::Primary, way.wants().unwrap_or(self.target)),
            Stage::Witnesses { verified, now } => (Source::Witness(now.witness()), now.wants(verified)),
            Stage::Done(_) => return Step::Done,
        };
        Step::Fetch { from, height }
    }

    /// Takes the block that [`Session::step`] asks for. `now` is the caller's clock. After an error the session is over.
    pub fn supply(&mut self, block: LightBlock, now: Time) -> Result<(), Error> {
        let Step::Fetch { height, .. } = self.step() else {
            return Ok(());
        };
        let primary = |fault| Error::Primary { height, fault };
        match &mut self.stage {
            Stage::Anchor => {
                self.check_anchor(&block).map_err(primary)?;
                self.stage = Stage::Primary(Bisection::new(block, self.target));
                self.go_on(now)
            }
            Stage::Primary(way) => {
                way.supply(block, &self.options, now).map_err(primary)?;
                self.go_on(now)
            }
            Stage::Witnesses {
                verified,
                now: comparison,
            } => match comparison.supply(verified, block, &self.options, now) {
                None => Ok(()),
                Some(outcome) => self.judged(outcome),
            },
            Stage::Done(_) => Ok(()),
        }
    }

    /// Notes that the node does not give what [`Session::step`] asks for.
    pub fn missing(&mut self, reason: String) -> Result<(), Error> {
        match (self.step(), Fault::Silent(reason)) {
            (Step::Done, _) => Ok(()),
            (
                Step::Fetch {
                    from: Source::Primary,
                    height,
                },
                fault,
            ) => Err(Error::Primary { height, fault }),
            (Step::Fetch { .. }, fault) => self.judged(Outcome::Faulty(fault)),
        }
    }

    /// What was found, once it is done.
    #[must_use]
    pub fn finish(self) -> Option<Verified> {
        match self.stage {
            Stage::Done(blocks) => Some(Verified {
                blocks,
                faults: self.faults,
            }),
            _ => None,
        }
    }

    fn check_anchor(&self, block: &LightBlock) -> Result<(), Fault> {
        let (has, wanted) = (block.height(), self.anchor.height);
        if has != wanted {
            return Err(Fault::OtherHeight { wanted, has });
        }
        if block.hash() != self.anchor.hash {
            let text = format!(
                "its hash is {}, but {} is trusted",
                block.hash(),
                self.anchor.hash
            );
            return Err(Fault::Invalid(text));
        }
        block.check(&self.anchor.chain_id)
    }

    /// Leaves the primary once the target is verified.
    fn go_on(&mut self, now: Time) -> Result<(), Error> {
        let Stage::Primary(way) = &self.stage else {
            return Ok(());
        };
        if way.wants().is_some() {
            return Ok(());
        }
        let verified = way.clone().into_verified();
        if let [anchor] = verified.as_slice() {
            // Nothing was verified from it, so its age was not looked at.
            self.check_age(anchor, now)?;
        }
        self.next_witness(0, verified)
    }

    fn check_age(&self, anchor: &LightBlock, now: Time) -> Result<(), Error> {
        let age = now.duration_since(anchor.time()).unwrap_or_default();
        if age < self.options.trusting_period {
            return Ok(());
        }
        let fault = Fault::Invalid("it is older than the trusting period".into());
        let height = anchor.height();
        Err(Error::Primary { height, fault })
    }

    fn judged(&mut self, outcome: Outcome) -> Result<(), Error> {
        let Stage::Witnesses { verified, now } = &mut self.stage else {
            return Ok(());
        };
        let witness = now.witness();
        match outcome {
            Outcome::Agrees => self.agreed += 1,
            Outcome::Attack(attack) => return Err(Error::Attack(attack)),
            Outcome::Faulty(fault) => self.faults.push(WitnessFault { witness, fault }),
        }
        let verified = std::mem::take(verified);
        self.next_witness(witness + 1, verified)
    }

    fn next_witness(&mut self, witness: usize, verified: Vec<LightBlock>) -> Result<(), Error> {
        if witness < self.witnesses {
            let now = Box::new(Comparison::new(witness, &verified));
            self.stage = Stage::Witnesses { verified, now };
            return Ok(());
        }
        if self.agreed == 0 && self.witnesses > 0 {
            return Err(Error::NoWitness(std::mem::take(&mut self.faults)));
        }
        self.stage = Stage::Done(verified);
        Ok(())
    }
}
