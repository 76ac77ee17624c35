use std::path::Path;

use portico_protocol::SigningKey;

use super::GatewayConfig;
use crate::ConfigError;
use crate::load::parse;

const KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn read(text: &str) -> Result<GatewayConfig, ConfigError> {
    parse(Path::new("gateway.yaml"), text, &|_| None)
}

fn refusal(text: &str) -> String {
    read(text).expect_err("refused").to_string()
}

#[test]
fn one_application_with_a_key_is_enough() {
    let config = read(&format!("applications: [{{key: \"{KEY}\", service_id: eth}}]")).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3069");
    assert_eq!((config.max_attempts, config.max_batch), (3, 1_000));
    assert_eq!(
        config
            .served()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["eth"]
    );
}

#[test]
fn keys_are_never_printed() {
    let config = read(&format!(
        "gateway_key: \"{KEY}\"\napplications: [{{key: \"{KEY}\", service_id: eth}}]"
    ));
    assert!(!format!("{:?}", config.unwrap()).contains("1111"));
}

#[test]
fn the_environment_replaces_the_gateways_key() {
    let address = SigningKey::from_hex(KEY).unwrap().address();
    let text = format!("applications: [{{address: {address}, service_id: eth}}]");
    assert!(refusal(&text).contains("applications[0]: must have a key, or gateway_key must be set"));
    let environment = |name: &str| (name == "PORTICO_GATEWAY_KEY").then(|| KEY.to_owned());
    let config: GatewayConfig = parse(Path::new("gateway.yaml"), &text, &environment).unwrap();
    assert_eq!(config.gateway_key.unwrap().reveal(), KEY);
}

#[test]
fn names_everything_that_is_wrong_with_its_line() {
    let other = SigningKey::from_bytes(&[9; 32]).unwrap().address();
    let text = format!(
        "max_attempts: 0\nmax_batch: 0\ngateway_key: abc\napplications:\n  - {{service_id: eth}}\n  \
         - {{service_id: eth, key: \"{KEY}\", address: {other}}}\ncors_allowed_origins: [example.org]\n"
    );
    let said = refusal(&text);
    for expected in [
        "gateway.yaml:1: max_attempts: must be 1 to 50",
        "gateway.yaml:2: max_batch: must be 1 to",
        "gateway.yaml:3: gateway_key: not a secp256k1 private key",
        "gateway.yaml:5: applications[0]: must have an address or a key",
        "gateway.yaml:6: applications[1].address: is not the key's",
        "gateway.yaml:7: cors_allowed_origins[0]: must be",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    assert!(refusal("max_atempts: 3").contains("max_atempts"));
    assert!(refusal("{}").contains("applications: must name at least one application"));
}

#[test]
fn bounds_that_contradict_each_other_are_refused() {
    let applications = format!("applications: [{{key: \"{KEY}\", service_id: eth}}]");
    for (text, expected) in [
        (
            "max_response_bytes: 134217728",
            "gateway.yaml:1: max_response_bytes: must be at most max_answer_bytes_per_request, which is 67108864",
        ),
        (
            "max_answer_bytes_per_client: 1000",
            "max_answer_bytes_per_request: must be at most max_answer_bytes_per_client, which is 1000",
        ),
        (
            "max_answer_bytes_in_flight: 1000",
            "max_answer_bytes_per_request: must be at most three quarters of max_answer_bytes_in_flight, which is 750",
        ),
        (
            "admin_listen: 127.0.0.1:3069",
            "gateway.yaml:1: admin_listen: must be another address than `listen`",
        ),
    ] {
        let said = refusal(&format!("{text}\n{applications}"));
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
}

#[test]
fn private_suppliers_are_refused_on_public_networks() {
    let applications = format!("applications: [{{key: \"{KEY}\", service_id: eth}}]");
    for (text, refused) in [
        ("", false),
        ("chain: {network: main}", true),
        ("chain: {network: beta}", true),
        ("chain: {network: main}\nrefuse_private_suppliers: false", false),
        ("refuse_private_suppliers: true", true),
    ] {
        let config = read(&format!("{text}\n{applications}")).unwrap();
        assert_eq!(config.refuses_private_suppliers(), refused, "{text}");
    }
}
