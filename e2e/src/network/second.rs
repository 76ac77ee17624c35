//! A servicer beside the network's own, for its last supplier.

use anyhow::{Context as _, Result};
use portico_localnet::{Output, Plan, Process, key_file};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::process::{binary, eventually};

/// Its name in files and logs.
const NAME: &str = "servicer-2";

/// Starts it, and awaits that it is ready.
pub(super) async fn start(plan: &Plan) -> Result<Process> {
    let index = plan.spec.suppliers.len() - 1;
    let address = plan.spec.suppliers[index]
        .elsewhere
        .context("it is served elsewhere")?;
    let services = plan.spec.services.iter().map(|(id, url)| {
        let websocket = plan.spec.websockets.get(id);
        let websocket = websocket.map(|url| ("websocket".to_owned(), json!({"url": url})));
        let rpc_types: Map<String, Value> = websocket.into_iter().collect();
        (
            id.to_string(),
            json!({"backend": {"url": url}, "rpc_types": rpc_types}),
        )
    });
    // JSON is YAML.
    let config = json!({
        "listen": address,
        "data_dir": plan.folder.join(NAME),
        "chain": {"rpc_url": plan.rpc_url(), "grpc_url": plan.grpc_url()},
        "suppliers": [{"file": key_file(&plan.folder, &format!("supplier-{}", index + 1))}],
        "services": services.collect::<Map<_, _>>(),
    });
    let file = plan.folder.join(NAME).with_extension("yaml");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(binary()?);
    command.arg("servicer").arg("--config").arg(&file);
    let process = Process::start(NAME, command, &Output::Logged(plan.folder.clone()))?;
    let (client, url) = (plan.http_client()?, format!("http://{address}/ready"));
    let ready = eventually("the second servicer is ready", || async {
        let answer = client.get(&url).send().await;
        Ok(answer
            .is_ok_and(|answer| answer.status().is_success())
            .then_some(()))
    });
    ready.await.with_context(|| process.tail())?;
    Ok(process)
}
