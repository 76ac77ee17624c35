//! `portico servicer store`: what a servicer keeps on disk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use portico_config::load;
use portico_config::servicer::ServicerConfig;
use portico_servicer::leaf_log::{self, Backup, CheckReport, LeafLogError, Repaired};

use super::source::admin_url;
use crate::output::OutputArgs;
use crate::table::grouped;

#[derive(Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Read everything, and say what is wrong with it
    ///
    /// Each page of the file (of a stopped servicer), each record, and that the leaves of a session give the root that was sealed. Exits with 1
    /// when something is wrong. Nothing is changed.
    Check {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Copy the data into a new folder, also while the servicer runs
    ///
    /// The copy is of one moment, checked, and as small as it can be. It can be used as a data_dir, but never while another servicer has the
    /// same keys: what was claimed after that moment would be claimed again.
    Backup {
        #[command(flatten)]
        source: Source,
        /// The new folder
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Take what can be read out of a stopped servicer's damaged data, into a new file
    ///
    /// The damaged file stays beside it. Prints what was lost: session, supplier, leaves and their worth. Does nothing when nothing is wrong.
    Repair {
        #[command(flatten)]
        data: Data,
        /// Do not read the damaged file as a whole before: for one with which that ends the process
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Give room that leaves need no more back to the disk; the servicer has to be stopped
    Compact {
        #[command(flatten)]
        data: Data,
    },
}

/// Whose data.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Data {
    /// The servicer's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The servicer's data folder
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// Whose data, or who has them.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The servicer's configuration file: it is asked while it runs, and its data are read while it does not
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A running servicer, by its admin address
    #[arg(long, value_name = "URL")]
    servicer: Option<String>,
    /// The data folder of a servicer that does not run
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl StoreArgs {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self.command {
            StoreCommand::Check { source, output } => {
                let report = source.check().await?;
                show(output.is_json(), &report, || found(&report))?;
                Ok(code(report.is_sound()))
            }
            StoreCommand::Backup { source, to } => {
                let backup = Backup::to(&to).map_err(|error| named(error, &to))?;
                let report = source.copy(backup).await?;
                print!("{}", found(&report));
                println!("copied to {}", to.display());
                Ok(code(report.is_sound()))
            }
            StoreCommand::Repair {
                data,
                unchecked,
                output,
            } => {
                let folder = data.folder()?;
                let repaired = tokio::task::block_in_place(|| leaf_log::repair(&folder, unchecked));
                let repaired = repaired.map_err(|error| named(error, &folder))?;
                show(output.is_json(), &repaired, || mended(repaired.as_ref()))?;
                Ok(ExitCode::SUCCESS)
            }
            StoreCommand::Compact { data } => {
                let folder = data.folder()?;
                let compacted = tokio::task::block_in_place(|| leaf_log::compact(&folder));
                let (before, after) = compacted.map_err(|error| named(error, &folder))?;
                println!("{} bytes, {} before", grouped(after), grouped(before));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Data {
    fn folder(&self) -> Result<PathBuf> {
        Self::of(self.data_dir.as_deref(), self.config.as_deref())
    }

    fn of(data_dir: Option<&Path>, config: Option<&Path>) -> Result<PathBuf> {
        match (data_dir, config) {
            (Some(folder), _) => Ok(folder.to_owned()),
            (None, Some(file)) => Ok(load::<ServicerConfig>(file)?.data_dir),
            (None, None) => bail!("name the servicer's data with --config or --data-dir"),
        }
    }
}

impl Source {
    async fn check(&self) -> Result<CheckReport> {
        let mut backup = Backup::to_nowhere();
        if self.receive(&mut backup).await? {
            return Ok(backup.finish()?);
        }
        let folder = self.folder()?;
        let checked = tokio::task::block_in_place(|| leaf_log::check(&folder));
        checked.map_err(|error| named(error, &folder))
    }

    async fn copy(&self, mut backup: Backup) -> Result<CheckReport> {
        if !self.receive(&mut backup).await? {
            let folder = self.folder()?;
            let read = tokio::task::block_in_place(|| backup.read(&folder));
            read.map_err(|error| named(error, &folder))?;
        }
        Ok(backup.finish()?)
    }

    /// Lets the servicer hand its data over; false when none runs.
    async fn receive(&self, backup: &mut Backup) -> Result<bool> {
        let url = match (&self.servicer, &self.config) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(file)) => match admin_url(&load(file)?) {
                Some(url) => url,
                None => return Ok(false),
            },
            (None, None) => return Ok(false),
        };
        let asked = crate::http::patient_client()?
            .get(format!("{url}/backup"))
            .send()
            .await;
        let mut answer = match asked {
            Ok(answer) => answer
                .error_for_status()
                .with_context(|| format!("{url} hands no data over"))?,
            Err(error) if error.is_connect() => return Ok(false),
            Err(error) => {
                return Err(anyhow!(error).context(format!("the servicer at {url} does not answer")));
            }
        };
        let broken = || format!("the servicer at {url} stopped on the way");
        while let Some(chunk) = answer.chunk().await.with_context(broken)? {
            tokio::task::block_in_place(|| backup.push(&chunk))?;
        }
        Ok(true)
    }

    fn folder(&self) -> Result<PathBuf> {
        match &self.servicer {
            Some(url) => bail!("no servicer answers at {url}"),
            None => Data::of(self.data_dir.as_deref(), self.config.as_deref()),
        }
    }
}

fn code(good: bool) -> ExitCode {
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn named(error: LeafLogError, folder: &Path) -> anyhow::Error {
    let folder = folder.display();
    match error {
        LeafLogError::InUse => anyhow!(
            "a servicer is running on {folder}: stop it first, or name its admin address with --servicer where that is offered"
        ),
        error => anyhow!(error).context(format!("the leaf log in {folder}")),
    }
}

fn show<T: serde::Serialize>(json: bool, value: &T, text: impl FnOnce() -> String) -> Result<()> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(value)?),
        false => print!("{}", text()),
    }
    Ok(())
}

fn found(report: &CheckReport) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for fault in &report.faults {
        let session = fault
            .session_id
            .as_deref()
            .map(super::ledger::short)
            .unwrap_or_default();
        let supplier = fault
            .supplier
            .map(|supplier| supplier.to_string())
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{}",
            [session.as_str(), &supplier, &fault.what].join(" ").trim()
        );
    }
    if report.more_faults > 0 {
        let _ = writeln!(text, "and {} more", grouped(report.more_faults));
    }
    let (sessions, leaves) = (grouped(report.sessions), grouped(report.leaves));
    let verdict = match report.is_sound() {
        true => "nothing is wrong",
        false => "`portico servicer store repair` keeps what can be read",
    };
    let bytes = grouped(report.leaf_bytes);
    let _ = writeln!(
        text,
        "{sessions} sessions, {leaves} leaves, {bytes} bytes of them: {verdict}"
    );
    text
}

fn mended(repaired: Option<&Repaired>) -> String {
    use std::fmt::Write as _;
    let Some(repaired) = repaired else {
        return "nothing is wrong: nothing was changed\n".to_owned();
    };
    let mut text = String::new();
    for lost in &repaired.lost {
        let session = lost.session_id.as_deref().unwrap_or("unknown session");
        let supplier = lost
            .supplier
            .map(|supplier| supplier.to_string())
            .unwrap_or_default();
        let (leaves, upokt) = (grouped(lost.leaves), lost.upokt.0);
        let _ = writeln!(
            text,
            "lost: session {session} of {supplier}: {leaves} leaves, {upokt} upokt: {}",
            lost.why
        );
    }
    let (sessions, leaves) = (grouped(repaired.sessions), grouped(repaired.leaves));
    if repaired.lost.is_empty() {
        let _ = writeln!(text, "nothing is known to be lost");
    }
    let _ = writeln!(
        text,
        "{sessions} sessions and {leaves} leaves are in the new file; the damaged one is {}",
        repaired.kept_as.display()
    );
    text
}

#[cfg(test)]
mod tests;
