//! What a transaction must be before its messages count.

use bytes::Bytes;
use portico_protocol::Upokt;
use portico_protocol::tx::{SignerContext, TxOptions, decode_tx, module_address, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::tx::v1beta1::{AuthInfo, TxRaw};
use portico_protocol::wire::pocket::application::MsgUnstakeApplication;
use prost::Message;

use super::network::{Network, address, genesis, key};
use crate::block::{Execution, NoCache, SignatureCache, TxOutcome, check, envelope, simulate};
use crate::state::Overlay;

fn payment(amount: u128) -> MsgSend {
    MsgSend {
        from_address: address("other").to_string(),
        to_address: address("stranger").to_string(),
        amount: vec![Upokt(amount).into()],
    }
}

fn network() -> Network {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    network
}

fn options() -> TxOptions {
    TxOptions::default()
}

/// An unordered transaction that ends `seconds` after the next block.
fn unordered(network: &Network, seconds: i64) -> TxOptions {
    let now = i64::try_from(network.next().time_ms / 1_000).unwrap();
    TxOptions {
        unordered: true,
        timeout_timestamp: Some(prost_types::Timestamp {
            seconds: now + seconds,
            nanos: 5,
        }),
        ..options()
    }
}

fn deliver(network: &mut Network, tx: &Bytes) -> TxOutcome {
    network.block(std::slice::from_ref(tx)).txs.remove(0)
}

fn refused(network: &mut Network, tx: &Bytes, codespace: &str, code: u32) {
    let checked = network.check(tx);
    assert_eq!(
        (checked.codespace.as_str(), checked.code),
        (codespace, code),
        "{}",
        checked.log
    );
    let outcome = deliver(network, tx);
    assert_eq!(
        (outcome.codespace.as_str(), outcome.code),
        (codespace, code),
        "{}",
        outcome.log
    );
    assert_eq!(network.balance(&address("stranger")), 0);
}

#[test]
fn moves_tokens_and_takes_the_fee() {
    let mut network = network();
    let before = network.balance(&address("other"));
    let options = TxOptions {
        fee: Upokt(7),
        ..options()
    };
    let tx = network.tx("other", &payment(100), &options);
    assert_eq!(deliver(&mut network, &tx).code, 0);
    assert_eq!(network.balance(&address("stranger")), 100);
    assert_eq!(network.balance(&address("other")), before - 107);
    assert_eq!(network.balance(&module_address("fee_collector")), 7);
    assert_eq!(network.account(&address("other")).sequence, 1);
}

#[test]
fn refuses_a_transaction_twice() {
    let mut network = network();
    let tx = network.tx("other", &payment(100), &options());
    assert_eq!(deliver(&mut network, &tx).code, 0);
    let again = deliver(&mut network, &tx);
    assert_eq!(
        (again.codespace.as_str(), again.code),
        ("sdk", 32),
        "{}",
        again.log
    );
    assert_eq!(network.balance(&address("stranger")), 100);
}

#[test]
fn refuses_an_unordered_transaction_twice_whatever_is_changed_around_what_was_signed() {
    let mut network = network();
    let options = unordered(&network, 60);
    let tx = network.tx("other", &payment(100), &options);
    assert_eq!(deliver(&mut network, &tx).code, 0);
    assert_eq!(network.account(&address("other")).sequence, 0);
    // An unknown field at the end of the frame would change the hash, not what was signed: it is refused.
    let padded = Bytes::from([&tx[..], &[0x7a, 0x01, 0x00]].concat());
    for (replay, code) in [(tx, 18), (padded, 2)] {
        let again = deliver(&mut network, &replay);
        assert_eq!(
            (again.codespace.as_str(), again.code),
            ("sdk", code),
            "{}",
            again.log
        );
    }
    assert_eq!(network.balance(&address("stranger")), 100);
}

#[test]
fn forgets_unordered_transactions_only_after_their_timeout() {
    let mut network = network();
    let options = unordered(&network, 5);
    let tx = network.tx("other", &payment(100), &options);
    assert_eq!(deliver(&mut network, &tx).code, 0);
    for _ in 0..10 {
        assert_ne!(deliver(&mut network, &tx).code, 0);
    }
    let noted = network
        .memory
        .keys()
        .any(|(_, key)| key.starts_with(b"unordered/"));
    assert!(!noted, "it cannot be replayed any more");
    assert_eq!(network.balance(&address("stranger")), 100);
}

#[test]
fn refuses_unordered_transactions_that_end_too_late_too_early_or_never() {
    let mut network = network();
    for (seconds, code) in [(601, 18), (-3, 42)] {
        let options = unordered(&network, seconds);
        let tx = network.tx("other", &payment(1), &options);
        refused(&mut network, &tx, "sdk", code);
    }
    let never = TxOptions {
        unordered: true,
        ..options()
    };
    let tx = network.tx("other", &payment(1), &never);
    refused(&mut network, &tx, "sdk", 18);
}

#[test]
fn refuses_a_transaction_after_its_timeout_height() {
    let mut network = network();
    let until = |height: u64| TxOptions {
        timeout_height: height,
        ..options()
    };
    let tx = network.tx("other", &payment(1), &until(1));
    refused(&mut network, &tx, "sdk", 30);
    let height = u64::try_from(network.height).unwrap();
    let tx = network.tx("other", &payment(1), &until(height + 1));
    assert_eq!(deliver(&mut network, &tx).code, 0);
}

#[test]
fn refuses_signatures_of_another_chain_account_or_key() {
    let mut network = network();
    let account = network.account(&address("other"));
    let sign = |chain_id: &str, account_number: u64, signer: &str| -> Bytes {
        let context = SignerContext {
            chain_id: chain_id.into(),
            account_number,
            sequence: 0,
        };
        let options = TxOptions {
            gas_limit: 1_000_000,
            ..options()
        };
        sign_tx(vec![pack(&payment(1))], &options, &context, &key(signer)).into()
    };
    let number = account.account_number;
    for (tx, code) in [
        (sign("pocket", number, "other"), 4),
        (sign("portico-test", number + 1, "other"), 4),
        (sign("portico-test", number, "application"), 8),
    ] {
        refused(&mut network, &tx, "sdk", code);
    }
    let good = sign("portico-test", number, "other");
    let mut raw = TxRaw::decode(&good[..]).unwrap();
    raw.signatures[0][40] ^= 1;
    refused(&mut network, &raw.encode_to_vec().into(), "sdk", 4);
    raw.signatures.clear();
    refused(&mut network, &raw.encode_to_vec().into(), "sdk", 15);
    assert_eq!(deliver(&mut network, &good).code, 0);
}

#[test]
fn accepts_a_signature_without_key_once_the_key_is_known() {
    let mut network = network();
    let without_key = |network: &Network, signer: &str| -> Bytes {
        let message = MsgSend {
            from_address: address(signer).to_string(),
            ..payment(1)
        };
        let tx = network.tx(signer, &message, &options());
        let raw = TxRaw::decode(&tx[..]).unwrap();
        let mut info = AuthInfo::decode(&raw.auth_info_bytes[..]).unwrap();
        info.signer_infos[0].public_key = None;
        let auth_info_bytes = info.encode_to_vec();
        let number = network.account(&address(signer)).account_number;
        let doc = portico_protocol::tx::sign_doc(&raw.body_bytes, &auth_info_bytes, "portico-test", number);
        let signatures = vec![key(signer).sign(&doc).to_vec()];
        let body_bytes = raw.body_bytes;
        Bytes::from(
            TxRaw {
                body_bytes,
                auth_info_bytes,
                signatures,
            }
            .encode_to_vec(),
        )
    };
    let tx = without_key(&network, "other");
    assert_eq!(deliver(&mut network, &tx).code, 0);
    let funds = MsgSend {
        to_address: address("unknown").to_string(),
        ..payment(10)
    };
    network.accept("other", &funds);
    let tx = without_key(&network, "unknown");
    let outcome = deliver(&mut network, &tx);
    assert_eq!(
        (outcome.codespace.as_str(), outcome.code),
        ("sdk", 8),
        "{}",
        outcome.log
    );
}

#[test]
fn refuses_what_nobody_can_pay_or_nothing_understands() {
    let mut network = network();
    let too_much = network.balance(&address("other")) + 1;
    network.refuse("other", &payment(too_much), "sdk", 5);
    network.refuse("other", &payment(0), "sdk", 10);
    let foreign = MsgSend {
        amount: vec![portico_protocol::wire::cosmos::base::v1beta1::Coin {
            denom: "mact".into(),
            amount: "1".into(),
        }],
        ..payment(1)
    };
    network.refuse("other", &foreign, "sdk", 5);
    let tx = Bytes::from_static(b"\xff\xff");
    refused(&mut network, &tx, "sdk", 2);
    let mut raw = TxRaw::decode(&network.tx("other", &payment(1), &options())[..]).unwrap();
    raw.body_bytes = portico_protocol::wire::cosmos::tx::v1beta1::TxBody {
        messages: vec![prost_types::Any {
            type_url: "/pocket.nothing.MsgNothing".into(),
            value: Vec::new(),
        }],
        ..Default::default()
    }
    .encode_to_vec();
    refused(&mut network, &raw.encode_to_vec().into(), "sdk", 2);
}

#[test]
fn keeps_fee_and_sequence_of_a_failed_message_but_nothing_else() {
    let mut network = network();
    let message = MsgUnstakeApplication {
        address: address("other").to_string(),
    };
    let options = TxOptions {
        fee: Upokt(3),
        ..options()
    };
    let before = network.balance(&address("other"));
    let tx = network.tx("other", &message, &options);
    let outcome = deliver(&mut network, &tx);
    assert_eq!(outcome.cause, Some(("application", 1104)));
    assert_eq!((outcome.codespace.as_str(), outcome.code), ("undefined", 1));
    assert!(
        outcome
            .log
            .starts_with("failed to execute message; message index: 0: "),
        "{}",
        outcome.log
    );
    assert_eq!(network.balance(&address("other")), before - 3);
    assert_eq!(network.account(&address("other")).sequence, 1);
}

#[test]
fn undoes_all_messages_of_a_transaction_when_one_fails() {
    let mut network = network();
    let account = network.account(&address("other"));
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number: account.account_number,
        sequence: 0,
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..options()
    };
    let messages = vec![pack(&payment(5)), pack(&payment(u128::from(u64::MAX)))];
    let tx = sign_tx(messages, &options, &context, &key("other")).into();
    assert_eq!(deliver(&mut network, &tx).code, 5);
    assert_eq!(network.balance(&address("stranger")), 0);
}

#[test]
fn checks_a_sender_s_next_transaction_on_top_of_its_last() {
    let network = network();
    let first = network.tx("other", &payment(1), &options());
    let (outcome, changes) = check(network.state(), &network.next(), &NoCache, &first).unwrap();
    assert_eq!(outcome.code, 0);
    let pending = Overlay::with_changes(network.state(), changes);
    let (again, _) = check(&pending, &network.next(), &NoCache, &first).unwrap();
    assert_eq!(again.code, 32, "its sequence is used up");
}

#[test]
fn simulates_without_signature_or_gas_limit_and_keeps_nothing() {
    let network = network();
    let tx = network.tx("other", &payment(1), &options());
    let mut raw = TxRaw::decode(&tx[..]).unwrap();
    raw.signatures = vec![Vec::new()];
    let outcome = simulate(network.state(), &network.next(), &raw.encode_to_vec()).unwrap();
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    assert!(outcome.gas_used > 0 && outcome.events.len() > 3);
    let before = network.memory.clone();
    let broke = network.tx("other", &payment(u128::MAX / 2), &options());
    let outcome = simulate(network.state(), &network.next(), &broke).unwrap();
    assert_eq!(outcome.code, 5, "a failing message shows");
    assert_eq!(before, network.memory);
}

#[test]
fn refuses_a_gas_limit_below_what_is_used() {
    let mut network = network();
    let account = network.account(&address("other"));
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number: account.account_number,
        sequence: 0,
    };
    let options = TxOptions {
        gas_limit: 1,
        ..options()
    };
    let tx = sign_tx(vec![pack(&payment(1))], &options, &context, &key("other")).into();
    refused(&mut network, &tx, "sdk", 11);
}

/// A cache that counts what it is asked.
#[derive(Default)]
struct Counting {
    known: std::sync::Mutex<std::collections::BTreeSet<[u8; 32]>>,
    hits: std::sync::atomic::AtomicU64,
}

impl SignatureCache for Counting {
    fn contains(&self, id: &[u8; 32]) -> bool {
        let known = self.known.lock().unwrap().contains(id);
        self.hits
            .fetch_add(known.into(), std::sync::atomic::Ordering::SeqCst);
        known
    }

    fn insert(&self, id: [u8; 32]) {
        self.known.lock().unwrap().insert(id);
    }
}

#[test]
fn a_signature_is_verified_once_per_transaction_key_and_chain() {
    let network = Network::new(&genesis());
    let tx = network.tx("other", &payment(1), &TxOptions::default());
    let cache = Counting::default();
    let hits = || cache.hits.load(std::sync::atomic::Ordering::SeqCst);
    let (outcome, _) = check(network.state(), &network.next(), &cache, &tx).unwrap();
    assert_eq!((outcome.code, hits()), (0, 0));
    let next = network.next();
    let mut execution = Execution::begin(network.state(), &next)
        .unwrap()
        .remembering(&cache);
    execution.offer(&tx).unwrap().unwrap();
    assert_eq!(hits(), 1, "the block does not verify it again");
    // Another signature of the same content is another transaction; another chain is another id.
    let mut forged = decode_tx(&tx).unwrap().raw;
    forged.signatures[0][7] ^= 1;
    let (outcome, _) = check(network.state(), &network.next(), &cache, &forged.encode_to_vec()).unwrap();
    assert_eq!((outcome.code, outcome.admitted, hits()), (4, false, 1));
    let elsewhere = crate::block::BlockContext {
        chain_id: "another".into(),
        ..network.next()
    };
    let (outcome, _) = check(network.state(), &elsewhere, &cache, &tx).unwrap();
    assert_eq!((outcome.code, hits()), (4, 1));
    assert_eq!(
        cache.known.lock().unwrap().len(),
        1,
        "failures are not remembered"
    );
}

#[test]
fn an_envelope_is_what_a_transaction_says_of_itself() {
    let network = Network::new(&genesis());
    let tx = network.tx(
        "other",
        &payment(1),
        &TxOptions {
            fee: Upokt(5),
            ..TxOptions::default()
        },
    );
    let found = envelope(&tx).unwrap();
    assert_eq!((found.signer, found.fee), (address("other"), Upokt(5)));
    assert_eq!(found.gas_limit, 10_000_000);
    assert_eq!(envelope(b"garbage"), None);
    assert_eq!(envelope(&[]), None);
}

/// What tools send to be simulated, of the signed transaction `tx`: with all of it, without signatures, keys, fee, gas limit.
fn unfinished(tx: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let raw = decode_tx(tx).unwrap().raw;
    let altered = |change: &dyn Fn(&mut TxRaw, &mut AuthInfo)| {
        let (mut raw, mut info) = (
            raw.clone(),
            AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap(),
        );
        change(&mut raw, &mut info);
        raw.auth_info_bytes = info.encode_to_vec();
        raw.encode_to_vec()
    };
    let no_signatures = |raw: &mut TxRaw| raw.signatures.clear();
    let empty = |raw: &mut TxRaw| raw.signatures.iter_mut().for_each(Vec::clear);
    let no_fee = |info: &mut AuthInfo| info.fee = None;
    let no_keys = |info: &mut AuthInfo| info.signer_infos.iter_mut().for_each(|one| one.public_key = None);
    vec![
        ("as delivered", tx.to_vec()),
        ("empty signatures", altered(&|raw, _| empty(raw))),
        ("no signatures", altered(&|raw, _| no_signatures(raw))),
        (
            "no keys",
            altered(&|raw, info| (no_signatures(raw), no_keys(info)).0),
        ),
        (
            "nothing",
            altered(&|raw, info| (no_signatures(raw), no_keys(info), no_fee(info)).0),
        ),
    ]
}

#[test]
fn a_simulation_is_never_below_what_is_used_and_little_above() {
    let mut network = network();
    for (fee, gas_limit, memo) in [
        (0, 25_000, ""),
        (20, 400_000, "memo"),
        (1_234_567_890, 99_999_999, ""),
    ] {
        let options = TxOptions {
            fee: Upokt(fee),
            gas_limit,
            memo: memo.into(),
            ..options()
        };
        let tx = network.tx_as("other", &payment(5), &options);
        let simulated: Vec<_> = unfinished(&tx)
            .into_iter()
            .map(|(name, tx)| (name, simulate(network.state(), &network.next(), &tx).unwrap()))
            .collect();
        let used = network.block(&[tx]).txs[0].gas_used;
        for (name, outcome) in simulated {
            assert_eq!(
                (outcome.code, outcome.gas_wanted),
                (0, u64::MAX),
                "{name}: {}",
                outcome.log
            );
            assert!(
                (used..=used + used / 20).contains(&outcome.gas_used),
                "{name}: simulated {}, used {used}",
                outcome.gas_used
            );
        }
    }
}

#[test]
fn a_simulation_without_signers_or_with_a_wrong_sequence_is_refused() {
    let network = network();
    let tx = network.tx("other", &payment(5), &options());
    let mut raw = decode_tx(&tx).unwrap().raw;
    let mut info = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
    info.signer_infos[0].sequence = 9;
    raw.auth_info_bytes = info.encode_to_vec();
    let outcome = simulate(network.state(), &network.next(), &raw.encode_to_vec()).unwrap();
    assert_eq!((outcome.codespace.as_str(), outcome.code), ("sdk", 32));
    info.signer_infos.clear();
    raw.auth_info_bytes = info.encode_to_vec();
    let outcome = simulate(network.state(), &network.next(), &raw.encode_to_vec()).unwrap();
    assert_eq!((outcome.codespace.as_str(), outcome.code), ("sdk", 15));
}

#[test]
fn captured_simulations_cover_what_the_delivered_transactions_use() {
    let file = super::lab::vectors("chain/tx/simulate.json");
    let mut count = 0;
    for case in file["cases"].as_array().unwrap() {
        let delivered = super::lab::bytes(&case["delivered"]["tx_bytes"]);
        let used = |bytes: &[u8], signed: bool| {
            let tx = decode_tx(bytes).unwrap();
            let size = if signed {
                bytes.len()
            } else {
                crate::tx::signed_size(&tx)
            };
            crate::tx::gas_used(size, tx.body.messages.len())
        };
        let delivered = used(&delivered, true);
        let simulations = case["simulations"].as_array().into_iter().flatten();
        for simulation in simulations.filter(|one| one["code"] == 0) {
            let simulated = used(&super::lab::bytes(&simulation["tx_bytes"]), false);
            assert!(
                (delivered..=delivered + delivered / 20).contains(&simulated),
                "{}, {}: simulated {simulated}, used {delivered}",
                case["name"],
                simulation["variant"]
            );
            count += 1;
        }
    }
    println!("chain/tx/simulate.json: {count} cases");
    assert!(count > 50);
}
