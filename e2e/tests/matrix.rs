//! `e2e/matrix.md` against real processes: `cargo test -p portico-e2e --test matrix`.
//!
//! `-- TEXT` runs the cells whose names have this text; `-- --accept` writes what is seen into the table, for review.

use anyhow::{Result, ensure};
use portico_e2e::matrix::{self, Key, Table};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let accept = arguments.iter().any(|argument| argument == "--accept");
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/matrix.md");
    let table = Table::read(&std::fs::read_to_string(file)?)?;
    let mut keys = table.tried();
    keys.retain(|key: &Key| wanted.is_empty() || wanted.iter().any(|text| key.to_string().contains(*text)));
    let seen = matrix::run(&keys).await?;
    if accept {
        std::fs::write(file, table.accept(&seen))?;
        return Ok(());
    }
    let differences = table.differences(&seen);
    ensure!(differences.is_empty(), "not as {file} says:\n{differences}");
    println!(
        "{} cells of transports and conditions, all as in the table",
        seen.len()
    );
    Ok(())
}
