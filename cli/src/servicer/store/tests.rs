use portico_protocol::Upokt;
use portico_servicer::leaf_log::{Fault, Lost};

use super::*;

#[test]
fn a_check_says_what_is_wrong_and_what_to_do() {
    let mut report = CheckReport {
        sessions: 2,
        leaves: 12_345,
        leaf_bytes: 9_876_543,
        ..CheckReport::default()
    };
    insta::assert_snapshot!(found(&report), @"2 sessions, 12,345 leaves, 9,876,543 bytes of them: nothing is wrong");
    report.faults.push(Fault {
        session_id: Some("ab".repeat(32)),
        supplier: Some("pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap()),
        what: "3 leaves are missing".into(),
    });
    report.more_faults = 4;
    insta::assert_snapshot!(found(&report), @r"
    abababababab pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4 3 leaves are missing
    and 4 more
    2 sessions, 12,345 leaves, 9,876,543 bytes of them: `portico servicer store repair` keeps what can be read
    ");
}

#[test]
fn a_repair_says_what_was_lost() {
    assert!(mended(None).contains("nothing was changed"));
    let repaired = Repaired {
        kept_as: "data/leaves.redb.damaged-1".into(),
        sessions: 2,
        leaves: 1_200,
        lost: vec![Lost {
            session_id: Some("ab".repeat(32)),
            supplier: Some("pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap()),
            leaves: 3,
            upokt: Upokt(12_600),
            why: "they will not be claimed; the others will".into(),
        }],
    };
    insta::assert_snapshot!(mended(Some(&repaired)), @r"
    lost: session abababababababababababababababababababababababababababababababab of pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4: 3 leaves, 12600 upokt: they will not be claimed; the others will
    2 sessions and 1,200 leaves are in the new file; the damaged one is data/leaves.redb.damaged-1
    ");
}
