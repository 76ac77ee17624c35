//! relay.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{then, when};
use serde_json::{Value, json};

use super::World;

#[when(regex = r#"^the dApp calls "(.+)"$"#)]
async fn the_dapp_calls(world: &mut World, method: String) -> Result<()> {
    let dapp = world.network().await?.dapp();
    let answer = dapp.call("an id of mine", &method).await?;
    world.answers = vec![answer];
    Ok(())
}

#[then("the answer is the backend's, with the dApp's id")]
fn the_answer_is_the_backends(world: &mut World) -> Result<()> {
    let answer = &world.answers[0];
    ensure!(answer.is_result(), "not a result: {answer:?}");
    ensure!(answer.body["id"] == "an id of mine", "other id: {}", answer.body);
    ensure!(
        answer.body["result"] == "0x0",
        "not the backend's first answer: {}",
        answer.body
    );
    Ok(())
}

#[then("the answer names a supplier of the current session")]
async fn the_answer_names_a_supplier(world: &mut World) -> Result<()> {
    let answer = world.answers[0].clone();
    let supplier = answer
        .header("x-supplier-address")
        .context("no X-Supplier-Address")?;
    let session_id = answer.header("x-session-id").context("no X-Session-ID")?;
    ensure!(
        answer.header("x-attempts") == Some("1"),
        "X-Attempts is {:?}",
        answer.header("x-attempts")
    );
    ensure!(
        answer.header("x-relay-id").is_some_and(|id| id.len() == 64),
        "no X-Relay-Id"
    );
    let session = world.network().await?.session_with_id(session_id).await?;
    ensure!(
        session.suppliers.iter().any(|s| s.operator_address == supplier),
        "{supplier} is not in the session {session_id}"
    );
    Ok(())
}

#[when(regex = r#"^the dApp sends a batch with the ids 7, "seven", null and 9007199254740993$"#)]
async fn the_dapp_sends_a_batch(world: &mut World) -> Result<()> {
    let batch: Vec<Value> = ids()
        .into_iter()
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "eth_blockNumber"}))
        .collect();
    let answer = world.network().await?.dapp().send(&Value::Array(batch)).await?;
    world.answers = vec![answer];
    Ok(())
}

fn ids() -> Vec<Value> {
    vec![
        json!(7),
        json!("seven"),
        Value::Null,
        json!(9_007_199_254_740_993_u64),
    ]
}

#[then("the batch answers carry those ids in that order")]
fn the_batch_keeps_its_order(world: &mut World) -> Result<()> {
    let answer = &world.answers[0];
    ensure!(answer.status == 200, "HTTP {}: {}", answer.status, answer.body);
    let items = answer.body.as_array().context("not an array")?;
    let got: Vec<Value> = items.iter().map(|item| item["id"].clone()).collect();
    ensure!(got == ids(), "ids came back as {got:?}");
    ensure!(
        items.iter().all(|item| item["result"].is_string()),
        "not all results: {}",
        answer.body
    );
    Ok(())
}

#[then("each item cost one relay")]
async fn each_item_cost_one_relay(world: &mut World) -> Result<()> {
    let calls = world.network().await?.backend_calls();
    ensure!(calls == 4, "the backend was called {calls} times");
    Ok(())
}

#[when(regex = r"^(\d+) clients call without pause over (\d+) sessions$")]
async fn clients_call_over_sessions(world: &mut World, clients: usize, sessions: u64) -> Result<()> {
    let network = world.network().await?;
    let outcome = network.call_over_sessions(clients, sessions).await?;
    world.rollovers = outcome.sessions_seen;
    world.failures = outcome.failures;
    ensure!(outcome.calls > 0, "nobody called");
    Ok(())
}

#[then("no call failed")]
fn no_call_failed(world: &mut World) -> Result<()> {
    ensure!(
        world.failures.is_empty(),
        "{} calls failed, first: {}",
        world.failures.len(),
        world.failures[0]
    );
    Ok(())
}

#[then("the gateway looked up 1 session per rollover")]
async fn one_look_up_per_rollover(world: &mut World) -> Result<()> {
    let sessions = world.rollovers;
    let lookups = world.network().await?.session_lookups().await?;
    // The last rollover may have been fetched ahead of the last call.
    ensure!(
        lookups == sessions || lookups == sessions + 1,
        "{lookups} look-ups for {sessions} sessions"
    );
    Ok(())
}
