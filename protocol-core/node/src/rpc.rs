//! CometBFT-style JSON-RPC over HTTP.

use std::net::TcpListener;
use std::sync::Arc;

use portico_chain::genesis::Genesis;
use tokio_util::sync::CancellationToken;

use crate::NodeError;
use crate::api::Api;

/// Serves until `stop`.
pub(crate) async fn serve(
    _listener: TcpListener,
    _api: Api,
    _genesis: Arc<Genesis>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    stop.cancelled().await;
    Ok(())
}
