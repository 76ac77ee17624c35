//! REST and CometBFT through the gateway, and what PATH's and pocket-ap's callers may say.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use portico_config::gateway::{Batches, GatewayConfig, ServiceConfig};
use portico_config::servicer::RpcType as Offered;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use serde_json::json;
use support::{APPLICATION, Answer, Manner, Net, call, config, key, net, net_on, service, staked_for};

fn response(status: u32, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Manner {
    let mut header: BTreeMap<String, Header> = BTreeMap::new();
    for (name, value) in fields {
        let entry = header.entry((*name).to_owned()).or_default();
        entry.key = (*name).to_owned();
        entry.values.push((*value).to_owned());
    }
    Manner::Response(PokthttpResponse {
        status_code: status,
        header,
        body_bz: body.into(),
    })
}

async fn net_for(kinds: &[RpcType], config: GatewayConfig) -> Net {
    let (chain, suppliers) = staked_for(kinds).await;
    net_on(config, chain, suppliers).await
}

fn special(special: ServiceConfig) -> GatewayConfig {
    GatewayConfig {
        services: [(service("eth"), special)].into(),
        ..config()
    }
}

fn last(net: &Net, supplier: usize) -> PokthttpRequest {
    net.suppliers[supplier]
        .seen
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}

async fn ask(net: &Net, method: Method, path: &str, fields: &[(&str, &str)], body: &'static str) -> Answer {
    let mut request = net
        .client
        .request(method, format!("{}{path}", net.url))
        .body(body);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    net.send(request).await
}

#[tokio::test]
async fn rest_goes_to_the_backend_as_called_and_comes_back_as_answered() {
    let net = net_for(&[RpcType::Rest], config()).await;
    let fields = [
        ("Content-Type", "text/plain; charset=latin1"),
        ("Link", "</1>; rel=next"),
        ("Link", "</2>; rel=last"),
        ("Etag", "\"1\""),
        ("Set-Cookie", "a=b"),
        ("Server", "node"),
        ("Transfer-Encoding", "chunked"),
    ];
    net.suppliers[0].behave(response(201, &fields, &b"\x00\xffmade"[..]));
    let sent = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("If-None-Match", "\"0\""),
        ("Authorization", "Bearer secret"),
        ("Cookie", "a=b"),
        ("Connection", "keep-alive, if-none-match"),
    ];
    let answer = ask(&net, Method::PUT, "/v1/eth/a%2Fb//c/?z=a%20b&a=", &sent, "k=v").await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=latin1"));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.headers.get_all("link").iter().count(), 2);
    assert_eq!(
        (answer.header("set-cookie"), answer.header("server")),
        (None, None)
    );
    let address = net.suppliers[0].address().to_string();
    assert_eq!(answer.header("x-supplier-address"), Some(address.as_str()));
    assert_eq!(answer.header("x-hedge-result"), Some("no_hedge"));
    assert_eq!(answer.header("x-archival-request"), Some("false"));

    let seen = last(&net, 0);
    assert_eq!((seen.method.as_str(), &seen.body_bz[..]), ("PUT", &b"k=v"[..]));
    assert_eq!(seen.url, format!("{}/a%2Fb//c/?z=a%20b&a=", net.suppliers[0].url));
    let names: Vec<_> = seen.header.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Accept", "Content-Type"],
        "no credentials, nothing of the connection"
    );
    assert_eq!(*net.suppliers[0].kinds.lock().unwrap(), ["4"]);
}

#[tokio::test]
async fn an_error_of_a_backend_is_mirrored_with_its_body_or_without() {
    let net = net_for(&[RpcType::Rest], config()).await;
    for (status, body) in [
        (404, ""),
        (404, "no such thing"),
        (302, ""),
        (204, ""),
        (501, "no"),
    ] {
        net.suppliers[0].behave(response(status, &[("Location", "/x")], body));
        let request = net.client.get(format!("{}/v1/eth/x", net.url));
        let answer = net.send(request).await;
        assert_eq!(u32::from(answer.status), status);
        assert_eq!(answer.text, body, "{status}");
        assert_eq!(answer.header("location"), Some("/x"));
    }
}

#[tokio::test]
async fn a_failing_backend_is_left_for_another_unless_the_call_may_act_twice() {
    let net = net_for(&[RpcType::Rest, RpcType::Rest], config()).await;
    let down = || response(503, &[("Retry-After", "7")], "down");
    net.suppliers[0].behave(down());
    net.suppliers[1].behave(response(200, &[], "up"));
    for _ in 0..8 {
        let answer = ask(&net, Method::GET, "/v1/eth/x", &[], "").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "up"));
    }
    assert!(net.suppliers[0].hits() > 0);
    net.suppliers[1].behave(down());
    let answer = ask(&net, Method::GET, "/v1/eth/x", &[], "").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (503, "down"),
        "no supplier did better"
    );
    assert_eq!(
        (answer.header("retry-after"), answer.header("x-attempts")),
        (Some("7"), Some("2"))
    );
    let hits = || {
        net.suppliers
            .iter()
            .map(|supplier| supplier.hits())
            .sum::<usize>()
    };
    let before = hits();
    let answer = ask(&net, Method::POST, "/v1/eth/x", &[], "a=1").await;
    assert_eq!((answer.status, hits() - before), (503, 1));
}

#[tokio::test]
async fn a_head_has_the_length_and_no_body() {
    let net = net_for(&[RpcType::Rest], config()).await;
    net.suppliers[0].behave(response(
        200,
        &[("Content-Length", "1234"), ("Etag", "\"1\"")],
        "",
    ));
    let answer = ask(&net, Method::HEAD, "/v1/eth/x", &[], "").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(
        (answer.header("content-length"), answer.header("etag")),
        (Some("1234"), Some("\"1\""))
    );
    assert_eq!(last(&net, 0).method, "HEAD");
}

#[tokio::test]
async fn each_kind_goes_to_the_supplier_that_staked_it() {
    let kinds = [RpcType::JsonRpc, RpcType::Rest, RpcType::CometBft];
    let net = net_for(&kinds, config()).await;
    let comet = r#"{"jsonrpc":"2.0","id":-1,"error":{"code":-32603,"message":"height must be less"}}"#;
    net.suppliers[1].behave(response(200, &[], "{}"));
    net.suppliers[2].behave(response(500, &[("Content-Type", "application/json")], comet));
    let by_uri = ask(&net, Method::GET, "/v1/eth/block?height=%225%22", &[], "").await;
    assert_eq!(
        (by_uri.status, by_uri.text.as_str()),
        (500, comet),
        "an answer, whatever its status"
    );
    assert_eq!(
        last(&net, 2).url,
        format!("{}/block?height=%225%22", net.suppliers[2].url)
    );
    net.suppliers[2].behave(Manner::Honest);
    let status = r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#;
    let by_post = ask(&net, Method::POST, "/v1/eth", &[], status).await;
    assert_eq!(by_post.json()["result"], "status");
    let batch = ask(
        &net,
        Method::POST,
        "/v1/eth",
        &[],
        r#"[{"id":1,"method":"status"},{"id":2,"method":"eth_x"}]"#,
    );
    assert_eq!(batch.await.json()[1]["result"], "eth_x");
    ask(&net, Method::GET, "/v1/eth/cosmos/bank/v1beta1/supply", &[], "").await;
    let named = ask(
        &net,
        Method::POST,
        "/v1/eth",
        &[("RPC-Type", "comet_bft")],
        r#"{"id":1,"method":"eth_x"}"#,
    );
    assert_eq!(named.await.json()["result"], "eth_x");
    let kinds = |supplier: usize| net.suppliers[supplier].kinds.lock().unwrap().join(",");
    assert_eq!([kinds(0), kinds(1), kinds(2)], ["3", "4", "5,5,5,5"]);
}

#[tokio::test]
async fn a_service_whose_suppliers_staked_another_kind_works() {
    let net = net(vec![response(200, &[], "{}")]).await;
    for path in ["/v1/eth/status", "/v1/eth/cosmos/bank/v1beta1/supply"] {
        assert_eq!(ask(&net, Method::GET, path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(
        *net.suppliers[0].kinds.lock().unwrap(),
        ["3", "3"],
        "by the kind that is staked"
    );
    let net = net_for(&[RpcType::Websocket], config()).await;
    let answer = ask(&net, Method::GET, "/v1/eth/x", &[], "").await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (501, "rpc_type_unsupported")
    );
    let answer = net.post("/v1/eth", call("1")).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (200, "rpc_type_unsupported")
    );
}

#[tokio::test]
async fn what_a_service_needs_is_configured() {
    let text = |value: &str| vec![value.to_owned()];
    let net = net_for(
        &[RpcType::Rest],
        special(ServiceConfig {
            aliases: text("ethereum"),
            hosts: text("eth.example"),
            rpc_types: vec![Offered::Rest],
            forward_headers: text("Authorization"),
            return_headers: text("Set-Cookie"),
            batches: Batches::Split,
        }),
    )
    .await;
    net.suppliers[0].behave(response(200, &[("Set-Cookie", "a=b")], "{}"));
    let credentials = ("Authorization", "Bearer secret");
    let answer = ask(&net, Method::POST, "/v1/ethereum", &[credentials], "not json").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, Some("a=b")));
    assert_eq!(last(&net, 0).header["Authorization"].values, ["Bearer secret"]);
    let answer = ask(&net, Method::GET, "/cosmos/x", &[("Host", "eth.example")], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(last(&net, 0).url, format!("{}/cosmos/x", net.suppliers[0].url));
    let answer = ask(&net, Method::GET, "/cosmos/x", &[], "").await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (404, "unknown_service")
    );
}

#[tokio::test]
async fn callers_of_path_and_pocket_ap_narrow_the_choice() {
    let net = net(vec![Manner::Honest; 3]).await;
    let wanted = net.suppliers[1].address().to_string();
    let others = [&net.suppliers[0], &net.suppliers[2]].map(|supplier| supplier.address().to_string());
    let application = key(APPLICATION).address().to_string();
    for (name, value) in [
        ("Target-Suppliers", wanted.clone()),
        ("X-Pocket-Allow-Suppliers", wanted.clone()),
        ("X-Pocket-Deny-Suppliers", others.join(",")),
    ] {
        for _ in 0..4 {
            let fields = [(name, value.as_str()), ("App-Address", application.as_str())];
            let answer = net.post_with("/v1", call("1"), &fields).await;
            assert_eq!(
                answer.header("x-supplier-address"),
                Some(wanted.as_str()),
                "{name}"
            );
            assert_eq!(answer.header("x-app-address"), Some(application.as_str()));
        }
    }
    let stranger = key(77).address().to_string();
    let nobody = net
        .post_with("/v1", call("1"), &[("Target-Suppliers", &stranger)])
        .await;
    assert_eq!((nobody.status, nobody.reason().as_str()), (503, "no_supplier"));
    assert_eq!(nobody.json()["error"]["data"]["filtered"]["unwanted"], 3);
    let denied = net
        .post_with("/v1", call("1"), &[("X-Pocket-Deny-Hosts", "127.0.0.1")])
        .await;
    assert_eq!(denied.reason(), "no_supplier");
    let unknown = net
        .post_with("/v1", call("1"), &[("App-Address", &stranger)])
        .await;
    assert_eq!(
        (unknown.status, unknown.reason().as_str()),
        (404, "unknown_application")
    );
    let malformed = net
        .post_with("/v1", call("1"), &[("Target-Suppliers", "everyone")])
        .await;
    assert_eq!(
        (malformed.status, malformed.reason().as_str()),
        (200, "invalid_request")
    );
}

#[tokio::test]
async fn probes_are_where_path_has_them() {
    let net = net(vec![Manner::ForeignKey]).await;
    let ready = net.get("/ready/eth").await;
    assert_eq!(
        (ready.status, &ready.json()["services"]["eth"]["ready"]),
        (200, &json!(true))
    );
    assert_eq!(net.get("/ready/nosuch").await.status, 404);
    let healthz = net.get("/healthz").await.json();
    assert_eq!(healthz["status"], "ready");
    assert_eq!(healthz["readyStates"], json!({"eth": true}));
    assert_eq!(healthz["configuredServiceIDs"], json!(["eth"]));
    let config = net.get("/config").await;
    assert_eq!(config.json()["max_attempts"], 3);
    assert!(
        !config.text.contains(&hex::encode([support::GATEWAY; 32])),
        "no key"
    );
    assert_eq!(net.post("/v1", call("1")).await.status, 502);
    let left_alone = net.get("/disqualified_endpoints").await.json();
    let entry = &left_alone["disqualified_endpoints"][0];
    assert_eq!(entry["supplier"], net.suppliers[0].address().to_string());
    assert_eq!(entry["reason"], "signature_invalid");

    let public = GatewayConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..support::config()
    };
    let mut net = support::net_with(public, vec![Manner::Honest]).await;
    net.url = net.url.replace("0.0.0.0", "127.0.0.1");
    for path in ["/config", "/disqualified_endpoints", "/metrics"] {
        assert_eq!(net.get(path).await.status, 404, "{path} is the operators'");
    }
    let detailed = net.get("/ready?detailed=true").await.json();
    assert_eq!(
        detailed["services"],
        json!({"eth": {"ready": true}}),
        "nothing of its session"
    );
}
