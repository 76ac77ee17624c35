//! The feature files, run against real processes: `cargo test -p portico-e2e --test features`.
//!
//! `PORTICO_E2E_NODE=0` leaves out scenarios tagged `@node`, and those tagged `@nightly` run with `PORTICO_E2E_NIGHTLY=1` only; other arguments are cucumber's (`--name REGEX`, …).

mod steps;

use cucumber::{World as _, WriterExt as _, writer};
use steps::World;

#[tokio::main]
async fn main() {
    let with_node = std::env::var("PORTICO_E2E_NODE").is_ok_and(|value| value == "1");
    let nightly = std::env::var("PORTICO_E2E_NIGHTLY").is_ok_and(|value| value == "1");
    let features = concat!(env!("CARGO_MANIFEST_DIR"), "/features");
    World::cucumber()
        .max_concurrent_scenarios(1)
        .fail_on_skipped()
        .with_writer(writer::Basic::stdout().summarized().assert_normalized())
        .filter_run_and_exit(features, move |feature, _, scenario| {
            let tagged = |tag: &str| feature.tags.iter().chain(&scenario.tags).any(|t| t == tag);
            (with_node || !tagged("node")) && (nightly || !tagged("nightly"))
        })
        .await;
}
