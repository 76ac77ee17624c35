//! `portico tx stake-supplier --config FILE…`, `unstake-supplier --config FILE…`: suppliers from stake files, with a plan first.

mod plan;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use portico_client::{Chain, ChainError};
use portico_config::keys::read_keys;
use portico_config::load;
use portico_config::stake::SupplierStake;
use portico_protocol::{Address, ServiceId, SigningKey, Upokt};

use super::send::{Fee, Included, submit};
use crate::folders;
use plan::{OnChain, Plan, Step, Wanted};

/// Messages in one transaction: of one signer, whose messages are otherwise sent one after another.
const MAX_MESSAGES: usize = 20;
/// Files of one run.
const MAX_FILES: usize = 5_000;

/// Where stakes and keys come from.
#[derive(Args)]
pub(crate) struct FilesArgs {
    /// Stake files of suppliers, or folders of them
    #[arg(id = "config", long = "config", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Keys of the operators and owners, besides --from: files of 64 hexadecimal characters, key files of the HA relay miner, or folders of them
    #[arg(long = "keys", value_name = "PATH", requires = "config", num_args = 1..)]
    key_paths: Vec<PathBuf>,
    /// Send what the plan says
    #[arg(long, requires = "config")]
    yes: bool,
}

/// What is done to the suppliers of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Staked, or changed.
    Stake,
    /// Unstaked.
    Unstake,
}

/// Keys by address.
pub(super) type Keys = BTreeMap<Address, SigningKey>;

impl FilesArgs {
    pub(super) fn is_given(&self) -> bool {
        !self.files.is_empty()
    }

    /// All keys that were named.
    pub(super) fn keys(&self, from: Option<&str>) -> Result<Keys> {
        let mut keys = Keys::new();
        if let Some(from) = from {
            let key = folders::key(from)?;
            keys.insert(key.address(), key);
        }
        for path in &self.key_paths {
            let found = read_keys(path)?;
            keys.extend(found.into_iter().map(|found| (found.key.address(), found.key)));
        }
        ensure!(
            !keys.is_empty(),
            "name the keys of operators and owners with --keys, or one with --from"
        );
        Ok(keys)
    }

    /// Shows the plan, and sends it when asked to.
    pub(super) async fn run(
        &self,
        verb: Verb,
        keys: &Keys,
        chain: &dyn Chain,
        fee: Fee,
        memo: &str,
        json: bool,
    ) -> Result<()> {
        let wanted = self.wanted()?;
        let known = look(&wanted, chain).await?;
        let mut plan = Plan::new(verb, &wanted, &known, &keys.keys().copied().collect());
        balances(&mut plan, chain, fee).await?;
        view::print(&plan, json)?;
        if !plan.faults().is_empty() {
            bail!(
                "nothing was sent: {} faults are in the way (see the plan)",
                plan.faults().len()
            );
        }
        if plan.steps.is_empty() {
            return Ok(());
        }
        if !self.yes {
            eprintln!("nothing was sent; --yes sends it");
            return Ok(());
        }
        send(&plan, keys, chain, fee, memo).await
    }

    /// The files, each operator once.
    fn wanted(&self) -> Result<Vec<Wanted>> {
        let mut files = Vec::new();
        for path in &self.files {
            match path.is_dir() {
                true => files.extend(yaml_files(path)?),
                false => files.push(path.clone()),
            }
        }
        ensure!(files.len() <= MAX_FILES, "more than {MAX_FILES} stake files");
        ensure!(!files.is_empty(), "no stake file (*.yaml, *.yml) is there");
        let mut operators = BTreeMap::new();
        let mut wanted = Vec::with_capacity(files.len());
        let mut faults = Vec::new();
        for file in files {
            let stake: SupplierStake = match load(&file) {
                Ok(stake) => stake,
                Err(error) => {
                    faults.push(error.to_string());
                    continue;
                }
            };
            if let Some(other) = operators.insert(stake.operator(), file.clone()) {
                let (operator, other) = (stake.operator(), other.display());
                faults.push(format!(
                    "{}: operator {operator} is also in {other}",
                    file.display()
                ));
            }
            wanted.push(Wanted { file, stake });
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(wanted)
    }
}

fn yaml_files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|end| end.to_str());
        if matches!(extension, Some("yaml" | "yml")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the chain has of the suppliers and services of the files.
async fn look(wanted: &[Wanted], chain: &dyn Chain) -> Result<OnChain> {
    let params = chain.supplier_params().await?;
    let amount = |coin: Option<&portico_protocol::wire::cosmos::base::v1beta1::Coin>| {
        coin.and_then(|coin| Upokt::try_from(coin).ok())
            .unwrap_or_default()
    };
    let mut known = OnChain {
        min_stake: amount(params.min_stake.as_ref()),
        staking_fee: amount(params.staking_fee.as_ref()),
        ..OnChain::default()
    };
    let services: BTreeSet<&ServiceId> = wanted
        .iter()
        .flat_map(|one| &one.stake.services)
        .map(|service| &service.service_id)
        .collect();
    for id in services {
        match chain.service(id).await {
            Ok(_) => known.services.insert(id.clone()),
            Err(ChainError::NotFound(_)) => continue,
            Err(error) => return Err(error).with_context(|| format!("service {id}")),
        };
    }
    for one in wanted {
        let operator = one.stake.operator();
        match chain.supplier(&operator).await {
            Ok(supplier) => known.suppliers.insert(operator, supplier),
            Err(ChainError::NotFound(_)) => continue,
            Err(error) => return Err(error).with_context(|| format!("supplier {operator}")),
        };
    }
    Ok(known)
}

/// Adds what the signers hold, and what they lack.
async fn balances(plan: &mut Plan, chain: &dyn Chain, fee: Fee) -> Result<()> {
    let signers: BTreeSet<Address> = plan.steps.iter().map(|step| step.signer).collect();
    for signer in signers {
        let balance = chain.balance(&signer).await?;
        let count = plan.steps.iter().filter(|step| step.signer == signer).count();
        let transactions = u128::try_from(count.div_ceil(MAX_MESSAGES)).unwrap_or(u128::MAX);
        plan.holds(
            signer,
            balance,
            Upokt(transactions.saturating_mul(fee.upokt.into())),
        );
    }
    Ok(())
}

/// One transaction after another for each signer; a refused one of several messages is tried message by message, so that one supplier's
/// fault does not stop the others.
async fn send(plan: &Plan, keys: &Keys, chain: &dyn Chain, fee: Fee, memo: &str) -> Result<()> {
    let mut by_signer: BTreeMap<Address, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        by_signer.entry(step.signer).or_default().push(step);
    }
    let (mut done, mut failed) = (0_usize, Vec::new());
    for (signer, steps) in by_signer {
        let key = keys.get(&signer).context("the plan has signers with keys only")?;
        for batch in steps.chunks(MAX_MESSAGES) {
            let together = submit_steps(batch, key, chain, fee, memo).await;
            let outcomes = match together {
                Err(_) if batch.len() > 1 => {
                    let mut outcomes = Vec::new();
                    for step in batch {
                        outcomes.push((*step, submit_steps(&[*step], key, chain, fee, memo).await));
                    }
                    outcomes
                }
                Ok(included) => {
                    let mut outcomes = Vec::new();
                    for step in batch {
                        outcomes.push((*step, Ok(included.clone())));
                    }
                    outcomes
                }
                Err(error) => vec![(batch[0], Err(error))],
            };
            for (step, outcome) in outcomes {
                match outcome {
                    Ok(included) => {
                        done += 1;
                        let (hash, height) = (&included.hash, included.result.height);
                        eprintln!(
                            "supplier {}: {} in block {height}, transaction {hash}",
                            step.operator,
                            step.done()
                        );
                    }
                    Err(error) => {
                        eprintln!("supplier {}: failed: {error:#}", step.operator);
                        failed.push(step.operator);
                    }
                }
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "{done} suppliers are done, {} failed; the same command tries those again and leaves the others alone",
        failed.len()
    );
    eprintln!("{done} suppliers are done");
    Ok(())
}

async fn submit_steps(
    steps: &[&Step],
    key: &SigningKey,
    chain: &dyn Chain,
    fee: Fee,
    memo: &str,
) -> Result<Included> {
    let messages = steps.iter().map(|step| step.message.clone()).collect();
    let included = submit(chain, key, messages, fee, memo).await?;
    included.succeeded()?;
    Ok(included)
}

#[cfg(test)]
mod hundreds;
