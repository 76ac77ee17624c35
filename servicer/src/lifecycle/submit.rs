//! Handing claims and proofs over, in the transactions that the planner packed.
//!
//! Transactions are unordered (no sequence), so that a lost one never blocks the next; their timeout is anchored at the newest block's
//! time, because the chain compares it with block times and not with this machine's clock. A transaction of several
//! messages that the chain refuses is halved by the planner, until the bad message stands alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portico_client::{BlockHead, Chain, ChainError};
use portico_config::servicer::TxConfig;
use portico_protocol::tx::{SignerContext, TxOptions, sign_tx, tx_hash};
use portico_protocol::{Address, Height, SigningKey, Upokt};
use prost_types::{Any, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::fees::{FeeBook, NewTx};
use crate::lifecycle::funds::Fees;
use crate::lifecycle::orders::Kind;
use crate::lifecycle::remembered::{Remembered, answered};
use crate::metrics::Metrics;

/// Gas limit of a transaction that is only simulated.
const SIMULATION_GAS: u64 = 10_000_000;
/// Gas limit as a fraction of the simulated use.
const GAS_ADJUSTMENT: (u64, u64) = (17, 10);

/// Gas limit of a claim, and of a proof, before the chain has simulated one: more than those of the network's own chain were seen to use, 1.7
/// times.
const ASSUMED_GAS: [u64; 2] = [200_000, 1_000_000];

/// Gas of a transaction above which it is halved: a block has to have room for it.
const MAX_TX_GAS: u64 = 30_000_000;

/// Accounts whose numbers are kept: as many as a configuration may name keys.
const MAX_ACCOUNTS: usize = portico_config::keys::MAX_KEYS;

/// Simulations whose transactions were not handed over yet.
const MAX_SIMULATED: usize = 2048;

/// Why a transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// One of its messages is refused, or it is too large: its halves may be taken.
    Halve(String),
    /// It is refused, or the chain does not answer: the next block tries again.
    Refused(String),
}

/// Builds, signs and hands over transactions.
pub(crate) struct Submitter {
    chain: Arc<dyn Chain>,
    config: TxConfig,
    metrics: Arc<Metrics>,
    fees: Arc<FeeBook>,
    chain_id: OnceCell<String>,
    account_numbers: Remembered<Address, u64>,
    /// Gas that transactions were seen to use, by their messages; each holds for one transaction.
    simulated: Remembered<[u8; 32], u64>,
    /// Gas limit of a message, by [`Kind`], as of the last transaction.
    gas: [AtomicU64; 2],
}

impl Submitter {
    pub(crate) fn new(
        chain: Arc<dyn Chain>,
        config: TxConfig,
        metrics: Arc<Metrics>,
        fees: Arc<FeeBook>,
    ) -> Self {
        Self {
            chain,
            config,
            metrics,
            fees,
            chain_id: OnceCell::new(),
            account_numbers: Remembered::keeping(MAX_ACCOUNTS),
            simulated: Remembered::keeping(MAX_SIMULATED),
            gas: ASSUMED_GAS.map(AtomicU64::new),
        }
    }

    /// The chain went back to `height`: accounts may be others, and so may what transactions cost.
    pub(crate) fn rewound(&self, height: Height) {
        self.account_numbers.forget();
        self.simulated.forget();
        self.fees.rewound(height);
    }

    /// What a message costs in fees, as far as it is known beforehand: with a fixed gas limit, that of a transaction of its own.
    pub(crate) fn fees(&self) -> Fees {
        let fee = |kind: Kind| match self.config.gas_limit {
            0 => self.fee(self.gas_of(kind).load(Ordering::Relaxed)),
            fixed => self.fee(fixed),
        };
        Fees {
            claim: fee(Kind::Claim),
            proof: fee(Kind::Proof),
        }
    }

    /// What a claim has to be worth, in percent of its average cost.
    pub(crate) const fn min_claim_value_percent(&self) -> u32 {
        self.config.min_claim_value_percent
    }

    const fn gas_of(&self, kind: Kind) -> &AtomicU64 {
        let [claim, proof] = &self.gas;
        match kind {
            Kind::Claim => claim,
            Kind::Proof => proof,
        }
    }

    fn fee(&self, gas_limit: u64) -> Upokt {
        let fee = u128::from(gas_limit).saturating_mul(u128::from(self.config.gas_price_micro_upokt));
        Upokt(fee.div_ceil(1_000_000))
    }

    /// Hands the messages of one supplier over in one transaction, one for each of `sessions`, and returns its hash; `head` is the newest block.
    pub(crate) async fn send(
        &self,
        kind: Kind,
        key: &SigningKey,
        head: &BlockHead,
        sessions: &[u64],
        messages: Vec<Any>,
    ) -> Result<String, Unsent> {
        let (count, height) = (messages.len(), head.height.0);
        let sending = async {
            let context = self.context(key.address()).await?;
            self.broadcast(kind, key, head, &context, sessions, messages)
                .await
        };
        let sent = sending.await;
        let kind = kind.name();
        match sent {
            Ok(hash) => {
                self.metrics.transaction(kind, "accepted");
                tracing::info!(kind, tx = %hash, messages = count, height, "transaction sent");
                Ok(hash)
            }
            Err(error) if count > 1 && !error.is_retryable() => Err(Unsent::Halve(error.to_string())),
            Err(error) => {
                self.metrics.transaction(kind, "refused");
                tracing::warn!(kind, %error, messages = count, height, "transaction refused");
                Err(Unsent::Refused(error.to_string()))
            }
        }
    }

    /// Asks beforehand for what every transaction of an account needs: where the chain answers slowly, its window may be too short for that too.
    pub(crate) async fn prepare(&self, account: Address) -> Result<(), ChainError> {
        self.context(account).await.map(drop)
    }

    /// Simulates a transaction that is likely to be handed over: where the chain answers slowly, that takes one question less then.
    pub(crate) async fn rehearse(
        &self,
        key: &SigningKey,
        head: &BlockHead,
        messages: &[Any],
    ) -> Result<(), ChainError> {
        if self.config.gas_limit != 0 {
            return Ok(());
        }
        let context = self.context(key.address()).await?;
        self.gas_used(key, head, &context, messages).await.map(drop)
    }

    async fn gas_used(
        &self,
        key: &SigningKey,
        head: &BlockHead,
        context: &SignerContext,
        messages: &[Any],
    ) -> Result<u64, ChainError> {
        let asking = async {
            let options = self.options(head, messages, SIMULATION_GAS);
            let trial = sign_tx(messages.to_vec(), &options, context, key);
            self.chain.simulate(trial.into()).await
        };
        self.simulated.get(digest(messages), asking).await
    }

    async fn context(&self, account: Address) -> Result<SignerContext, ChainError> {
        let chain_id = async { Ok::<_, ChainError>(answered(self.chain.status()).await?.chain_id) };
        let number = async { Ok(self.chain.account(&account).await?.number) };
        let (chain_id, account_number) = tokio::try_join!(
            self.chain_id.get_or_try_init(|| chain_id),
            self.account_numbers.get(account, number)
        )?;
        Ok(SignerContext {
            chain_id: chain_id.clone(),
            account_number,
            sequence: 0,
        })
    }

    async fn broadcast(
        &self,
        kind: Kind,
        key: &SigningKey,
        head: &BlockHead,
        context: &SignerContext,
        sessions: &[u64],
        messages: Vec<Any>,
    ) -> Result<String, ChainError> {
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX).max(1);
        let gas_limit = match self.config.gas_limit {
            0 => {
                let used = self.gas_used(key, head, context, &messages).await?;
                self.simulated.remove(&digest(&messages)); // another time it may be another
                let gas = adjusted(used);
                self.gas_of(kind).store(gas.div_ceil(count), Ordering::Relaxed);
                gas
            }
            fixed => fixed,
        };
        if gas_limit > MAX_TX_GAS && messages.len() > 1 {
            return Err(ChainError::InvalidArgument(format!(
                "it uses {gas_limit} units of gas"
            )));
        }
        let options = self.options(head, &messages, gas_limit);
        let tx = sign_tx(messages, &options, context, key);
        let sent = NewTx {
            hash: tx_hash(&tx),
            sent_at: head.height,
            expires_at_ms: self.expires_at_ms(head),
        };
        self.fees.sending(sessions, &sent).await;
        let result = answered(self.chain.broadcast(tx.into())).await?;
        if result.is_taken() {
            Ok(result.hash)
        } else {
            Err(ChainError::InvalidArgument(format!(
                "{}/{}: {}",
                result.codespace, result.code, result.log
            )))
        }
    }

    const fn expires_at_ms(&self, head: &BlockHead) -> u64 {
        head.time_ms
            .saturating_add(self.config.timeout_s.saturating_mul(1_000))
    }

    /// The timeout is also a transaction's number: the chain takes one of a sender only once, so what is below a millisecond follows
    /// from the messages.
    fn options(&self, head: &BlockHead, messages: &[Any], gas_limit: u64) -> TxOptions {
        let timeout_ms = self.expires_at_ms(head);
        let timestamp = Timestamp {
            seconds: i64::try_from(timeout_ms / 1_000).unwrap_or(i64::MAX),
            nanos: i32::try_from(timeout_ms % 1_000)
                .unwrap_or(0)
                .saturating_mul(1_000_000)
                .saturating_add(below_a_millisecond(messages)),
        };
        TxOptions {
            memo: self.config.memo.clone(),
            unordered: true,
            timeout_timestamp: Some(timestamp),
            gas_limit,
            fee: self.fee(gas_limit),
            ..TxOptions::default()
        }
    }
}

/// What is sent, by its content.
fn digest(messages: &[Any]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for message in messages {
        hasher.update(Sha256::digest(&message.value));
    }
    hasher.finalize().into()
}

/// 0 to 999 999 nanoseconds, by what is sent.
fn below_a_millisecond(messages: &[Any]) -> i32 {
    let bytes: [u8; 4] = *digest(messages).first_chunk().expect("32 bytes hold 4");
    i32::try_from(u32::from_be_bytes(bytes) % 1_000_000).expect("below 2^31")
}

fn adjusted(gas: u64) -> u64 {
    gas.saturating_mul(GAS_ADJUSTMENT.0) / GAS_ADJUSTMENT.1
}
