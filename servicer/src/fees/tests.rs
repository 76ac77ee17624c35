use proptest::prelude::*;

use super::*;

const PAYER: &str = "pokt1payer";

fn event(kind: &str, attributes: &[(&str, &str)]) -> Event {
    Event {
        kind: kind.to_owned(),
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

/// A transaction with two proofs, as the SDK reports it: the fee is spent before the messages are.
fn result(code: u32) -> TxResult {
    let mut events = vec![
        event("coin_spent", &[("spender", PAYER), ("amount", "7upokt")]),
        event("tx", &[("fee", "7upokt"), ("fee_payer", PAYER)]),
    ];
    for (index, fee) in [("0", "100upokt"), ("1", "101upokt")] {
        events.push(event(
            "coin_spent",
            &[("spender", PAYER), ("amount", fee), ("msg_index", index)],
        ));
    }
    TxResult {
        height: Height(9),
        code,
        codespace: String::new(),
        log: String::new(),
        gas_used: 0,
        events,
    }
}

#[test]
fn a_fee_is_divided_and_a_proof_pays_for_itself() {
    let of = |position| cost(&result(0), PAYER, 2, position);
    let told = [of(0), of(1)].map(|cost| (cost.tx.0, cost.proof.0));
    assert_eq!(told, [(4, 100), (3, 101)]);
}

#[test]
fn a_transaction_that_failed_costs_its_fee_only() {
    let failed = cost(&result(5), PAYER, 2, 0);
    assert_eq!((failed.tx.0, failed.proof.0), (4, 0));
}

#[test]
fn what_others_paid_is_no_cost() {
    let other = cost(&result(0), "pokt1other", 2, 0);
    assert_eq!(other, Cost::default());
    assert_eq!(upokt(Some("3atom,12upokt")), 12);
    assert_eq!(upokt(Some("")), 0);
    assert_eq!(upokt(None), 0);
}

fn sent(n: usize, fate: Fate) -> SentTx {
    SentTx {
        hash: format!("{n:064X}"),
        messages: 1,
        position: 0,
        sent_at: Height(5),
        expires_at_ms: 0,
        fate,
    }
}

const fn taken(height: i64) -> Fate {
    let cost = Cost {
        tx: Upokt(2),
        proof: Upokt(3),
    };
    Fate::Taken {
        height: Height(height),
        cost,
    }
}

#[test]
fn sums_hold_what_is_not_kept_one_by_one() {
    let mut fees = SessionFees::default();
    for n in 0..2 * MAX_TXS {
        fees.push(sent(n, if n % 2 == 0 { taken(6) } else { Fate::Untold }));
    }
    assert_eq!(fees.transactions.len(), MAX_TXS);
    let (taken, sums) = (MAX_TXS as u128, fees.sums());
    assert_eq!((sums.cost.tx.0, sums.cost.proof.0), (2 * taken, 3 * taken));
    assert_eq!(sums.unknown, MAX_TXS as u64);
}

#[test]
fn what_a_chain_took_is_open_again_when_it_goes_back() {
    let mut fees = SessionFees::default();
    fees.push(sent(0, taken(6)));
    fees.push(sent(1, taken(7)));
    fees.push(sent(2, Fate::NotTaken));
    assert!(fees.rewound(Height(6)));
    assert_eq!(fees.transactions[0].fate, taken(6));
    assert_eq!(fees.transactions[1].fate, Fate::Pending);
    assert_eq!(fees.transactions[2].fate, Fate::NotTaken, "it had expired before");
    assert!(fees.rewound(Height(5)));
    assert_eq!(fees.sums().unknown, 3);
    assert!(!fees.rewound(Height(5)));
}

proptest! {
    #[test]
    fn shares_add_up_to_the_fee(fee: u64, messages in 1_u32..200) {
        let fee = u128::from(fee);
        let sum: u128 = (0..messages).map(|position| share(fee, messages, position)).sum();
        prop_assert_eq!(sum, fee);
    }
}
