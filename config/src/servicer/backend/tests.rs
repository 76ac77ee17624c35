use std::path::Path;

use crate::load::{ConfigError, parse};
use crate::servicer::ServicerConfig;

/// What is wrong with a file whose services are these lines, as `config check` says it: line, key, and the beginning of the message.
fn faults(services: &str) -> Vec<String> {
    let suppliers = format!("\"{}\"", "11".repeat(32));
    let text = format!("suppliers: [{suppliers}]\n{services}");
    match parse::<ServicerConfig>(Path::new("s.yaml"), &text, &|_| None) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Meaning { faults, .. }) => faults
            .iter()
            .map(|fault| format!("{} {}: {}", fault.line, fault.key, fault.message))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn one_node_and_several_nodes_are_valid() {
    let good = r#"
services:
  one:
    backend: {url: "http://a:1"}
  several:
    max_in_flight: 10
    method_classes:
      heavy: {methods: ["trace_*", /cosmos/tx/*], timeout_ms: 1, max_in_flight: 1}
    read_methods: [own_read]
    backend:
      nodes:
        - {url: "http://a:1", weight: 3}
        - {name: two, url: "https://b/key", weight: 0}
      forward_headers: ["x-*", authorization]
      health: {check: evm, chain_id: "1"}
      breaker: {failures: 0}
    rpc_types:
      comet_bft: {url: "http://c", health: {check: comet_bft, chain_id: pocket}}
      rest: {url: "http://c", health: {check: http, path: "/x?y=1", contains: ok}}
"#;
    assert_eq!(faults(good), Vec::<String>::new());
}

#[test]
fn nonsense_is_found_with_its_line() {
    let bad = r#"
services:
  both:
    backend: {url: "http://a", nodes: [{url: "http://a"}]}
  nodes:
    max_in_flight: 0
    backend:
      nodes:
        - {url: "http://a/x", weight: 0}
        - {url: "http://a/y", weight: 0}
        - {name: "two words", url: "ws://b", weight: 0}
        - {name: heavy, url: "http://c", weight: 1001}
  health:
    backend:
      url: "http://a"
      forward_headers: ["x y"]
      health: {check: evm, chain_id: pocket, interval_ms: 1, fall: 0, path: "/x"}
      breaker: {pause_ms: 2, max_pause_ms: 1}
  classes:
    backend: {url: "http://a", health: {chain_id: "1"}}
    method_classes:
      default: {methods: [a]}
      empty: {timeout_ms: 0}
      pattern: {methods: ["a*b"]}
simulation: {enabled: true, interval_ms: 1}
"#;
    insta::assert_snapshot!(faults(bad).join("\n"));
}

#[test]
fn unknown_keys_are_refused() {
    for key in ["wieght: 1", "health: {}"] {
        let text = format!(
            "services:\n  a:\n    backend:\n      nodes:\n        - url: http://a\n          {key}\n"
        );
        let found = faults(&text);
        assert!(found[0].contains("s.yaml:7"), "{found:?}");
    }
}

/// The path or query of a URL may be a secret.
#[test]
fn a_node_is_named_by_its_host() {
    let label = |url: &str| super::NodeConfig::new(url).label();
    assert_eq!(
        label("https://user:pass@rpc.example:8545/v3/secret?key=k"),
        "rpc.example:8545"
    );
    assert_eq!(label("http://10.0.0.1"), "10.0.0.1");
}
