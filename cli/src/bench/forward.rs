//! `portico bench proxy`: the smallest reverse proxy that hyper makes, to measure beside: HTTP/1.1 and HTTP/2 with trailers, bodies as they come,
//! WebSockets as bytes. For calls over HTTP it stands in where no other is installed.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{Request, Response, StatusCode, Uri, Version};
use anyhow::{Context, Result};
use clap::Args;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Args)]
pub(super) struct ProxyArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where every request goes
    #[arg(long, value_name = "ADDRESS")]
    backend: SocketAddr,
}

/// Connections to the backend, by the version that the caller speaks.
struct Upstream {
    http1: Client<HttpConnector, Incoming>,
    http2: Client<HttpConnector, Incoming>,
    backend: Authority,
}

impl ProxyArgs {
    /// Forwards until the process is ended.
    pub(super) async fn run(self) -> Result<()> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("{} cannot be listened on", self.listen))?;
        serve(listener, self.backend).await
    }
}

async fn serve(listener: TcpListener, backend: SocketAddr) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = || Client::builder(TokioExecutor::new());
    let upstream = Arc::new(Upstream {
        http1: client().build(connector.clone()),
        http2: client().http2_only(true).build(connector),
        backend: backend.to_string().parse()?,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(connection(accepted?.0, Arc::clone(&upstream)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, upstream: Arc<Upstream>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Arc::clone(&upstream).forward(request));
    let server = auto::Builder::new(TokioExecutor::new());
    let served = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection failed");
    }
}

impl Upstream {
    async fn forward(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.backend.clone());
        uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from_parts(uri)?;
        if request.version() == Version::HTTP_2 {
            return Ok(self.http2.request(request).await?);
        }
        let caller = hyper::upgrade::on(&mut request);
        let mut response = self.http1.request(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let backend = hyper::upgrade::on(&mut response);
            tokio::task::spawn(copied(caller, backend)); // until one of both ends it
        }
        Ok(response)
    }
}

/// Copies what both say until one has ended.
async fn copied(caller: OnUpgrade, backend: OnUpgrade) {
    if let (Ok(caller), Ok(backend)) = tokio::join!(caller, backend) {
        let (mut caller, mut backend) = (TokioIo::new(caller), TokioIo::new(backend));
        _ = tokio::io::copy_bidirectional(&mut caller, &mut backend).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portico_localnet::local;
    use tokio::net::TcpListener;

    use crate::bench::backend;
    use crate::bench::client::tests::client;
    use crate::bench::transport::Transport;
    use crate::bench::turns::Turns;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_transport_is_passed_on() {
        let turns = Turns::default();
        let backend = backend::start(5_000, turns.clone()).await.unwrap();
        let listener = TcpListener::bind(local(0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let calls = async {
            for (transport, per_call) in [
                (Transport::Http, 1),
                (Transport::Ws, 5),
                (Transport::Sse, 5),
                (Transport::Grpc, 1),
            ] {
                let client = client(&url, transport, per_call, turns.clone());
                let measured = client.run(4, 50, Duration::from_secs(20)).await.unwrap();
                assert_eq!(
                    (measured.calls(), measured.answer_bytes),
                    (50, 5_000),
                    "{transport:?}"
                );
            }
        };
        tokio::select! {
            served = super::serve(listener, backend) => panic!("{served:?}"),
            () = calls => {}
        }
    }
}
