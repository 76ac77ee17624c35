//! Signing, sending, and waiting for the block.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use portico_client::{Chain, TxResult};
use portico_protocol::tx::{SignerContext, TxOptions, sign_tx};
use portico_protocol::{SigningKey, Upokt};
use prost_types::Any;

/// Longest wait for a block that includes the transaction.
const INCLUSION_TIMEOUT: Duration = Duration::from_secs(120);
/// Blocks for which a transaction stays valid.
const VALID_BLOCKS: i64 = 20;
/// Simulated gas is multiplied by 17/10, since the real run can differ a little.
const GAS_MARGIN: (u64, u64) = (17, 10);

/// Gas limit and fee.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fee {
    /// Gas limit; simulated when `None`.
    pub(crate) gas: Option<u64>,
    /// Fee in upokt.
    pub(crate) upokt: u64,
}

/// A transaction in a block.
#[derive(Clone)]
pub(crate) struct Included {
    /// Its hash.
    pub(crate) hash: String,
    /// What came of it.
    pub(crate) result: TxResult,
}

impl Included {
    /// Errs when the block includes it as failed.
    pub(crate) fn succeeded(&self) -> Result<()> {
        let TxResult {
            code, codespace, log, ..
        } = &self.result;
        ensure!(*code == 0, "the transaction failed: {codespace}/{code}: {log}");
        Ok(())
    }
}

/// Signs `messages` with `key`, sends them, and waits until a block includes them.
pub(crate) async fn submit(
    chain: &dyn Chain,
    key: &SigningKey,
    messages: Vec<Any>,
    fee: Fee,
    memo: &str,
) -> Result<Included> {
    let mut head = chain.head();
    let context = signer(chain, key).await?;
    let timeout = chain.status().await?.head.height.0.saturating_add(VALID_BLOCKS);
    let mut options = TxOptions {
        memo: memo.to_owned(),
        timeout_height: u64::try_from(timeout).unwrap_or_default(),
        gas_limit: fee.gas.unwrap_or_default(),
        fee: Upokt(fee.upokt.into()),
        ..TxOptions::default()
    };
    if fee.gas.is_none() {
        let draft = sign_tx(messages.clone(), &options, &context, key);
        let used = chain
            .simulate(draft.into())
            .await
            .context("the transaction would fail")?;
        options.gas_limit = used.saturating_mul(GAS_MARGIN.0) / GAS_MARGIN.1;
    }
    let bytes: Bytes = sign_tx(messages, &options, &context, key).into();
    let sent = chain.broadcast(bytes).await?;
    ensure!(
        sent.code == 0,
        "the chain refused the transaction: {}/{}: {}",
        sent.codespace,
        sent.code,
        sent.log
    );
    let deadline = tokio::time::Instant::now() + INCLUSION_TIMEOUT;
    loop {
        if let Some(result) = chain.tx(&sent.hash).await? {
            return Ok(Included {
                hash: sent.hash,
                result,
            });
        }
        if head.borrow_and_update().height.0 > timeout {
            bail!(
                "no block up to height {timeout} includes transaction {}",
                sent.hash
            );
        }
        match tokio::time::timeout_at(deadline, head.changed()).await {
            Ok(changed) => changed.context("the chain's blocks can no longer be followed")?,
            Err(_) => bail!(
                "no block came within {} s that includes {}",
                INCLUSION_TIMEOUT.as_secs(),
                sent.hash
            ),
        }
    }
}

async fn signer(chain: &dyn Chain, key: &SigningKey) -> Result<SignerContext> {
    let address = key.address();
    let account = chain.account(&address).await.with_context(|| {
        format!("the signer {address} has no account: it needs tokens first (portico tx send {address} 1000000 --from faucet)")
    })?;
    Ok(SignerContext {
        chain_id: chain.status().await?.chain_id,
        account_number: account.number,
        sequence: account.sequence,
    })
}
