//! gRPC: any query by its path, and the transaction service.

use std::net::TcpListener;

use tokio_util::sync::CancellationToken;

use crate::NodeError;
use crate::api::Api;

/// Serves until `stop`.
pub(crate) async fn serve(
    _listener: TcpListener,
    _api: Api,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    stop.cancelled().await;
    Ok(())
}
