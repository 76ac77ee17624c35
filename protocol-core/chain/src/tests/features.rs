//! Feature flags: by whom, from when on, and what a node does that does not know one.

use portico_protocol::Height;
use portico_protocol::wire::pocket::proof::MsgCreateClaim;
use portico_protocol::wire::portico::feature::{
    Flag, FlagKind, FlagScope, MsgCancelFlag, MsgSetFlag, QueryFlagHistoryRequest, QueryFlagHistoryResponse,
    QueryFlagRequest, QueryFlagResponse, QueryFlagsRequest, QueryFlagsResponse,
};
use portico_protocol::wire::tendermint::abci::Event;
use prost::Message;

use super::network::{Network, Served, address, genesis};
use crate::block::execute;
use crate::feature::{self, EXACT_CLAIM_UNITS, STRICT_CLOSEST_PROOF};
use crate::genesis::{Genesis, GenesisFlag, GenesisFlagKind, GenesisFlagScope};
use crate::query::{QueryError, query};
use crate::state::{StateError, Store};

fn governed() -> Genesis {
    let mut genesis = genesis();
    genesis.params.authority = Some(address("other"));
    genesis
}

fn network() -> Network {
    let mut network = Network::new(&governed());
    network.run_to(1);
    network
}

fn flag(name: &str, enabled: bool, from_height: i64) -> Flag {
    Flag {
        name: name.into(),
        value: "10".into(),
        enabled,
        from_height,
        scope: FlagScope::Chain.into(),
        kind: FlagKind::Optional.into(),
    }
}

fn set(flag: Flag) -> MsgSetFlag {
    MsgSetFlag {
        authority: address("other").to_string(),
        flag: Some(flag),
    }
}

fn cancel(name: &str, from_height: i64) -> MsgCancelFlag {
    MsgCancelFlag {
        authority: address("other").to_string(),
        name: name.into(),
        from_height,
    }
}

fn asked(network: &Network, name: &str, height: i64) -> Result<QueryFlagResponse, QueryError> {
    let request = QueryFlagRequest {
        name: name.into(),
        height,
    };
    let path = "/portico.feature.Query/Flag";
    let answer = query(
        network.state(),
        Height(network.height),
        path,
        &request.encode_to_vec(),
    );
    answer.map(|bytes| QueryFlagResponse::decode(bytes.as_slice()).unwrap())
}

fn enabled(network: &Network, name: &str, height: i64) -> bool {
    asked(network, name, height).is_ok_and(|answer| answer.flag.unwrap().enabled)
}

fn changed(events: &[Event]) -> usize {
    let kind = "portico.feature.EventFlagChanged";
    events.iter().filter(|event| event.r#type == kind).count()
}

#[test]
fn holds_from_its_height_on_and_keeps_the_answers_of_earlier_heights() {
    let mut network = network();
    network.accept("other", &set(flag("x", true, 5)));
    network.accept("other", &set(flag("x", false, 7)));
    network.accept(
        "other",
        &set(Flag {
            value: "11".into(),
            ..flag("x", true, 9)
        }),
    );
    for height in 5..=12 {
        assert_eq!(network.height + 1, height);
        let outcome = network.block(&[]);
        let begins = [5, 7, 9].contains(&height);
        assert_eq!(changed(&outcome.events), usize::from(begins));
        assert_eq!(outcome.unknown_flags.len(), usize::from(begins && height != 7));
        for at in 1..=12 {
            assert_eq!(enabled(&network, "x", at), matches!(at, 5..=6 | 9..), "{at}");
        }
        assert_eq!(enabled(&network, "x", 0), matches!(height, 5..=6 | 9..));
    }
    assert_eq!(asked(&network, "x", 12).unwrap().flag.unwrap().value, "11");
    assert!(!asked(&network, "x", 12).unwrap().known);
}

#[test]
fn lists_flags_that_have_begun_and_the_whole_history_of_one() {
    let mut network = network();
    network.accept("other", &set(flag("x", true, 5)));
    network.accept("other", &set(flag("x", false, 7)));
    let names = |height: i64| -> Vec<(String, bool)> {
        let request = QueryFlagsRequest {
            height,
            pagination: None,
        };
        let answer: QueryFlagsResponse = network.query("/portico.feature.Query/Flags", &request);
        let flags = answer.flags.into_iter();
        flags.map(|one| (one.flag.unwrap().name, one.known)).collect()
    };
    let own = [
        (EXACT_CLAIM_UNITS.to_owned(), true),
        (STRICT_CLOSEST_PROOF.to_owned(), true),
    ];
    assert_eq!(names(4), own);
    assert_eq!(names(5), [&own[..], &[("x".to_owned(), false)]].concat());
    let request = QueryFlagHistoryRequest {
        name: "x".into(),
        pagination: None,
    };
    let answer: QueryFlagHistoryResponse = network.query("/portico.feature.Query/FlagHistory", &request);
    assert_eq!(answer.flags, [flag("x", true, 5), flag("x", false, 7)]);
}

#[test]
fn lets_only_the_authority_set_flags_and_only_for_later_blocks() {
    let mut network = network();
    let stranger = address("owner").to_string();
    let before = network.memory.clone();
    let forged = MsgSetFlag {
        authority: stranger.clone(),
        ..set(flag("x", true, 50))
    };
    network.refuse("owner", &forged, "feature", 1100);
    let forged = MsgCancelFlag {
        authority: stranger,
        ..cancel("x", 50)
    };
    network.refuse("owner", &forged, "feature", 1100);
    let wrong = [
        (flag("", true, 50), 1101),
        (flag("X", true, 50), 1101),
        (flag("a/b", true, 50), 1101),
        (flag(&"x".repeat(65), true, 50), 1101),
        (
            Flag {
                value: "v".repeat(1_025),
                ..flag("x", true, 50)
            },
            1102,
        ),
        (
            Flag {
                scope: 0,
                ..flag("x", true, 50)
            },
            1103,
        ),
        (
            Flag {
                scope: 9,
                ..flag("x", true, 50)
            },
            1103,
        ),
        (
            Flag {
                kind: 0,
                ..flag("x", true, 50)
            },
            1104,
        ),
        (flag("x", true, 0), 1105),
        (flag("x", true, -1), 1105),
        (flag("x", true, 2), 1105),
    ];
    for (flag, code) in wrong {
        network.refuse("other", &set(flag), "feature", code);
    }
    let this_block = network.height + 1;
    network.refuse("other", &set(flag("x", true, this_block)), "feature", 1105);
    let next_block = network.height + 2;
    network.refuse("other", &cancel("x", next_block), "feature", 1106);
    let flags = |memory: &super::lab::Memory| -> Vec<_> {
        let of_module = memory.iter().filter(|((store, _), _)| *store == Store::Feature);
        of_module
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    assert_eq!(flags(&before), flags(&network.memory));
}

#[test]
fn withdraws_a_planned_change_but_none_that_holds() {
    let mut network = network();
    network.accept("other", &set(flag("x", true, 6)));
    network.accept("other", &set(flag("x", false, 30)));
    network.accept("other", &cancel("x", 30));
    assert!(enabled(&network, "x", 30));
    network.run_to(6);
    network.refuse("other", &cancel("x", 6), "feature", 1105);
    network.accept("other", &set(flag("y", true, 30)));
    network.accept("other", &cancel("y", 30));
    assert!(asked(&network, "y", 30).is_err());
}

#[test]
fn halts_at_a_required_flag_that_it_does_not_know() {
    let mut network = network();
    let required = Flag {
        kind: FlagKind::Required.into(),
        ..flag("quantum_relays", true, 5)
    };
    network.accept("other", &set(required));
    network.run_to(4);
    for _ in 0..2 {
        let error = execute(network.state(), &network.next(), &[]).unwrap_err();
        assert!(
            matches!(&error, StateError::UnknownFlag { name, height } if name == "quantum_relays" && height.0 == 5)
        );
        let line = "block 5 needs the feature \"quantum_relays\", which this version does not know: upgrade, and start again";
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn goes_on_past_a_required_flag_that_is_switched_off_or_withdrawn_in_time() {
    let required = |enabled, from_height| Flag {
        kind: FlagKind::Required.into(),
        ..flag("quantum_relays", enabled, from_height)
    };
    let mut network = network();
    network.accept("other", &set(required(true, 6)));
    network.accept("other", &set(required(false, 6)));
    network.accept("other", &set(required(true, 8)));
    network.accept("other", &cancel("quantum_relays", 8));
    network.run_to(10);
}

#[test]
fn takes_flags_from_the_genesis_and_none_when_its_list_is_empty() {
    let mut genesis = governed();
    genesis.params.features.push(GenesisFlag {
        name: "x".into(),
        value: String::new(),
        from_height: 3,
        scope: GenesisFlagScope::Relay,
        kind: GenesisFlagKind::Optional,
    });
    let text = serde_json::to_string(&genesis).unwrap();
    let mut network = Network::new(&serde_json::from_str(&text).unwrap());
    network.run_to(2);
    assert!(!enabled(&network, "x", 0) && enabled(&network, STRICT_CLOSEST_PROOF, 0));
    network.run_to(3);
    assert!(enabled(&network, "x", 0));
    genesis.params.features.clear();
    let network = Network::new(&genesis);
    assert!(feature::KNOWN.iter().all(|name| !enabled(&network, name, 1)));
}

/// A claim whose leaves' count wraps when it is multiplied: the network's rule takes it, the exact one does not.
#[test]
fn judges_a_claim_by_the_rules_of_its_session_s_start() {
    let mut network = network();
    let switch = |enabled, from_height| Flag {
        kind: FlagKind::Required.into(),
        ..flag(EXACT_CLAIM_UNITS, enabled, from_height)
    };
    // Off for the session of heights 11 to 20, and on again before its claims come.
    network.accept("other", &set(switch(false, 11)));
    network.accept("other", &set(switch(true, 12)));
    network.run_to(12);
    let mut served = Served::new(network.session(12), "supplier", 1);
    let mut root = served.root();
    // count · 100 = sum modulo 2^64
    let count = (1_u64 << 62) + 1;
    root[32..40].copy_from_slice(&count.wrapping_mul(super::network::UNITS).to_be_bytes());
    root[40..48].copy_from_slice(&count.to_be_bytes());
    let claim = MsgCreateClaim {
        supplier_operator_address: address("supplier").to_string(),
        session_header: served.session.header.clone(),
        root_hash: root.clone(),
    };
    network.run_to(21);
    network.accept("supplier", &claim);
    network.run_to(22);
    let mut next = Served::new(network.session(22), "supplier", 1);
    next.root();
    let claim = MsgCreateClaim {
        session_header: next.session.header.clone(),
        ..claim
    };
    network.run_to(31);
    network.refuse("supplier", &claim, "proof", 1126);
}

#[test]
fn block_hashes_are_forgotten_once_no_claim_needs_them() {
    let forgetting = |from_height| {
        let mut genesis = governed();
        genesis.params.features.push(GenesisFlag {
            name: feature::FORGET_BLOCK_HASHES.into(),
            value: String::new(),
            from_height,
            scope: GenesisFlagScope::Chain,
            kind: GenesisFlagKind::Required,
        });
        Network::new(&genesis)
    };
    let kept = 2 * crate::shared::longest_life(Network::new(&governed()).state()).unwrap();
    let known = |network: &Network, height| {
        let found = crate::session::block_hash(network.state(), Height(height)).unwrap();
        found.is_some()
    };
    let mut network = forgetting(0);
    network.run_to(kept + 9);
    let all: Vec<i64> = (1..=kept + 9)
        .filter(|height| !known(&network, *height))
        .collect();
    assert_eq!(
        all,
        (1..9).collect::<Vec<_>>(),
        "the newest {kept} and itself stay"
    );
    // A chain that begins late catches up, a few hashes a block.
    let mut late = forgetting(kept + 40);
    late.run_to(kept + 39);
    assert!(known(&late, 1));
    late.run_to(kept + 40);
    assert!(!known(&late, 4) && known(&late, 5));
    late.run_to(kept + 70);
    assert!(!known(&late, 69) && known(&late, 70));
    // And a claim's whole life goes by without a difference.
    let mut plain = Network::new(&governed());
    plain.run_to(kept + 9);
    let session = |network: &Network| network.session(network.height);
    assert_eq!(session(&plain), session(&network));
}
