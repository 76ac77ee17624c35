//! That this crate's tests leave no case of the recorded data out.

use portico_vectors::{Elsewhere, every_case_is_run};

/// Sections that need state, or give names to the cases of others.
const NOT_CASES_HERE: &[Elsewhere<'_>] = &[
    (
        "proof.json",
        &[
            "full_session",
            "message_server",
            "proof_requirement",
            "validation",
        ],
        "portico-chain",
    ),
    ("session.json", &["hydration_conditions"], "portico-chain"),
    (
        "session.json",
        &["candidates", "shared_params"],
        "inputs of the others",
    ),
    (
        "tokenomics.json",
        &[
            "difficulty_sequences",
            "settlement",
            "token_logic",
            "validator_distribution",
        ],
        "portico-chain",
    ),
    (
        "tokenomics.json",
        &["settlement_actors", "token_logic_params"],
        "inputs of the others",
    ),
    ("ring.json", &["*"], "portico-ring"),
    ("smst.json", &["*"], "portico-smst"),
    ("smt.json", &["*"], "portico-smst"),
];

#[test]
fn every_case_of_every_file_is_run() {
    let files = [
        "proof.json",
        "relay.json",
        "ring.json",
        "session.json",
        "smst.json",
        "smt.json",
        "tokenomics.json",
        "tx.json",
    ];
    every_case_is_run(&files, NOT_CASES_HERE);
}
