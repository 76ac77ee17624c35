//! The names of CometBFT's RPC: methods of JSON-RPC by POST, and first segments of a path by GET.

/// What can be asked without a WebSocket (CometBFT 0.38, `rpc/core/routes.go`), in order of the alphabet.
const METHODS: [&str; 28] = [
    "abci_info",
    "abci_query",
    "block",
    "block_by_hash",
    "block_results",
    "block_search",
    "blockchain",
    "broadcast_evidence",
    "broadcast_tx_async",
    "broadcast_tx_commit",
    "broadcast_tx_sync",
    "check_tx",
    "commit",
    "consensus_params",
    "consensus_state",
    "dump_consensus_state",
    "genesis",
    "genesis_chunked",
    "header",
    "header_by_hash",
    "health",
    "net_info",
    "num_unconfirmed_txs",
    "status",
    "tx",
    "tx_search",
    "unconfirmed_txs",
    "validators",
];

/// Whether `name` is a method.
pub(crate) fn is_method(name: &str) -> bool {
    METHODS.binary_search(&name).is_ok()
}

/// Whether `path` (and query: empty, or starting with `/` or `?`) calls a method by its URI.
pub(crate) fn is_uri(path: &str) -> bool {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    path.strip_prefix('/').is_some_and(is_method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_methods_and_uris() {
        assert!(METHODS.is_sorted());
        assert!(METHODS.iter().all(|method| is_method(method)));
        for path in ["/status", "/block?height=5", "/abci_query?path=%22/a%22", "/tx"] {
            assert!(is_uri(path), "{path}");
        }
        for path in [
            "",
            "/",
            "?height=5",
            "/block/5",
            "/Status",
            "/cosmos/tx",
            "/subscribe",
            "//status",
        ] {
            assert!(!is_uri(path), "{path}");
        }
    }
}
