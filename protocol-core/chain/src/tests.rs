//! Tests of the state machine as a whole: against data of the Go implementation, in scenarios of many blocks, and as laws.

mod captured;
mod captured_chain;
mod captured_files;
mod captured_queries;
mod exports;
mod features;
mod genesis;
mod governance;
mod grants;
mod lab;
mod laws;
mod network;
mod network_rules;
mod paid_relays;
mod queries;
mod replay;
mod settlement;
mod settling;
mod staking;
mod supplier_index;
mod suppliers;
mod transactions;
mod validator_sets;
mod vectors_proof;
mod vectors_session;
mod vectors_tokenomics;
