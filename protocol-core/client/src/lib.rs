//! The Chain trait and its remote implementation over gRPC and CometBFT RPC.
