//! Sending claims and proofs: one transaction per supplier and window, as far as it goes through as one.
//!
//! Transactions are unordered (no sequence), so that a lost one never blocks the next; their timeout is anchored at the newest block's
//! time, because the chain compares it with block times and not with this machine's clock. When the chain refuses a transaction of several
//! messages, it is halved until the bad message stands alone.

use std::sync::Arc;

use portico_client::{BlockHead, Chain, ChainError};
use portico_config::servicer::TxConfig;
use portico_protocol::tx::{SignerContext, TxOptions, sign_tx};
use portico_protocol::{SigningKey, Upokt};
use prost_types::{Any, Timestamp};
use sha2::{Digest, Sha256};

use crate::metrics::Metrics;

/// Gas limit of a transaction that is only simulated.
const SIMULATION_GAS: u64 = 10_000_000;
/// Gas limit as a fraction of the simulated use.
const GAS_ADJUSTMENT: (u64, u64) = (17, 10);

/// A message to send, with the session it is about.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) session: u64,
    pub(crate) message: Any,
    /// In a transaction of its own.
    pub(crate) alone: bool,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) session: u64,
    /// Hash of the accepted transaction, or why there is none.
    pub(crate) outcome: Result<String, String>,
}

/// Builds, signs and hands over transactions.
pub(crate) struct Submitter {
    chain: Arc<dyn Chain>,
    config: TxConfig,
    metrics: Arc<Metrics>,
}

impl Submitter {
    pub(crate) fn new(chain: Arc<dyn Chain>, config: TxConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            chain,
            config,
            metrics,
        }
    }

    /// Sends the messages of one supplier; `kind` is `claim` or `proof`. `head` is the newest block.
    pub(crate) async fn send(
        &self,
        kind: &'static str,
        key: &SigningKey,
        head: &BlockHead,
        messages: Vec<Outgoing>,
    ) -> Vec<Sent> {
        let context = match self.context(key).await {
            Ok(context) => context,
            Err(error) => return fail(messages, &error.to_string()),
        };
        let mut done = Vec::with_capacity(messages.len());
        let mut batches = self.batches(messages);
        while let Some(mut batch) = batches.pop() {
            match self.broadcast(key, head, &context, &batch).await {
                Ok(hash) => {
                    self.metrics.transaction(kind, "accepted");
                    tracing::info!(kind, tx = %hash, messages = batch.len(), height = head.height.0, "transaction sent");
                    done.extend(batch.into_iter().map(|one| Sent {
                        session: one.session,
                        outcome: Ok(hash.clone()),
                    }));
                }
                Err(error) if batch.len() > 1 && !error.is_retryable() => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.extend([half, batch]);
                }
                Err(error) => {
                    self.metrics.transaction(kind, "refused");
                    tracing::warn!(kind, %error, messages = batch.len(), height = head.height.0, "transaction refused");
                    done.extend(fail(batch, &error.to_string()));
                }
            }
        }
        done
    }

    fn batches(&self, messages: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
        let (alone, together): (Vec<_>, Vec<_>) = messages.into_iter().partition(|one| one.alone);
        let mut batches: Vec<Vec<Outgoing>> = alone.into_iter().map(|one| vec![one]).collect();
        batches.extend(
            together
                .chunks(self.config.max_messages.max(1))
                .map(<[Outgoing]>::to_vec),
        );
        batches
    }

    async fn context(&self, key: &SigningKey) -> Result<SignerContext, ChainError> {
        let chain_id = self.chain.status().await?.chain_id;
        let account_number = self.chain.account(&key.address()).await?.number;
        Ok(SignerContext {
            chain_id,
            account_number,
            sequence: 0,
        })
    }

    async fn broadcast(
        &self,
        key: &SigningKey,
        head: &BlockHead,
        context: &SignerContext,
        batch: &[Outgoing],
    ) -> Result<String, ChainError> {
        let messages: Vec<Any> = batch.iter().map(|one| one.message.clone()).collect();
        let gas_limit = match self.config.gas_limit {
            0 => {
                let trial = sign_tx(
                    messages.clone(),
                    &self.options(head, &messages, SIMULATION_GAS),
                    context,
                    key,
                );
                adjusted(self.chain.simulate(trial.into()).await?)
            }
            fixed => fixed,
        };
        let options = self.options(head, &messages, gas_limit);
        let tx = sign_tx(messages, &options, context, key);
        let result = self.chain.broadcast(tx.into()).await?;
        if result.code == 0 {
            Ok(result.hash)
        } else {
            Err(ChainError::InvalidArgument(format!(
                "{}/{}: {}",
                result.codespace, result.code, result.log
            )))
        }
    }

    /// The timeout is also a transaction's number: the chain takes one of a sender only once, so what is below a millisecond follows
    /// from the messages.
    fn options(&self, head: &BlockHead, messages: &[Any], gas_limit: u64) -> TxOptions {
        let timeout_ms = head
            .time_ms
            .saturating_add(self.config.timeout_s.saturating_mul(1_000));
        let timestamp = Timestamp {
            seconds: i64::try_from(timeout_ms / 1_000).unwrap_or(i64::MAX),
            nanos: i32::try_from(timeout_ms % 1_000)
                .unwrap_or(0)
                .saturating_mul(1_000_000)
                .saturating_add(below_a_millisecond(messages)),
        };
        let fee = u128::from(gas_limit).saturating_mul(u128::from(self.config.gas_price_micro_upokt));
        TxOptions {
            memo: self.config.memo.clone(),
            unordered: true,
            timeout_timestamp: Some(timestamp),
            gas_limit,
            fee: Upokt(fee.div_ceil(1_000_000)),
            ..TxOptions::default()
        }
    }
}

/// 0 to 999 999 nanoseconds, by what is sent.
fn below_a_millisecond(messages: &[Any]) -> i32 {
    let mut hasher = Sha256::new();
    for message in messages {
        hasher.update(Sha256::digest(&message.value));
    }
    let bytes: [u8; 4] = *hasher.finalize().first_chunk().expect("32 bytes hold 4");
    i32::try_from(u32::from_be_bytes(bytes) % 1_000_000).expect("below 2^31")
}

fn adjusted(gas: u64) -> u64 {
    gas.saturating_mul(GAS_ADJUSTMENT.0) / GAS_ADJUSTMENT.1
}

fn fail(messages: Vec<Outgoing>, error: &str) -> Vec<Sent> {
    messages
        .into_iter()
        .map(|one| Sent {
            session: one.session,
            outcome: Err(error.to_owned()),
        })
        .collect()
}
