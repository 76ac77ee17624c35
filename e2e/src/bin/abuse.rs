//! Hostile clients against real role processes.
//!
//! ```text
//! abuse run [KIND…]                                  every attack at full size, or those, and what became of it
//! abuse client KIND ADDRESS COUNT SECONDS REQUEST    one hostile client; `run` starts it
//! abuse backend                                      the node behind the servicer; `run` starts it
//! ```

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use portico_e2e::abuse::{Attack, Kind, Report, client};
use portico_e2e::{Backend, Network, NetworkSpec};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["run", kinds @ ..] => {
            let kinds: Result<Vec<Kind>> = kinds.iter().map(|kind| kind.parse()).collect();
            run(&kinds?).await
        }
        ["client", kind, address, count, seconds, request] => {
            let (target, count, seconds) = (address.parse()?, count.parse()?, seconds.parse()?);
            let seen = client::run(kind.parse()?, target, count, seconds, request.as_ref()).await?;
            println!("{}", serde_json::to_string(&seen)?);
            Ok(())
        }
        ["backend"] => {
            let backend = Backend::start().await?;
            println!("{}", backend.url());
            std::future::pending().await
        }
        _ => bail!("usage: abuse run [KIND…]"),
    }
}

async fn run(kinds: &[Kind]) -> Result<()> {
    const ALONE_SECONDS: u64 = 20;
    let program = std::env::current_exe().context("this program cannot be found")?;
    // A process of its own: answers of 15 MB in the making would delay the normal clients of this one.
    let (_backend, backend_url) = backend(&program).await?;
    let spec = NetworkSpec {
        suppliers: 1,
        backend_url: Some(backend_url),
        ..NetworkSpec::default()
    };
    let network = Network::start(&spec).await?;
    network.await_an_answer().await?;
    let mut report = Report {
        alone: network.normal(ALONE_SECONDS).await?,
        outcomes: Vec::new(),
    };
    let wanted = |attack: &Attack| kinds.is_empty() || kinds.contains(&attack.kind);
    for attack in Attack::full().into_iter().filter(wanted) {
        eprintln!("{} at the {} …", attack.kind.name(), attack.target.name());
        report.outcomes.push(network.attack(attack, &program).await?);
    }
    print!("{report}");
    Ok(())
}

/// Starts the backend; it ends with what is returned.
async fn backend(program: &Path) -> Result<(Child, String)> {
    let mut backend = Command::new(program)
        .arg("backend")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = backend.stdout.take().context("the backend has no output")?;
    let url = BufReader::new(stdout).lines().next_line().await?;
    Ok((backend, url.context("the backend does not start")?))
}
