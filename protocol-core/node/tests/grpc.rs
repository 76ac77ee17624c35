//! gRPC as any client speaks it, and the captured queries of the Go implementation.

mod common;

use bytes::Bytes;
use common::{Running, key};
use portico_client::RawCodec;
use portico_protocol::Height;
use portico_protocol::wire::cosmos::tx::v1beta1::{
    BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetTxRequest, GetTxResponse,
};
use portico_protocol::wire::{cosmos, pocket};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

struct Client(Channel);

impl Client {
    async fn new(node: &Running) -> Self {
        let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
        Self(endpoint.connect().await.expect("it listens"))
    }

    async fn call(
        &self,
        path: &str,
        bytes: impl Into<Bytes>,
        height: Option<&str>,
    ) -> Result<Response<Bytes>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.expect("connected");
        let mut metadata = MetadataMap::new();
        if let Some(height) = height {
            metadata.insert("x-cosmos-block-height", height.parse().expect("ASCII"));
        }
        let request = Request::from_parts(metadata, Default::default(), bytes.into());
        grpc.unary(request, PathAndQuery::try_from(path).expect("a path"), RawCodec)
            .await
    }

    async fn code(&self, path: &str, bytes: &'static [u8], height: Option<&str>) -> Code {
        match self.call(path, Bytes::from_static(bytes), height).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_say_what_is_wrong() {
    let node = Running::new().await;
    let client = Client::new(&node).await;
    let params = "/pocket.shared.Query/Params";
    assert_eq!(client.code(params, b"", None).await, Code::Ok);
    assert_eq!(
        client.code("/pocket.shared.Query/Nothing", b"", None).await,
        Code::Unimplemented
    );
    assert_eq!(client.code("/a.b.C/D", b"", None).await, Code::Unimplemented);
    assert_eq!(
        client.code("/cosmos.tx.v1beta1.Service/Nothing", b"", None).await,
        Code::Unimplemented
    );
    let application = "/pocket.application.Query/Application";
    assert_eq!(
        client.code(application, b"\xff", None).await,
        Code::InvalidArgument
    );
    assert_eq!(
        client.code(application, b"\x0a\x01x", None).await,
        Code::InvalidArgument
    );
    let absent = pocket::application::QueryGetApplicationRequest {
        address: key(99).address().to_string(),
    };
    let status = client
        .call(application, absent.encode_to_vec(), None)
        .await
        .expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_are_told_and_other_heights_refused() {
    let node = Running::new().await;
    let client = Client::new(&node).await;
    let path = "/pocket.shared.Query/Params";
    let answer = client.call(path, Bytes::new(), None).await.expect("answered");
    assert_eq!(answer.metadata().get("x-cosmos-block-height").expect("told"), "1");
    assert_eq!(client.code(path, b"", Some("0")).await, Code::Ok);
    assert_eq!(client.code(path, b"", Some("1")).await, Code::Ok);
    assert_eq!(client.code(path, b"", Some("2")).await, Code::FailedPrecondition);
    assert_eq!(client.code(path, b"", Some("x")).await, Code::InvalidArgument);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_sent_and_found() {
    let node = Running::new().await;
    let client = Client::new(&node).await;
    let tx = node.transfer(1, 5).await;
    let request = BroadcastTxRequest {
        tx_bytes: tx.to_vec(),
        mode: BroadcastMode::Sync.into(),
    };
    let path = "/cosmos.tx.v1beta1.Service/BroadcastTx";
    let sent = async || {
        let answer = client
            .call(path, request.encode_to_vec(), None)
            .await
            .expect("answered");
        let answer = BroadcastTxResponse::decode(answer.into_inner()).expect("an answer");
        answer.tx_response.expect("there")
    };
    let first = sent().await;
    assert_eq!(first.code, 0, "{}", first.raw_log);
    node.reach(Height(2)).await;
    assert_eq!(sent().await.code, 19);
    let path = "/cosmos.tx.v1beta1.Service/GetTx";
    let request = GetTxRequest {
        hash: first.txhash.clone(),
    };
    let found = client
        .call(path, request.encode_to_vec(), None)
        .await
        .expect("found");
    let found = GetTxResponse::decode(found.into_inner()).expect("an answer");
    let response = found.tx_response.expect("there");
    assert_eq!(
        (response.height, response.code, &response.txhash),
        (2, 0, &first.txhash)
    );
    assert_eq!(found.tx.expect("there").body.expect("there").messages.len(), 1);
    let absent = GetTxRequest {
        hash: "00".repeat(32),
    };
    let status = client
        .call(path, absent.encode_to_vec(), None)
        .await
        .expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    node.stop().await.expect("in order");
}

fn captured(name: &str, part: &str) -> Vec<u8> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| own.to_owned());
    let path = format!("{folder}/wire/query.{name}.{part}.bin");
    std::fs::read(&path).expect(&path)
}

/// Decodes and encodes a captured query and its answer; the bytes must come back.
fn round_trip<Q: Message + Default, A: Message + Default>(name: &str) -> A {
    let (request, response) = (captured(name, "request"), captured(name, "response"));
    let decoded = Q::decode(request.as_slice()).expect(name);
    assert_eq!(decoded.encode_to_vec(), request, "request of {name}");
    let answer = A::decode(response.as_slice()).expect(name);
    assert_eq!(answer.encode_to_vec(), response, "response of {name}");
    answer
}

#[test]
fn captured_queries_and_answers_keep_their_bytes() {
    use cosmos::auth::v1beta1 as auth;
    use pocket::{application, proof, service, session, shared, supplier, tokenomics};

    round_trip::<application::QueryGetApplicationRequest, application::QueryGetApplicationResponse>(
        "application.Application",
    );
    for actor in ["app1", "gateway1", "supplier1"] {
        let name = format!("auth.Account.{actor}");
        round_trip::<auth::QueryAccountRequest, auth::QueryAccountResponse>(&name);
    }
    round_trip::<proof::QueryParamsRequest, proof::QueryParamsResponse>("proof.Params");
    round_trip::<service::QueryGetRelayMiningDifficultyRequest, service::QueryGetRelayMiningDifficultyResponse>(
        "service.RelayMiningDifficulty",
    );
    round_trip::<service::QueryGetServiceRequest, service::QueryGetServiceResponse>("service.Service");
    round_trip::<session::QueryGetSessionRequest, session::QueryGetSessionResponse>("session.GetSession");
    round_trip::<session::QueryParamsRequest, session::QueryParamsResponse>("session.Params");
    round_trip::<shared::QueryParamsRequest, shared::QueryParamsResponse>("shared.Params");
    round_trip::<supplier::QueryGetSupplierRequest, supplier::QueryGetSupplierResponse>("supplier.Supplier");
    round_trip::<tokenomics::QueryParamsRequest, tokenomics::QueryParamsResponse>("tokenomics.Params");
}

/// Each captured request, sent as it is, is understood: answered, or its object is not there.
#[tokio::test(flavor = "multi_thread")]
async fn captured_requests_are_understood() {
    let node = Running::new().await;
    let client = Client::new(&node).await;
    for (name, module, method, code) in [
        (
            "application.Application",
            "pocket.application",
            "Application",
            Code::NotFound,
        ),
        (
            "auth.Account.app1",
            "cosmos.auth.v1beta1",
            "Account",
            Code::NotFound,
        ),
        (
            "auth.Account.gateway1",
            "cosmos.auth.v1beta1",
            "Account",
            Code::NotFound,
        ),
        (
            "auth.Account.supplier1",
            "cosmos.auth.v1beta1",
            "Account",
            Code::NotFound,
        ),
        ("proof.Params", "pocket.proof", "Params", Code::Ok),
        (
            "service.RelayMiningDifficulty",
            "pocket.service",
            "RelayMiningDifficulty",
            Code::NotFound,
        ),
        ("service.Service", "pocket.service", "Service", Code::NotFound),
        ("session.Params", "pocket.session", "Params", Code::Ok),
        ("shared.Params", "pocket.shared", "Params", Code::Ok),
        ("supplier.Supplier", "pocket.supplier", "Supplier", Code::NotFound),
        ("tokenomics.Params", "pocket.tokenomics", "Params", Code::Ok),
    ] {
        let path = format!("/{module}.Query/{method}");
        let result = client.call(&path, captured(name, "request"), None).await;
        assert_eq!(
            result.map_or_else(|status| status.code(), |_| Code::Ok),
            code,
            "{name}"
        );
    }
    let session = captured("session.GetSession", "request");
    let refused = client
        .call("/pocket.session.Query/GetSession", session, None)
        .await
        .expect_err("no such height");
    assert_ne!(refused.code(), Code::Unimplemented, "{refused}");
    node.stop().await.expect("in order");
}
