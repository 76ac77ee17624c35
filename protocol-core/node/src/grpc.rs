//! gRPC: any query by its path, the SDK's transaction and block services, and reflection.
//!
//! No service but reflection is compiled in: a path and bytes go to the same router that the in-process chain asks. A question may name
//! the height whose state it is about in the metadata [`HEIGHT`]; the answer says its height there.

mod base;
mod node;
mod tx;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use portico_client::RawCodec;
use portico_net::Listener;
use portico_protocol::wire::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio_util::sync::CancellationToken;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Status};

use crate::NodeError;
use crate::api::{Api, ApiError};

/// Largest request, in bytes: a transaction of the largest size that may be configured, and a little.
const MAX_REQUEST_BYTES: usize = 9 << 20;
/// Metadata key of the height that an answer is of, and that a question may name.
const HEIGHT: &str = "x-cosmos-block-height";

/// Paths of the methods that are served, as metrics name them.
static METHODS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)
        .unwrap_or_default()
        .file;
    let paths = files.iter().flat_map(|file| {
        file.service.iter().flat_map(|service| {
            let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
            service.method.iter().map(move |method| path(method.name()))
        })
    });
    paths.collect()
});

/// Serves until `stop`.
pub(crate) async fn serve(listener: Listener, api: Api, stop: CancellationToken) -> Result<(), NodeError> {
    let failed = |source| NodeError::Serve {
        server: "gRPC",
        source,
    };
    let router =
        reflection(Router::new().fallback(unary)).map_err(|error| failed(std::io::Error::other(error)))?;
    listener.serve(router.with_state(api), stop).await.map_err(failed)
}

/// Adds reflection, by both names that clients use.
fn reflection(router: Router<Api>) -> Result<Router<Api>, tonic_reflection::server::Error> {
    fn path<S: NamedService>(_: &S) -> String {
        format!("/{}/{{*method}}", S::NAME)
    }
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure();
        builder.register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (builder().build_v1()?, builder().build_v1alpha()?);
    Ok(router
        .route_service(&path(&v1), v1)
        .route_service(&path(&v1alpha), v1alpha))
}

async fn unary(State(api): State<Api>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let metrics = api.metrics.clone();
    let mut grpc = Grpc::new(RawCodec).max_decoding_message_size(MAX_REQUEST_BYTES);
    metrics.count(
        "grpc",
        METHODS
            .get(&path)
            .map_or("unknown", |path| path.trim_start_matches('/')),
    );
    let answer = grpc.unary(Method { api, path }, request).await;
    answer.map(axum::body::Body::new)
}

/// A method by its path.
struct Method {
    api: Api,
    path: String,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (api, path) = (self.api.clone(), std::mem::take(&mut self.path));
        Box::pin(answer(api, path, request))
    }
}

/// Services that are no queries over state, with what comes before their methods.
const SERVICES: [(&str, Kind); 4] = [
    ("/cosmos.tx.v1beta1.Service/", Kind::Transactions),
    ("/cosmos.base.tendermint.v1beta1.Service/", Kind::Blocks),
    ("/cosmos.base.node.v1beta1.Service/", Kind::Node),
    ("/cosmos.consensus.v1.Query/", Kind::Consensus),
];

#[derive(Clone, Copy)]
enum Kind {
    Transactions,
    Blocks,
    Node,
    Consensus,
}

/// Answers a method of a service that is no query over state; `None` when `path` is of none. `height` is the one that was asked for.
pub(crate) async fn service(
    api: &Api,
    path: &str,
    request: &[u8],
    height: Option<i64>,
) -> Option<Result<Bytes, Status>> {
    let (prefix, kind) = SERVICES.iter().find(|(prefix, _)| path.starts_with(prefix))?;
    let method = &path[prefix.len()..];
    Some(match kind {
        Kind::Transactions => tx::answer(api, method, request).await,
        Kind::Blocks => base::answer(api, method, request).await,
        Kind::Node => node::answer(api, method, height).await,
        Kind::Consensus => node::consensus(method),
    })
}

async fn answer(
    api: Api,
    path: String,
    request: tonic::Request<Bytes>,
) -> Result<tonic::Response<Bytes>, Status> {
    if let Some(answer) = service(&api, &path, request.get_ref(), wanted_height(&request)?).await {
        return Ok(tonic::Response::new(answer?));
    }
    let wanted = wanted_height(&request)?;
    let (answer, height) = api
        .query(path, request.into_inner(), wanted)
        .await
        .map_err(|error| status(&error))?;
    let mut response = tonic::Response::new(answer);
    response.metadata_mut().insert(HEIGHT, height.into());
    Ok(response)
}

/// The height that a question names; 0 stands for the newest.
fn wanted_height(request: &tonic::Request<Bytes>) -> Result<Option<i64>, Status> {
    let Some(value) = request.metadata().get(HEIGHT) else {
        return Ok(None);
    };
    let height = value.to_str().ok().and_then(|text| text.parse().ok());
    let height: i64 = height.ok_or_else(|| Status::invalid_argument(format!("{HEIGHT} is no height")))?;
    Ok((height != 0).then_some(height))
}

fn read<T: Message + Default>(request: &[u8]) -> Result<T, Status> {
    T::decode(request).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The status that says why there is no answer.
fn status(error: &ApiError) -> Status {
    let code = match error {
        ApiError::Query(error) => Code::from_i32(error.grpc_code()),
        ApiError::Absent(_) | ApiError::NoHeight(_) => Code::NotFound,
        ApiError::Refused(_)
        | ApiError::Future { .. }
        | ApiError::FutureState { .. }
        | ApiError::NotRetained { .. } => Code::InvalidArgument,
        ApiError::Aborted => Code::Unavailable,
        ApiError::Mempool(_) | ApiError::Store(_) | ApiError::Damaged(_) => Code::Internal,
    };
    Status::new(code, error.to_string())
}
