//! Tests of the state machine as a whole: against data of the Go implementation, in scenarios of many blocks, and as laws.

mod lab;
mod vectors_proof;
mod vectors_session;
mod vectors_tokenomics;
