//! The real binary, and waiting for what its processes do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a step may take before its scenario fails; a bound, not a pace: steps await events.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The same for what takes many blocks.
pub const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// The `portico` binary: `PORTICO_BIN`, or the one that cargo built beside this test (built now if it is missing).
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BINARY.get() {
        return Ok(path);
    }
    let path = match std::env::var_os("PORTICO_BIN") {
        Some(path) => PathBuf::from(path),
        None => built_beside_this_test()?,
    };
    Ok(BINARY.get_or_init(|| path))
}

fn built_beside_this_test() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program is in a folder")?;
    // Tests run from <target>/<profile>/deps, other programs from <target>/<profile>.
    let profile_dir = match folder.ends_with("deps") {
        true => folder.parent().context("deps is inside the profile's folder")?,
        false => folder,
    };
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A debug binary as `cargo test --workspace` builds everything: the package alone asks for other features of what it depends on, and a hundred
    // crates would be compiled once more. One for release as it is shipped.
    let args: &[&str] = match profile_dir.ends_with("release") {
        true => &["-p", "portico-cli", "--release"],
        false => &["--workspace", "--all-targets"],
    };
    build.args(["build", "-q"]).args(args).current_dir(workspace());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_package(name)) {
        build.env_remove(name);
    }
    build.env(
        "CARGO_TARGET_DIR",
        profile_dir
            .parent()
            .context("a profile folder is inside the target folder")?,
    );
    if !build.status()?.success() {
        bail!("the portico binary does not build");
    }
    Ok(profile_dir.join("portico"))
}

/// Whether cargo tells a test about its own package by this variable. Build scripts of dependencies read the same names: they are run again, and all
/// that stands on them is compiled again, when these change, now and at the next build of whoever started the test.
fn is_of_this_package(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    let families = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    variable == "OUT_DIR" || families.iter().any(|family| variable.starts_with(family))
}

/// Root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Awaits `probe` to give a value, asking again every 20 ms; errs with `what` when [`PATIENCE`] ends.
pub async fn eventually<T, F>(what: &str, probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    eventually_within(PATIENCE, what, probe).await
}

/// The same with another patience.
pub async fn eventually_within<T, F>(patience: Duration, what: &str, probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    portico_localnet::eventually(what, patience, Duration::from_millis(20), probe).await
}
