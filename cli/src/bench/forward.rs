//! `portico bench proxy`: the smallest reverse proxy that hyper makes, to measure a relay beside where no other is installed.

use std::net::SocketAddr;

use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{Request, Response, Uri};
use anyhow::{Context, Result};
use clap::Args;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
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

type Upstream = Client<HttpConnector, Incoming>;

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
    let upstream = Client::builder(TokioExecutor::new()).build(connector);
    let backend: Authority = backend.to_string().parse()?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(connection(accepted?.0, upstream.clone(), backend.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, upstream: Upstream, backend: Authority) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| forward(request, &upstream, &backend));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection failed");
    }
}

async fn forward(
    mut request: Request<Incoming>,
    upstream: &Upstream,
    backend: &Authority,
) -> Result<Response<Incoming>> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(backend.clone());
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(uri)?;
    Ok(upstream.request(request).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portico_localnet::local;
    use portico_net::tls::ClientTls;
    use tokio::net::TcpListener;

    use crate::bench::{backend, client};

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_are_passed_on() {
        let backend = backend::start(5_000).await.unwrap();
        let listener = TcpListener::bind(local(0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = client::Client::new(&format!("http://{address}/v1"), ClientTls::public()).unwrap();
        let calls = client.run(4, 50, Duration::from_secs(20));
        let measured = tokio::select! {
            served = super::serve(listener, backend) => panic!("{served:?}"),
            measured = calls => measured.unwrap(),
        };
        assert_eq!((measured.calls(), measured.answer_bytes), (50, 5_000));
    }
}
