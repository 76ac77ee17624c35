//! A client that asks nodes and keeps what was verified last. How bytes reach a node is its caller's.

use std::future::Future;

use tendermint::Time;

use crate::rpc::{Collector, newest, newest_height};
use crate::session::{Anchor, Error, Session, Source, Step, Verified};
use crate::{LightBlock, Options};

/// A node that answers CometBFT's JSON-RPC.
pub trait Ask {
    /// The body of the answer to a request with this body; the error says why there is none. Bounded in time and size by who implements it.
    fn ask(&self, body: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, String>> + Send;
}

/// Follows a chain from one trusted header to the next.
#[derive(Debug)]
pub struct LightClient<N> {
    primary: N,
    witnesses: Vec<N>,
    options: Options,
    trusted: Anchor,
}

impl<N: Ask> LightClient<N> {
    /// A client that trusts `anchor`. Without witnesses a primary whose validators conspire is not found out.
    pub const fn new(primary: N, witnesses: Vec<N>, anchor: Anchor, options: Options) -> Self {
        Self {
            primary,
            witnesses,
            options,
            trusted: anchor,
        }
    }

    /// What the next verification begins with: to be kept, so that a later run need not trust anybody's word again.
    pub const fn trusted(&self) -> &Anchor {
        &self.trusted
    }

    /// Verifies the block at `height`, the newest that the primary has for none, and trusts it from then on. `now` tells the time.
    pub async fn verify(&mut self, height: Option<u64>, now: impl Fn() -> Time) -> Result<Verified, Error> {
        let height = match height {
            Some(height) => height,
            // Only a wish: what the primary names has to verify like any other.
            None => self.newest().await?,
        };
        let anchor = self.trusted.clone();
        let mut session = Session::new(anchor, height, self.witnesses.len(), self.options)?;
        while let Step::Fetch { from, height } = session.step() {
            let node = match from {
                Source::Primary => &self.primary,
                Source::Witness(index) => &self.witnesses[index],
            };
            match block(node, height).await {
                Ok(block) => session.supply(block, now())?,
                Err(reason) => session.missing(reason)?,
            }
        }
        let verified = session.finish().expect("it needs nothing more");
        let target = verified.target();
        self.trusted = Anchor {
            chain_id: self.trusted.chain_id.clone(),
            height: target.height(),
            hash: target.hash(),
        };
        Ok(verified)
    }

    async fn newest(&self) -> Result<u64, Error> {
        let silent = |reason| Error::Primary {
            height: self.trusted.height,
            fault: crate::Fault::Silent(reason),
        };
        let answer = self.primary.ask(body(&newest())).await.map_err(silent)?;
        newest_height(&answer).map_err(|error| silent(error.to_string()))
    }
}

fn body(call: &crate::rpc::Call) -> Vec<u8> {
    call.body().to_string().into_bytes()
}

/// The block of `node` at `height`, not verified.
async fn block<N: Ask>(node: &N, height: u64) -> Result<LightBlock, String> {
    let mut collector = Collector::new(height);
    while let Some(call) = collector.call() {
        let answer = node.ask(body(&call)).await?;
        collector.answer(&answer).map_err(|error| error.to_string())?;
    }
    collector
        .finish()
        .ok_or_else(|| "the block is incomplete".to_owned())
}
