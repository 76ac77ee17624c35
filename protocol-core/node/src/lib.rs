//! Mempool, block execution over the store, gRPC and CometBFT-style RPC.
