use super::super::tests::{expired, settled};
use super::*;

fn event(row: &LedgerRow) -> ChainSettlement {
    ChainSettlement {
        supplier: row.supplier,
        application: row.application,
        service: row.service.clone(),
        session_end_height: row.session_end_height,
        settled: row.settled_upokt.unwrap_or_default(),
        paid: row.paid(),
        slashed: row.slashed_upokt,
        expired: row.stage != Stage::Settled,
    }
}

fn audit(rows: &[LedgerRow], events: &[ChainSettlement]) -> Audit {
    let mut audit = Audit::default();
    let ours = rows.iter().map(|row| row.supplier).collect();
    audit.height(rows.iter(), events, &ours);
    audit
}

#[test]
fn what_the_chain_says_too_agrees() {
    let rows = [settled(), expired()];
    let audit = audit(&rows, &rows.each_ref().map(event));
    assert!(audit.agrees(), "{:?}", audit.differences);
    assert_eq!(audit.sessions, 2);
    assert_eq!(audit.settled[0], audit.settled[1]);
    assert!(audit.settled[0] > 0 && audit.paid[0] > 0);
}

#[test]
fn every_difference_is_told() {
    let row = settled();
    let changes: [fn(&mut ChainSettlement); 4] = [
        |event| event.settled.0 -= 1,
        |event| event.paid.0 += 1,
        |event| event.slashed.0 = 1,
        |event| event.expired = true,
    ];
    for change in changes {
        let mut event = event(&row);
        change(&mut event);
        assert!(!audit(std::slice::from_ref(&row), &[event]).agrees());
    }
    assert!(
        !audit(std::slice::from_ref(&row), &[]).agrees(),
        "settled here only"
    );
    let mut foreign = event(&row);
    foreign.session_end_height += 10;
    let found = audit(std::slice::from_ref(&row), &[event(&row), foreign.clone()]);
    assert!(found.differences[0].contains("another process"), "{found:?}");
    foreign.supplier = Address::new([9; 20]);
    assert!(
        audit(std::slice::from_ref(&row), &[event(&row), foreign]).agrees(),
        "somebody else's"
    );
}
