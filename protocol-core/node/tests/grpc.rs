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
    assert_eq!(client.code(application, b"\x0a\x01x", None).await, Code::NotFound);
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
async fn a_question_about_a_height_is_answered_from_its_state() {
    let node = Running::new().await;
    let client = Client::new(&node).await;
    let path = "/cosmos.bank.v1beta1.Query/Balance";
    let request = cosmos::bank::v1beta1::QueryBalanceRequest {
        address: key(1).address().to_string(),
        denom: "upokt".into(),
    };
    let balance = async |height: Option<&str>| {
        let answer = client
            .call(path, request.encode_to_vec(), height)
            .await
            .expect("answered");
        let told = answer
            .metadata()
            .get("x-cosmos-block-height")
            .expect("told")
            .clone();
        let balance = cosmos::bank::v1beta1::QueryBalanceResponse::decode(answer.into_inner());
        let coin = balance.expect("an answer").balance.expect("there");
        (coin.amount, told.to_str().expect("ASCII").to_owned())
    };
    let before = balance(None).await;
    assert_eq!(before.1, "1");
    let tx = node.transfer(1, 5).await;
    assert_eq!(node.chain.broadcast(tx).await.expect("sent").code, 0);
    node.reach(Height(2)).await;
    let after = balance(None).await;
    assert_eq!(after.1, "2");
    assert_ne!(after.0, before.0);
    assert_eq!(balance(Some("1")).await, before, "the older state");
    assert_eq!(balance(Some("2")).await, after);
    assert_eq!(balance(Some("0")).await, after, "0 is the newest");
    for height in ["3", "-1", "x", "9223372036854775808"] {
        let found = client.code(path, b"", Some(height)).await;
        assert_eq!(found, Code::InvalidArgument, "{height}");
    }
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_names_every_service_and_each_method_named_is_there() {
    use prost_types::{FileDescriptorProto, FileDescriptorSet};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let node = Running::new().await;
    let client = Client::new(&node).await;
    let mut reflection = ServerReflectionClient::new(client.0.clone());
    let mut ask = async |message| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let stream = reflection
            .server_reflection_info(tonic::codegen::tokio_stream::once(request))
            .await;
        let answer = stream
            .expect("answered")
            .into_inner()
            .message()
            .await
            .expect("a message");
        answer.expect("one").message_response.expect("filled")
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("a list is expected");
    };
    let listed: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in portico_chain::query::services().iter().chain(&[
        "cosmos.tx.v1beta1.Service",
        "cosmos.base.tendermint.v1beta1.Service",
        "grpc.reflection.v1.ServerReflection",
    ]) {
        assert!(
            listed.iter().any(|listed| listed == name),
            "{name} is not in {listed:?}"
        );
    }
    let symbol = MessageRequest::FileContainingSymbol("pocket.session.Query".into());
    let MessageResponse::FileDescriptorResponse(file) = ask(symbol).await else {
        panic!("a file is expected");
    };
    let file = FileDescriptorProto::decode(file.file_descriptor_proto[0].as_slice()).expect("a descriptor");
    assert_eq!(file.package(), "pocket.session");
    for import in &file.dependency {
        let answer = ask(MessageRequest::FileByFilename(import.clone())).await;
        assert!(
            matches!(answer, MessageResponse::FileDescriptorResponse(_)),
            "{import}"
        );
    }
    let all = FileDescriptorSet::decode(portico_protocol::wire::FILE_DESCRIPTOR_SET).expect("descriptors");
    let mut methods = 0;
    for file in &all.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                assert_ne!(client.code(&path, b"", None).await, Code::Unimplemented, "{path}");
                methods += 1;
            }
        }
    }
    assert!(methods > 40, "{methods}");
    node.stop().await.expect("in order");
}

/// The block service in the messages of the SDK, whose bytes are those of CometBFT's own.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_validators_are_served_as_the_sdk_does() {
    use cosmos::base::tendermint::v1beta1 as base;

    let node = Running::new().await;
    let client = Client::new(&node).await;
    let ask = async |method: &str, request: Vec<u8>| {
        let path = format!("/cosmos.base.tendermint.v1beta1.Service/{method}");
        client.call(&path, request, None).await.map(Response::into_inner)
    };
    let info = ask("GetNodeInfo", vec![]).await.expect("answered");
    let info = base::GetNodeInfoResponse::decode(info).expect("an answer");
    assert_eq!(info.default_node_info.expect("there").network, common::CHAIN_ID);
    let latest = ask("GetLatestBlock", vec![]).await.expect("answered");
    let request = base::GetBlockByHeightRequest { height: 1 };
    let first = ask("GetBlockByHeight", request.encode_to_vec())
        .await
        .expect("answered");
    assert_eq!(first, latest);
    let latest = base::GetLatestBlockResponse::decode(latest).expect("an answer");
    let (block, sdk) = (latest.block.expect("there"), latest.sdk_block.expect("there"));
    let raw =
        tendermint_proto::v0_38::types::Block::decode(block.encode_to_vec().as_slice()).expect("the same");
    assert_eq!(raw.encode_to_vec(), block.encode_to_vec());
    let hash = node.chain.head().borrow().hash;
    assert_eq!(latest.block_id.expect("there").hash, hash);
    let header = sdk.header.expect("there");
    assert_eq!(header.app_hash, block.header.expect("there").app_hash);
    let set = ask("GetLatestValidatorSet", vec![]).await.expect("answered");
    let set = base::GetLatestValidatorSetResponse::decode(set).expect("an answer");
    assert_eq!(set.validators[0].address, header.proposer_address);
    assert!(
        header.proposer_address.starts_with("poktvalcons1"),
        "{}",
        header.proposer_address
    );
    let pub_key = set.validators[0].pub_key.as_ref().expect("there");
    assert_eq!(pub_key.type_url, "/cosmos.crypto.ed25519.PubKey");
    let syncing = ask("GetSyncing", vec![]).await.expect("answered");
    assert!(
        !base::GetSyncingResponse::decode(syncing)
            .expect("an answer")
            .syncing
    );
    for height in [0, 2, -1] {
        let request = base::GetBlockByHeightRequest { height };
        let refused = ask("GetBlockByHeight", request.encode_to_vec())
            .await
            .expect_err("no such height");
        assert_eq!(refused.code(), Code::InvalidArgument, "{height}");
    }
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_simulated_and_found_by_their_events() {
    use cosmos::tx::v1beta1::{
        GetTxsEventRequest, GetTxsEventResponse, OrderBy, SimulateRequest, SimulateResponse,
    };

    let node = Running::new().await;
    let client = Client::new(&node).await;
    let tx = node.transfer(1, 5).await;
    let request = SimulateRequest {
        tx_bytes: tx.to_vec(),
        ..SimulateRequest::default()
    };
    let path = "/cosmos.tx.v1beta1.Service/Simulate";
    let answer = client
        .call(path, request.encode_to_vec(), None)
        .await
        .expect("answered");
    let answer = SimulateResponse::decode(answer.into_inner()).expect("an answer");
    assert!(answer.gas_info.expect("there").gas_used > 0);
    assert_eq!(
        answer.result.expect("there").msg_responses[0].type_url,
        "/cosmos.bank.v1beta1.MsgSendResponse"
    );
    for height in 2..5 {
        let tx = node.transfer(1, 5).await;
        assert_eq!(node.chain.broadcast(tx).await.expect("sent").code, 0);
        node.reach(Height(height)).await;
    }
    let search = async |request: GetTxsEventRequest| {
        let path = "/cosmos.tx.v1beta1.Service/GetTxsEvent";
        let answer = client.call(path, request.encode_to_vec(), None).await?;
        Ok::<_, Status>(GetTxsEventResponse::decode(answer.into_inner()).expect("an answer"))
    };
    let query = format!("message.sender='{}'", key(1).address());
    let found = search(GetTxsEventRequest {
        query: query.clone(),
        limit: 2,
        order_by: OrderBy::Desc.into(),
        ..GetTxsEventRequest::default()
    });
    let found = found.await.expect("found");
    let heights: Vec<_> = found.tx_responses.iter().map(|tx| tx.height).collect();
    assert_eq!((found.total, heights), (3, vec![4, 3]));
    let by_events = search(GetTxsEventRequest {
        events: vec![query, "tx.height<=3".into()],
        ..GetTxsEventRequest::default()
    });
    assert_eq!(by_events.await.expect("found").txs.len(), 2);
    let refused = async |query: &str, page| {
        let request = GetTxsEventRequest {
            query: query.into(),
            page,
            ..GetTxsEventRequest::default()
        };
        search(request).await.expect_err("refused").code()
    };
    for (query, page) in [
        ("", 0),
        ("tx.height", 0),
        ("tx.height=2", 2),
        ("tx.height=2", u64::MAX),
    ] {
        assert_eq!(refused(query, page).await, Code::InvalidArgument, "{query}");
    }
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
