//! What claims and proofs cost: every transaction of a session, from before it leaves to what the chain took for it.
//!
//! ```text
//! sent ─► pending ─► taken: the transaction's fee, and what its message cost     (also when it failed in its block)
//!            ├─────► not taken: no block had it, and none can any more
//!            └─────► untold: no node says, as those without an index of transactions
//! ```
//! A transaction is on disk before it leaves, so a crash forgets none. What the chain took is read from the transaction's own events and not
//! from its result or from what was offered. A fee of several messages is divided among their sessions to the last upokt.

mod book;
mod watch;

use portico_client::{Event, TxResult};
use portico_protocol::types::DENOM;
use portico_protocol::{Height, Upokt};
use serde::{Deserialize, Serialize};

pub(crate) use book::{FeeBook, NewTx};
pub(crate) use watch::FeeWatch;

/// Transactions of a session that are kept one by one; of older ones the sums are.
const MAX_TXS: usize = 64;

/// The transactions of a session of a supplier, and what they cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionFees {
    /// Oldest first, at most [`MAX_TXS`].
    transactions: Vec<SentTx>,
    /// Of those that are not kept any more.
    earlier: FeeSums,
}

/// A session's part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentTx {
    /// Upper-case hexadecimal.
    pub(crate) hash: String,
    /// Messages in it.
    pub(crate) messages: u32,
    /// Which of them is the session's, from 0.
    pub(crate) position: u32,
    /// Newest block when it was sent.
    pub(crate) sent_at: Height,
    /// Block time after which no block takes it, in milliseconds since 1970.
    pub(crate) expires_at_ms: u64,
    pub(crate) fate: Fate,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It may be in a block, or come into one.
    Pending,
    /// It is in a block.
    Taken {
        height: Height,
        /// The session's part of it.
        cost: Cost,
    },
    /// It is in no block, and none takes it any more.
    NotTaken,
    /// No node says.
    Untold,
}

/// What the chain took of the supplier's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Fees of transactions.
    pub(crate) tx: Upokt,
    /// What the messages themselves cost: the chain's fee for a proof.
    pub(crate) proof: Upokt,
}

/// Sums over transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeeSums {
    pub(crate) cost: Cost,
    /// Transactions of which it is not known what they cost.
    pub(crate) unknown: u64,
}

impl FeeSums {
    const fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Taken { cost, .. } => {
                self.cost.tx.0 = self.cost.tx.0.saturating_add(cost.tx.0);
                self.cost.proof.0 = self.cost.proof.0.saturating_add(cost.proof.0);
            }
            Fate::Pending | Fate::Untold => self.unknown = self.unknown.saturating_add(1),
            Fate::NotTaken => {}
        }
    }
}

impl SessionFees {
    /// A transaction that is about to be sent. One that was sent before, as it is after the chain went back, is there once.
    fn push(&mut self, tx: SentTx) {
        if let Some(known) = self.transactions.iter_mut().find(|known| known.hash == tx.hash) {
            *known = tx;
            return;
        }
        if self.transactions.len() == MAX_TXS {
            self.earlier.add(self.transactions.remove(0).fate);
        }
        self.transactions.push(tx);
    }

    /// All of it together.
    pub(crate) fn sums(&self) -> FeeSums {
        let mut sums = self.earlier;
        self.transactions.iter().for_each(|tx| sums.add(tx.fate));
        sums
    }

    /// Transactions of which it is known what became of them.
    pub(crate) fn decided(&self) -> usize {
        self.transactions.len().saturating_sub(self.pending().count())
    }

    /// Those of which it is not known what became of them.
    fn pending(&self) -> impl Iterator<Item = &SentTx> {
        let pending = |tx: &&SentTx| matches!(tx.fate, Fate::Pending | Fate::Untold);
        self.transactions.iter().filter(pending)
    }

    /// Notes what became of a transaction, by what the session's part is of it, and tells `taken` what it cost; whether that is news.
    fn decide(&mut self, hash: &str, fate: impl Fn(&SentTx) -> Fate, taken: impl Fn(&Cost)) -> bool {
        let mut changed = false;
        for tx in self.transactions.iter_mut().filter(|tx| tx.hash == hash) {
            let now = fate(tx);
            if let Fate::Taken { cost, .. } = &now
                && now != tx.fate
            {
                taken(cost);
            }
            changed |= now != tx.fate;
            tx.fate = now;
        }
        changed
    }

    /// The chain went back to `height`: what was decided above it is open again, and so is what was in no block; whether anything is.
    fn rewound(&mut self, height: Height) -> bool {
        let mut changed = false;
        for tx in &mut self.transactions {
            let open = match tx.fate {
                Fate::Taken { height: at, .. } => at > height,
                Fate::NotTaken => tx.sent_at >= height,
                Fate::Pending | Fate::Untold => false,
            };
            if open {
                tx.fate = Fate::Pending;
                changed = true;
            }
        }
        changed
    }
}

/// What an included transaction cost `payer` for its message at `position`, of so many.
///
/// The fee is that of the SDK's `tx` event, and what a message cost is what its own events (they have its `msg_index`) say was spent. Both are there
/// of a transaction that succeeded; of one that failed the chain keeps the fee, and reports the events up to that only.
fn cost(result: &TxResult, payer: &str, messages: u32, position: u32) -> Cost {
    let is_fee = |event: &&Event| event.kind == "tx" && event.attribute("fee_payer") == Some(payer);
    let fees = result.events.iter().filter(is_fee);
    let fee = fees.fold(0_u128, |sum, event| {
        sum.saturating_add(upokt(event.attribute("fee")))
    });
    let index = position.to_string();
    let is_spent = |event: &&Event| {
        event.kind == "coin_spent"
            && event.attribute("spender") == Some(payer)
            && event.attribute("msg_index") == Some(index.as_str())
    };
    let spent = result.events.iter().filter(is_spent);
    let spent = spent.fold(0_u128, |sum, event| {
        sum.saturating_add(upokt(event.attribute("amount")))
    });
    Cost {
        tx: Upokt(share(fee, messages, position)),
        proof: Upokt(if result.code == 0 { spent } else { 0 }),
    }
}

/// The part of the message at `position`: the first ones bear what cannot be divided.
const fn share(fee: u128, messages: u32, position: u32) -> u128 {
    let (messages, position) = (messages as u128, position as u128);
    if messages == 0 {
        return fee;
    }
    let more = if position < fee % messages { 1 } else { 0 };
    (fee / messages).saturating_add(more)
}

/// The upokt among coins as the SDK writes them: `5upokt`, `1atom,5upokt`, or nothing.
fn upokt(coins: Option<&str>) -> u128 {
    let coins = coins.unwrap_or_default().split(',');
    let amounts = coins.filter_map(|coin| coin.trim().strip_suffix(DENOM)?.parse::<u128>().ok());
    amounts.fold(0, u128::saturating_add)
}

#[cfg(test)]
mod tests;
