//! Who pays for whom, and who acts for whom: fee grants, authorizations, payments to many. The captured chain has the codes and events of
//! single cases; here are the limits.

use bytes::Bytes;
use portico_protocol::Upokt;
use portico_protocol::tx::{SignerContext, TxOptions, amino_sign_bytes, pack, sign_doc};
use portico_protocol::wire::cosmos::authz::v1beta1::{GenericAuthorization, Grant, MsgExec, MsgGrant};
use portico_protocol::wire::cosmos::bank::v1beta1::{
    Input, MsgMultiSend, MsgSend, Output, SendAuthorization,
};
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::cosmos::feegrant::v1beta1::{
    BasicAllowance, MsgGrantAllowance, PeriodicAllowance,
};
use portico_protocol::wire::cosmos::tx::signing::v1beta1::SignMode;
use portico_protocol::wire::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignerInfo, TxBody, TxRaw, mode_info,
};
use prost::{Message, Name};
use prost_types::{Any, Duration, Timestamp};

use super::network::{Network, address, genesis, key};
use crate::block::TxOutcome;

fn network() -> Network {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    network
}

fn send(from: &str, to: &str, amount: u128) -> MsgSend {
    MsgSend {
        from_address: address(from).to_string(),
        to_address: address(to).to_string(),
        amount: vec![Upokt(amount).into()],
    }
}

/// A transaction of `signer` in this mode whose fee of 10 upokt `granter` pays.
fn tx<M: Message + Name>(
    network: &Network,
    signer: &str,
    message: &M,
    mode: SignMode,
    granter: &str,
) -> Bytes {
    let account = network.account(&address(signer));
    let body = TxBody {
        messages: vec![pack(message)],
        memo: "<&>".into(),
        ..TxBody::default()
    };
    let fee = Fee {
        amount: vec![Upokt(10).into()],
        gas_limit: 1_000_000,
        payer: String::new(),
        granter: if granter.is_empty() {
            String::new()
        } else {
            address(granter).to_string()
        },
    };
    let single = mode_info::Single { mode: mode.into() };
    let info = SignerInfo {
        public_key: Some(pack(&PubKey {
            key: key(signer).public_key().as_bytes().to_vec(),
        })),
        mode_info: Some(ModeInfo {
            sum: Some(mode_info::Sum::Single(single)),
        }),
        sequence: account.sequence,
    };
    let auth_info = AuthInfo {
        signer_infos: vec![info],
        fee: Some(fee.clone()),
    };
    let (body_bytes, auth_info_bytes) = (body.encode_to_vec(), auth_info.encode_to_vec());
    let bytes = match mode {
        SignMode::LegacyAminoJson => {
            let (number, sequence) = (account.account_number, account.sequence);
            amino_sign_bytes(&body, &fee, "portico-test", number, sequence).unwrap()
        }
        _ => sign_doc(
            &body_bytes,
            &auth_info_bytes,
            "portico-test",
            account.account_number,
        ),
    };
    let signatures = vec![key(signer).sign(&bytes).to_vec()];
    let raw = TxRaw {
        body_bytes,
        auth_info_bytes,
        signatures,
    };
    raw.encode_to_vec().into()
}

fn deliver(network: &mut Network, tx: Bytes) -> TxOutcome {
    network.block(&[tx]).txs.remove(0)
}

fn code(outcome: &TxOutcome) -> (&str, u32) {
    (outcome.codespace.as_str(), outcome.code)
}

#[test]
fn amino_json_signs_as_direct_does_and_nothing_else() {
    let mut network = network();
    let good = tx(
        &network,
        "other",
        &send("other", "owner", 5),
        SignMode::LegacyAminoJson,
        "",
    );
    assert_eq!(code(&deliver(&mut network, good.clone())), ("", 0));
    // The same signature under the other mode, or other content under it.
    let fresh = tx(
        &network,
        "other",
        &send("other", "owner", 5),
        SignMode::LegacyAminoJson,
        "",
    );
    let mut raw = TxRaw::decode(fresh.as_ref()).unwrap();
    let mut info = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
    info.fee.as_mut().unwrap().gas_limit += 1;
    raw.auth_info_bytes = info.encode_to_vec();
    assert_eq!(
        code(&deliver(&mut network, raw.encode_to_vec().into())),
        ("sdk", 4)
    );
    for mode in [
        SignMode::Direct,
        SignMode::Textual,
        SignMode::DirectAux,
        SignMode::Unspecified,
    ] {
        let mut raw = TxRaw::decode(fresh.as_ref()).unwrap();
        let mut info = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
        let single = mode_info::Single { mode: mode.into() };
        info.signer_infos[0].mode_info = Some(ModeInfo {
            sum: Some(mode_info::Sum::Single(single)),
        });
        raw.auth_info_bytes = info.encode_to_vec();
        assert_eq!(
            code(&deliver(&mut network, raw.encode_to_vec().into())),
            ("sdk", 4),
            "{mode:?}"
        );
    }
}

fn allow(network: &mut Network, allowance: Any) -> TxOutcome {
    let message = MsgGrantAllowance {
        granter: address("owner").to_string(),
        grantee: address("other").to_string(),
        allowance: Some(allowance),
    };
    network.send("owner", &message)
}

fn spend(network: &mut Network) -> TxOutcome {
    let paid = tx(
        network,
        "other",
        &send("other", "source", 1),
        SignMode::Direct,
        "owner",
    );
    deliver(network, paid)
}

#[test]
fn a_basic_allowance_pays_until_it_is_spent() {
    let mut network = network();
    assert_eq!(code(&spend(&mut network)), ("sdk", 38));
    let basic = BasicAllowance {
        spend_limit: vec![Upokt(25).into()],
        expiration: None,
    };
    assert_eq!(code(&allow(&mut network, pack(&basic))), ("", 0));
    assert_eq!(
        code(&allow(&mut network, pack(&basic))),
        ("sdk", 18),
        "there is one"
    );
    let before = (
        network.balance(&address("owner")),
        network.balance(&address("other")),
    );
    assert_eq!(code(&spend(&mut network)), ("", 0));
    assert_eq!(code(&spend(&mut network)), ("", 0));
    assert_eq!(code(&spend(&mut network)), ("feegrant", 2), "5 upokt are left");
    let after = (
        network.balance(&address("owner")),
        network.balance(&address("other")),
    );
    assert_eq!(after, (before.0 - 20, before.1 - 2), "only the granter paid fees");
}

#[test]
fn a_periodic_allowance_renews_and_an_expired_one_does_not_pay() {
    let mut network = network();
    let now = i64::try_from(network.next().time_ms / 1_000).unwrap();
    let at = |seconds| {
        Some(Timestamp {
            seconds: now + seconds,
            nanos: 0,
        })
    };
    let basic = |seconds| BasicAllowance {
        spend_limit: vec![Upokt(100).into()],
        expiration: at(seconds),
    };
    let periodic = PeriodicAllowance {
        basic: Some(basic(30)),
        period: Some(Duration {
            seconds: 10,
            nanos: 0,
        }),
        period_spend_limit: vec![Upokt(10).into()],
        period_can_spend: vec![Upokt(10).into()],
        period_reset: at(10),
    };
    assert_eq!(
        code(&allow(&mut network, pack(&basic(-9)))),
        ("sdk", 18),
        "in the past"
    );
    assert_eq!(code(&allow(&mut network, pack(&periodic))), ("", 0));
    assert_eq!(code(&spend(&mut network)), ("", 0));
    assert_eq!(code(&spend(&mut network)), ("feegrant", 2), "the period's limit");
    network.run_to(network.height + 10);
    assert_eq!(code(&spend(&mut network)), ("", 0), "a new period");
    network.run_to(network.height + 30);
    assert_eq!(code(&spend(&mut network)), ("feegrant", 3), "expired");
}

fn authorize(network: &mut Network, authorization: Any, seconds: Option<i64>) -> TxOutcome {
    let now = i64::try_from(network.next().time_ms / 1_000).unwrap();
    let expiration = seconds.map(|seconds| Timestamp {
        seconds: now + seconds,
        nanos: 0,
    });
    let grant = Grant {
        authorization: Some(authorization),
        expiration,
    };
    let message = MsgGrant {
        granter: address("owner").to_string(),
        grantee: address("other").to_string(),
        grant: Some(grant),
    };
    network.send("owner", &message)
}

fn act<M: Message + Name>(network: &mut Network, message: &M) -> TxOutcome {
    let exec = MsgExec {
        grantee: address("other").to_string(),
        msgs: vec![pack(message)],
    };
    network.send("other", &exec)
}

#[test]
fn an_authorization_covers_its_messages_up_to_its_limit() {
    let mut network = network();
    let limit = SendAuthorization {
        spend_limit: vec![Upokt(30).into()],
        allow_list: vec![address("source").to_string()],
    };
    assert_eq!(
        code(&act(&mut network, &send("owner", "source", 10))),
        ("authz", 2)
    );
    assert_eq!(code(&authorize(&mut network, pack(&limit), None)), ("", 0));
    assert_eq!(code(&act(&mut network, &send("owner", "source", 10))), ("", 0));
    assert_eq!(
        code(&act(&mut network, &send("owner", "gateway", 10))),
        ("sdk", 4),
        "not on the list"
    );
    assert_eq!(code(&act(&mut network, &send("owner", "source", 21))), ("sdk", 5));
    assert_eq!(code(&act(&mut network, &send("owner", "source", 20))), ("", 0));
    assert_eq!(
        code(&act(&mut network, &send("owner", "source", 1))),
        ("authz", 2),
        "used up"
    );
    assert_eq!(
        code(&act(&mut network, &send("other", "source", 1))),
        ("", 0),
        "its own needs none"
    );
    // One execution does not hide another.
    let inner = MsgExec {
        grantee: address("other").to_string(),
        msgs: vec![pack(&send("owner", "source", 1))],
    };
    assert_eq!(code(&act(&mut network, &inner)), ("sdk", 4));
}

#[test]
fn an_authorization_ends_and_names_a_message_that_exists() {
    let mut network = network();
    let generic = |msg: &str| pack(&GenericAuthorization { msg: msg.into() });
    let url = MsgSend::type_url();
    assert_eq!(
        code(&authorize(&mut network, generic("/no.such.Msg"), None)),
        ("sdk", 29)
    );
    assert_eq!(
        code(&authorize(&mut network, generic(&url), Some(-9))),
        ("authz", 3)
    );
    assert_eq!(code(&authorize(&mut network, generic(&url), Some(5))), ("", 0));
    assert_eq!(code(&act(&mut network, &send("owner", "source", 10))), ("", 0));
    network.run_to(network.height + 9);
    assert_eq!(
        code(&act(&mut network, &send("owner", "source", 10))),
        ("authz", 6)
    );
}

#[test]
fn a_payment_to_many_adds_up_or_changes_nothing() {
    let mut network = network();
    let output = |to: &str, amount| Output {
        address: address(to).to_string(),
        coins: vec![Upokt(amount).into()],
    };
    let input = |amount| Input {
        address: address("other").to_string(),
        coins: vec![Upokt(amount).into()],
    };
    let pay = |inputs, outputs| MsgMultiSend { inputs, outputs };
    let before = network.balance(&address("other"));
    network.accept(
        "other",
        &pay(
            vec![input(30)],
            vec![output("stranger", 10), output("source", 20)],
        ),
    );
    assert_eq!(network.balance(&address("stranger")), 10);
    let wrong = pay(
        vec![input(31)],
        vec![output("stranger", 10), output("source", 20)],
    );
    network.refuse("other", &wrong, "bank", 4);
    let wraps = pay(
        vec![input(9)],
        vec![output("stranger", u128::MAX), output("source", 10)],
    );
    network.refuse("other", &wraps, "bank", 4);
    network.refuse(
        "other",
        &pay(vec![input(1), input(1)], vec![output("source", 2)]),
        "bank",
        9,
    );
    network.refuse("other", &pay(vec![input(1)], Vec::new()), "bank", 3);
    let much = pay(vec![input(before)], vec![output("stranger", before)]);
    network.refuse("other", &much, "sdk", 5);
    assert_eq!(network.balance(&address("other")), before - 30);
}

#[test]
fn direct_transactions_of_these_tests_are_the_librarys() {
    // Keeps the helpers of this file honest: direct transactions are those that the library signs.
    let network = network();
    let account = network.account(&address("other"));
    let context = SignerContext {
        chain_id: "portico-test".into(),
        account_number: account.account_number,
        sequence: account.sequence,
    };
    let options = TxOptions {
        memo: "<&>".into(),
        gas_limit: 1_000_000,
        fee: Upokt(10),
        ..TxOptions::default()
    };
    let message = send("other", "owner", 5);
    let theirs = portico_protocol::tx::sign_tx(vec![pack(&message)], &options, &context, &key("other"));
    assert_eq!(tx(&network, "other", &message, SignMode::Direct, ""), theirs);
}
