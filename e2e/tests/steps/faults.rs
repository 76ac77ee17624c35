//! faults.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use portico_e2e::Forgery;

use super::World;

#[when("a relay request is changed after it was signed and sent to the supplier")]
async fn a_changed_request(world: &mut World) -> Result<()> {
    world.relay_error = Some(
        world
            .network()
            .await?
            .send_forged(Forgery::ChangedPayload)
            .await?,
    );
    Ok(())
}

#[when("a relay request is signed by a key outside the application's ring and sent to the supplier")]
async fn a_strangers_request(world: &mut World) -> Result<()> {
    world.relay_error = Some(world.network().await?.send_forged(Forgery::StrangersRing).await?);
    Ok(())
}

#[when("a relay request names the supplier outside the session")]
async fn a_request_for_a_foreign_supplier(world: &mut World) -> Result<()> {
    world.relay_error = Some(
        world
            .network()
            .await?
            .send_forged(Forgery::ForeignSupplier)
            .await?,
    );
    Ok(())
}

#[then("the supplier refuses it for its ring signature")]
fn refused_for_its_ring(world: &mut World) -> Result<()> {
    let error = world.relay_error.as_deref().context("the relay was answered")?;
    ensure!(error.contains("ring"), "refused for another reason: {error}");
    Ok(())
}

#[then("the supplier refuses it because it is not in the session")]
fn refused_for_its_session(world: &mut World) -> Result<()> {
    let error = world.relay_error.as_deref().context("the relay was answered")?;
    ensure!(error.contains("session"), "refused for another reason: {error}");
    Ok(())
}

#[then("the backend was not called")]
async fn backend_untouched(world: &mut World) -> Result<()> {
    let calls = world.network().await?.backend_calls();
    ensure!(calls == 0, "the backend was called {calls} times");
    Ok(())
}

#[then("every call is answered by the honest supplier")]
async fn answered_by_the_honest_one(world: &mut World) -> Result<()> {
    let honest = world.network().await?.supplier_address(0)?;
    for answer in &world.answers {
        ensure!(answer.is_result(), "not answered: {answer:?}");
        ensure!(
            answer.header("x-supplier-address") == Some(honest.as_str()),
            "answered by another: {answer:?}"
        );
    }
    Ok(())
}

#[then("the gateway counted the garbage")]
async fn garbage_counted(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    ensure!(network.liar_was_asked(), "the lying supplier was never asked");
    let text = network.gateway_metrics().await?;
    let counted = text
        .lines()
        .any(|l| !l.starts_with('#') && l.contains("signature") && !l.ends_with(" 0"));
    ensure!(counted, "no metric counts a bad signature:\n{text}");
    Ok(())
}

#[then(regex = r#"^the dApp gets HTTP (\d+) and the reason "(.+)"$"#)]
fn the_dapp_gets(world: &mut World, status: u16, reason: String) -> Result<()> {
    let answer = &world.answers[0];
    ensure!(
        answer.status == status && answer.reason() == Some(&reason),
        "got HTTP {}: {}",
        answer.status,
        answer.body
    );
    ensure!(answer.body["id"] == "an id of mine", "other id: {}", answer.body);
    Ok(())
}

#[given("the backend is down")]
async fn the_backend_is_down(world: &mut World) -> Result<()> {
    world.network().await?.backend_down().await
}

#[then("once the backend is back the dApp is answered")]
async fn answered_once_back(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    network.backend_up().await?;
    network.await_an_answer().await
}

#[then(regex = r#"^(\d+) calls are answered and the others get the reason "(.+)"$"#)]
fn some_are_answered(world: &mut World, answered: usize, reason: String) -> Result<()> {
    let results = world.answers.iter().filter(|answer| answer.is_result()).count();
    ensure!(results == answered, "{results} calls were answered");
    for answer in world.answers.iter().filter(|answer| !answer.is_result()) {
        ensure!(
            answer.reason() == Some(&reason),
            "another reason: HTTP {} {}",
            answer.status,
            answer.body
        );
    }
    Ok(())
}
