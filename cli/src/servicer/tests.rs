//! Rows that the tests of the tools share.

use portico_servicer::LedgerRow;
use serde_json::json;

const SUPPLIER: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";

fn row(changes: serde_json::Value) -> LedgerRow {
    let mut row = json!({
        "session_id": "ab".repeat(32), "supplier": SUPPLIER, "application": SUPPLIER, "service": "eth",
        "session_start_height": 1, "session_end_height": 10, "stage": {"stage": "settled"},
        "validated": 110, "served": 107, "unpaid": 7, "applicable": 100, "committed": 100,
        "unpaid_by": {"backend_error": 3, "difficulty": 4},
        "compute_units_per_relay": 100, "committed_compute_units": 10_000, "claimed": 100, "claimed_compute_units": 10_000,
        "claimed_upokt": 420_000, "claim_on_chain": true, "proof_required": true, "proved": true,
        "settled_upokt": 400_000, "rewards_upokt": {SUPPLIER: 312_000}, "overservicing_loss_upokt": 20_000,
        "deflation_loss_upokt": 10_000, "paid_upokt": {SUPPLIER: 300_000},
        "claim_txs": ["AA11"], "proof_txs": ["BB22"], "last_error": null, "relay_upokt": 4_200, "target_hash": "ff".repeat(32),
        "claim_open_height": 12, "claim_close_height": 16, "proof_open_height": 16, "proof_close_height": 20,
        "final_height": 20, "opened_at_ms": 1_795_912_000_000_u64, "tx_fees_upokt": 7, "proof_fees_upokt": 1_000
    });
    let fields = row.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    serde_json::from_value(row).unwrap()
}

/// 100 relays of 110 recorded, the application's stake covers 400,000 of 420,000 upokt.
pub(super) fn settled() -> LedgerRow {
    row(json!({}))
}

/// A claim of which no proof came.
pub(super) fn expired() -> LedgerRow {
    row(json!({
        "session_id": "cd".repeat(32), "session_start_height": 11, "session_end_height": 20,
        "stage": {"stage": "expired", "reason": "proof_missing"}, "proved": false, "settled_upokt": 0, "rewards_upokt": {},
        "overservicing_loss_upokt": 0, "deflation_loss_upokt": 0, "paid_upokt": {}, "proof_txs": [],
        "last_error": "sdk/11: out of gas", "final_height": 30, "tx_fees_upokt": 12, "proof_fees_upokt": 0, "fees_unknown": 1,
    }))
}

/// A session that is served.
pub(super) fn open() -> LedgerRow {
    row(json!({
        "session_id": "ef".repeat(32), "service": "pocket", "session_start_height": 21, "session_end_height": 30,
        "stage": {"stage": "open"}, "claimed": 0, "claimed_upokt": 0, "claimed_compute_units": 0, "claim_on_chain": false,
        "proof_required": null, "proved": false, "settled_upokt": null, "rewards_upokt": {}, "overservicing_loss_upokt": 0,
        "deflation_loss_upokt": 0, "paid_upokt": {}, "claim_txs": [], "proof_txs": [], "final_height": null,
        "opened_at_ms": 1_796_000_000_000_u64, "tx_fees_upokt": 0, "proof_fees_upokt": 0,
    }))
}

pub(super) fn rows() -> Vec<LedgerRow> {
    vec![settled(), expired(), open()]
}
