//! From a trusted header to a later one, by as few between as the changes of validators allow.

use tendermint::Time;

use crate::{LightBlock, Options};

/// Most blocks that one way from header to header takes: a node that invents changes of validators cannot keep a client busy for ever.
pub const MAX_BLOCKS: usize = 1_024;

/// Why a node's block is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not verify.
    #[error("{0}")]
    Invalid(String),
    /// Another one was asked for.
    #[error("it has height {has} instead of {wanted}")]
    OtherHeight {
        /// Height that was asked for.
        wanted: u64,
        /// Height of the block.
        has: u64,
    },
    /// The way is longer than [`MAX_BLOCKS`].
    #[error("more than {MAX_BLOCKS} blocks are needed; trust a newer one")]
    TooFar,
    /// The node does not give it.
    #[error("no answer: {0}")]
    Silent(String),
}

/// The way to a height.
#[derive(Clone, Debug)]
pub(crate) struct Bisection {
    /// What was verified, in ascending order; the first is where trust begins.
    verified: Vec<LightBlock>,
    /// What waits for something between to be verified, in descending order.
    waiting: Vec<LightBlock>,
    target: u64,
    supplied: usize,
}

impl Bisection {
    pub(crate) fn new(trusted: LightBlock, target: u64) -> Self {
        Self {
            verified: vec![trusted],
            waiting: Vec::new(),
            target,
            supplied: 0,
        }
    }

    fn trusted(&self) -> &LightBlock {
        self.verified.last().expect("the first is never taken away")
    }

    /// The block that is needed next; `None` once the target is verified.
    pub(crate) fn wants(&self) -> Option<u64> {
        let from = self.trusted().height();
        match self.waiting.last() {
            Some(block) => Some(from + (block.height() - from) / 2),
            None => (from < self.target).then_some(self.target),
        }
    }

    /// Takes the block that is wanted, and verifies what can be.
    pub(crate) fn supply(&mut self, block: LightBlock, options: &Options, now: Time) -> Result<(), Fault> {
        let (wanted, has) = (self.wants(), block.height());
        if wanted != Some(has) {
            let wanted = wanted.unwrap_or(self.target);
            return Err(Fault::OtherHeight { wanted, has });
        }
        if self.supplied == MAX_BLOCKS {
            return Err(Fault::TooFar);
        }
        self.supplied += 1;
        self.waiting.push(block);
        while let Some(lowest) = self.waiting.pop() {
            if lowest.follows(self.trusted(), options, now)? {
                self.verified.push(lowest);
                continue;
            }
            if lowest.height() <= self.trusted().height() + 1 {
                return Err(Fault::Invalid(
                    "too few of the validators of its own header signed it".into(),
                ));
            }
            self.waiting.push(lowest);
            break;
        }
        Ok(())
    }

    /// What was verified, in ascending order.
    pub(crate) fn into_verified(self) -> Vec<LightBlock> {
        self.verified
    }
}
