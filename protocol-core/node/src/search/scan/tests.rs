//! The scan against the decoded results, and its bounds.

use proptest::prelude::*;
use prost::Message as _;
use tendermint_proto::v0_38::abci::{Event, EventAttribute, ExecTxResult, ResponseFinalizeBlock};

use super::{Scan, block_matches, tx_matches};
use crate::api::ApiError;
use crate::machine::tests::{machine, next_block};
use crate::results::tx_results;
use crate::search::{Query, block_events, tx_events};

/// Few names, so that they meet; with dots, which also stand between a type and its attribute.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "a.b", "tx", "height"]).prop_map(str::to_owned)
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop::sample::select(vec!["", "1", "12upokt", "text", "Tx", "7"]);
    let attribute = (name(), value, any::<bool>()).prop_map(|(key, value, index)| EventAttribute {
        key,
        value: value.to_owned(),
        index,
    });
    (name(), prop::collection::vec(attribute, 0..4))
        .prop_map(|(r#type, attributes)| Event { r#type, attributes })
}

fn query() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "a.a",
        "a.b",
        "a.b.a",
        "b.a.b",
        "a.",
        ".a",
        "tx.height",
        "tm.event",
    ]);
    let test = prop::sample::select(vec![
        "='1'",
        "='text'",
        ">5",
        "<=1",
        " EXISTS",
        " CONTAINS 'x'",
        "='Tx'",
        "=7",
    ]);
    let condition = (key, test).prop_map(|(key, test)| format!("{key}{test}"));
    prop::collection::vec(condition, 1..3).prop_map(|conditions| conditions.join(" AND "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_scan_finds_what_the_decoded_events_say(
        events in prop::collection::vec(event(), 0..5),
        text in query(),
    ) {
        let query = Query::parse(&text).expect("a query");
        let result = ExecTxResult { code: 3, gas_used: 300, log: "log".into(), events: events.clone(), ..ExecTxResult::default() };
        let implied = [("tm.event", "Tx"), ("tx.hash", ""), ("tx.height", "7")];
        let found = tx_matches(&query, &result.encode_to_vec(), &implied).expect("whole");
        prop_assert_eq!(found, query.matches(&tx_events(7, "", &result)), "{}", text);

        let block = ResponseFinalizeBlock { events, tx_results: vec![result.clone(), ExecTxResult::default()], ..ResponseFinalizeBlock::default() };
        let bytes = block.encode_to_vec();
        let found = block_matches(&query, &bytes, &[("tm.event", "NewBlock")]).expect("whole");
        prop_assert_eq!(found, query.matches(&block_events("NewBlock", &block.events)), "{}", text);
        let results: Vec<_> = tx_results(&bytes).collect::<Result<_, _>>().expect("whole");
        prop_assert_eq!(results, [result.encode_to_vec(), Vec::new()]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let query = Query::parse("a.b='1' AND a.c EXISTS").expect("a query");
        for result in tx_results(&bytes).flatten() {
            drop(tx_matches(&query, result, &[]));
        }
        drop(block_matches(&query, &bytes, &[]));
    }
}

#[test]
fn results_that_are_cut_off_are_damaged_and_no_miss() {
    let attribute = EventAttribute {
        key: "b".into(),
        value: "1".into(),
        index: true,
    };
    let event = Event {
        r#type: "a".into(),
        attributes: vec![attribute],
    };
    let whole = ExecTxResult {
        events: vec![event],
        ..ExecTxResult::default()
    }
    .encode_to_vec();
    let query = Query::parse("a.b='2'").expect("a query");
    assert!(!tx_matches(&query, &whole, &[]).expect("whole"));
    let cut = tx_matches(&query, &whole[..whole.len() - 1], &[]);
    assert!(matches!(cut, Err(ApiError::Damaged(_))));
}

#[test]
fn a_search_ends_at_its_bound_and_says_where() {
    let machine = machine();
    next_block(&machine);
    next_block(&machine);
    let snapshot = machine.view().snapshot.clone();
    let len = |height| snapshot.results(height).expect("readable").expect("there").len();
    let mut scan = Scan::new(&snapshot, len(1) + len(2));
    for height in 1..=3 {
        assert!(
            scan.results(height, "tx.height").is_ok(),
            "{height}: as much as may be"
        );
    }
    let mut scan = Scan::new(&snapshot, len(1) + len(2) - 1);
    assert!(scan.results(1, "tx.height").is_ok());
    let error = scan
        .results(2, "tx.height")
        .expect_err("one byte too many")
        .to_string();
    let at = format!(
        "a search reads at most {} bytes of results, which end before height 2: add conditions on tx.height",
        len(1) + len(2) - 1
    );
    assert_eq!(error, at);
}
