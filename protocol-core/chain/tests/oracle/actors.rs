//! The people of a sequence: keys, addresses, names.

use std::sync::LazyLock;

use portico_protocol::tx::module_address;
use portico_protocol::{PublicKey, SigningKey};
use sha2::{Digest, Sha256};

/// How many people there are.
pub(crate) const PEOPLE: usize = 8;
/// The services that exist.
pub(crate) const SERVICES: [&str; 2] = ["eth", "base"];
/// A service that nobody ever adds.
pub(crate) const NO_SERVICE: &str = "nowhere";

struct Person {
    key: SigningKey,
    address: String,
}

fn person(name: &str) -> Person {
    let key = SigningKey::from_bytes(&Sha256::digest(name).into()).expect("a scalar");
    let address = key.address().to_string();
    Person { key, address }
}

static ALL: LazyLock<Vec<Person>> =
    LazyLock::new(|| (0..PEOPLE).map(|n| person(&format!("person {n}"))).collect());

/// Validators, with their tokens; they do nothing but receive.
pub(crate) const VALIDATOR_TOKENS: [u128; 2] = [700, 300];
static VALIDATORS: LazyLock<Vec<Person>> = LazyLock::new(|| {
    (0..VALIDATOR_TOKENS.len())
        .map(|n| person(&format!("validator {n}")))
        .collect()
});

pub(crate) fn key(who: usize) -> &'static SigningKey {
    &ALL[who].key
}

pub(crate) fn address(who: usize) -> &'static str {
    &ALL[who].address
}

pub(crate) fn validator(index: usize) -> &'static str {
    &VALIDATORS[index].address
}

/// Public key of an address of one of the people.
pub(crate) fn public_key(address: &str) -> PublicKey {
    let person = ALL.iter().find(|person| person.address == address);
    person.expect("one of the people").key.public_key()
}

pub(crate) fn module(name: &str) -> String {
    module_address(name).to_string()
}

/// All accounts that tokens can be in.
pub(crate) fn accounts() -> Vec<String> {
    let modules = [
        "application",
        "bonded_tokens_pool",
        "fee_collector",
        "gateway",
        "proof",
        "service",
        "supplier",
        "tokenomics",
    ];
    let mut all: Vec<String> = ALL
        .iter()
        .chain(VALIDATORS.iter())
        .map(|one| one.address.clone())
        .collect();
    all.extend(modules.map(module));
    all.push(DAO.clone());
    all
}

/// Who gets the DAO's part.
pub(crate) static DAO: LazyLock<String> = LazyLock::new(|| person("dao").address);
