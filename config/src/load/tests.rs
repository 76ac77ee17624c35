use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, ConfigError, Environment, Faults, parse, schema};
use crate::Secret;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Front {
    #[serde(default)]
    max_attempts: u32,
    #[serde(default)]
    key: Secret,
    #[serde(default)]
    services: Vec<Service>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Service {
    id: String,
    #[serde(default)]
    url: String,
}

impl Config for Front {
    fn validate(&self, faults: &mut Faults) {
        faults.expect(self.max_attempts > 0, "max_attempts", "must be at least 1");
        faults.expect(
            !self.key.is_empty(),
            "key",
            "missing; set it here or in PORTICO_KEY",
        );
        for (index, service) in self.services.iter().enumerate() {
            faults.within(&format!("services[{index}]"), |faults| {
                faults.expect(!service.id.is_empty(), "id", "must not be empty");
                faults.expect(
                    service.url.starts_with("http"),
                    "url",
                    "must be an http or https URL",
                );
            });
        }
    }

    fn take_secrets(&mut self, environment: &Environment<'_>) {
        if let Some(key) = environment.secret("PORTICO_KEY") {
            self.key = key;
        }
    }
}

fn read(text: &str) -> Result<Front, ConfigError> {
    parse(Path::new("front.yaml"), text, &|_| None)
}

fn refusal(text: &str) -> String {
    read(text).expect_err("refused").to_string()
}

#[test]
fn a_good_file_is_read() {
    let front = read("max_attempts: 3\nkey: abc\nservices:\n  - id: eth\n    url: http://geth\n").unwrap();
    assert_eq!(
        (front.max_attempts, front.key.reveal(), front.services.len()),
        (3, "abc", 1)
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal("max_attempts: 3\nkey: abc\nmax_atempts: 4\n"));
}

#[test]
fn an_unknown_key_inside_a_list_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal(
        "max_attempts: 3\nkey: abc\nservices:\n  - id: eth\n    ulr: http://geth\n"
    ));
}

#[test]
fn a_value_of_another_type_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal("key: abc\nmax_attempts: many\n"));
}

#[test]
fn a_missing_key_is_refused_with_the_line_of_its_map() {
    insta::assert_snapshot!(refusal(
        "max_attempts: 3\nkey: abc\nservices:\n  - id: eth\n    url: http://a\n  - url: http://b\n"
    ));
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal("max_attempts: 3\nkey: [abc\n"));
}

#[test]
fn all_errors_of_meaning_are_told_at_once_in_the_order_of_the_file() {
    let text = "services:\n  - id: eth\n    url: ftp://geth\n  - id: ''\nmax_attempts: 0\n";
    insta::assert_snapshot!(refusal(text));
}

#[test]
fn the_environment_replaces_a_secret_before_validation() {
    let environment = |name: &str| (name == "PORTICO_KEY").then(|| "from-environment".to_owned());
    let front: Front = parse(Path::new("f.yaml"), "max_attempts: 1\n", &environment).unwrap();
    assert_eq!(front.key.reveal(), "from-environment");
}

#[test]
fn the_line_end_of_a_file_that_became_a_variable_is_no_part_of_the_secret() {
    let read = |_: &str| Some(" aa\n".to_owned());
    let found = Environment { read: &read }.secret("PORTICO_KEY").unwrap();
    assert_eq!(found.reveal(), "aa");
    let blank = |_: &str| Some("\n".to_owned());
    assert!(Environment { read: &blank }.secret("PORTICO_KEY").is_none());
}

#[test]
fn a_list_of_secrets_is_separated_by_commas() {
    let read = |_: &str| Some("aa, bb".to_owned());
    let found = Environment { read: &read }.secrets("PORTICO_KEYS").unwrap();
    assert_eq!(found.iter().map(Secret::reveal).collect::<Vec<_>>(), ["aa", "bb"]);
}

#[test]
fn an_empty_environment_variable_replaces_nothing() {
    let front: Front = parse(Path::new("f.yaml"), "max_attempts: 1\nkey: abc\n", &|_| {
        Some(String::new())
    })
    .unwrap();
    assert_eq!(front.key.reveal(), "abc");
}

#[test]
fn a_missing_file_is_named() {
    let error = super::load::<Front>(Path::new("no-such-file.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "no-such-file.yaml cannot be read");
}

#[test]
fn the_schema_has_every_key_and_forbids_others() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema::<Front>()).unwrap());
}
