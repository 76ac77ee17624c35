//! `portico servicer reload`: another configuration for a servicer that runs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use portico_config::servicer::ServicerConfig;
use portico_config::{Secret, load};
use portico_servicer::{ConfigSource, ReloadAction, ReloadPlan, ServicerHandle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::key_lock::KeyLocks;
use super::source::admin_url;

#[derive(Args)]
pub(super) struct ReloadArgs {
    /// The configuration file that the servicer was started with: says where it is asked
    #[arg(long, value_name = "FILE", required_unless_present = "servicer")]
    config: Option<PathBuf>,
    /// A running servicer, by its admin address
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    servicer: Option<String>,
    /// What is done: plan (say what would change), apply, or undo (back to what was before the last reload)
    #[arg(value_enum, default_value_t = Action::Plan)]
    action: Action,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    Plan,
    Apply,
    Undo,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Undo => "undo",
        }
    }
}

impl ReloadArgs {
    pub(super) async fn run(self) -> Result<()> {
        let url = match (&self.servicer, &self.config) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(file)) => admin_url(&load::<ServicerConfig>(file)?).with_context(|| {
                format!(
                    "{} gives the servicer no admin_listen address to be asked at",
                    file.display()
                )
            })?,
            (None, None) => bail!("name the servicer with --config or --servicer"),
        };
        let asked = crate::http::client()?
            .post(format!("{url}/reload"))
            .json(&json!({ "action": self.action.name() }))
            .send()
            .await
            .with_context(|| format!("no servicer answers at {url}"))?;
        let (accepted, body) = (asked.status().is_success(), asked.bytes().await?);
        if !accepted {
            let told: Value = serde_json::from_slice(&body).unwrap_or_default();
            let why = told["error"].as_str().map_or_else(
                || format!("{url} takes no reload: name the admin address of a servicer"),
                |why| format!("nothing was changed: {why}"),
            );
            return Err(anyhow!(why));
        }
        let plan: ReloadPlan = serde_json::from_slice(&body)
            .with_context(|| format!("the answer of {url} has another shape: another version?"))?;
        print!("{}", shown(&plan, self.action));
        Ok(())
    }
}

fn shown(plan: &ReloadPlan, action: Action) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        text += &format!("{}: {}\n", change.what, change.becomes);
    }
    if !plan.needs_restart.is_empty() {
        text += &format!(
            "cannot change while the servicer runs, and so nothing would: {}\n",
            plan.needs_restart.join(", ")
        );
    }
    if text.is_empty() {
        return "no difference\n".to_owned();
    }
    text + match action {
        Action::Plan => "nothing is changed yet: `portico servicer reload apply` does it\n",
        Action::Apply => "done; `portico servicer reload undo` goes back\n",
        Action::Undo => {
            "done: the configuration before the last reload is in force again, whatever the file says\n"
        }
    }
}

/// The file that a servicer was started with, and the locks of the keys that it named since.
pub(super) struct ConfigFile {
    file: PathBuf,
    locks: Mutex<KeyLocks>,
}

impl ConfigFile {
    /// Locks the keys of `config`, which was read from `file`.
    pub(super) fn new(file: &Path, config: &ServicerConfig) -> Result<Self> {
        let source = Self {
            file: file.to_owned(),
            locks: Mutex::default(),
        };
        source.lock_keys(config)?;
        Ok(source)
    }

    fn lock_keys(&self, config: &ServicerConfig) -> Result<()> {
        let secrets = config.suppliers.iter().chain(&config.draining);
        let address = |secret: &Secret| Ok(secret.signing_key().context("a supplier's key")?.address());
        let suppliers = secrets.map(address).collect::<Result<Vec<_>>>()?;
        match config.lock_keys {
            true => self
                .locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(suppliers),
            false => Ok(()),
        }
    }
}

impl ConfigSource for ConfigFile {
    fn read(&self) -> Result<ServicerConfig, String> {
        load(&self.file).map_err(|error| format!("{:#}", anyhow!(error)))
    }

    fn accept(&self, next: &ServicerConfig) -> Result<(), String> {
        self.lock_keys(next).map_err(|error| format!("{error:#}"))
    }
}

/// Reloads whenever the process gets SIGHUP, until `stop`.
#[cfg(unix)]
pub(super) async fn hang_ups(handle: ServicerHandle, stop: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = signal(SignalKind::hangup()).context("SIGHUP cannot be received")?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            received = signals.recv() => if received.is_none() { return Ok(()) },
        }
        let handle = handle.clone();
        let done = tokio::task::spawn_blocking(move || handle.reload(ReloadAction::Apply)).await?;
        if let Err(error) = done {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the configuration was not reloaded, and nothing was changed"
            );
        }
    }
}

#[cfg(not(unix))]
pub(super) async fn hang_ups(_: ServicerHandle, stop: CancellationToken) -> Result<()> {
    stop.cancelled().await;
    Ok(())
}
