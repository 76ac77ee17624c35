//! Keys of the other programs' files, and what becomes of those that are not taken over.
//!
//! `*` stands for one name of a path, `**` at its end for the rest.

use super::Kind;
use super::draft::Draft;
use super::tree::Tree;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Taken over.
    Used,
    /// Not needed here; why.
    Ignored(&'static str),
    /// It would change what the servicer does, and cannot be taken over; what is different.
    Unsupported(&'static str),
}

use Fate::{Ignored, Unsupported, Used};

const REFERENCE: &[(&str, Fate)] = &[
    ("default_signing_key_names[]", Used),
    ("default_request_timeout_seconds", Used),
    ("default_max_body_size", Used),
    ("metrics.**", Used),
    ("pocket_node.query_node_rpc_url", Used),
    ("pocket_node.query_node_grpc_url", Used),
    (
        "pocket_node.tx_node_rpc_url",
        Ignored("transactions go to chain.rpc_url"),
    ),
    ("enable_over_servicing", Used),
    (
        "signing_key_name",
        Ignored("default_signing_key_names is read instead, as that relay miner does"),
    ),
    (
        "default_enable_eager_relay_request_validation",
        Ignored("requests are always checked before they are served"),
    ),
    (
        "suppliers[].enable_eager_relay_request_validation",
        Ignored("requests are always checked before they are served"),
    ),
    ("mining_supervisor.**", Ignored("see limits.max_in_flight")),
    ("suppliers", Used),
    (
        "smt_store_path",
        Ignored("the leaf log is in data_dir, in another format"),
    ),
    ("disable_smt_persistence", Ignored("leaves are always on disk")),
    (
        "enable_eager_relay_request_validation",
        Ignored("requests are always checked before they are served"),
    ),
    ("served_relays_buffer_size", Ignored("see limits.max_in_flight")),
    ("mining_pipeline_buffer_size", Ignored("see limits.max_in_flight")),
    ("mining_workers", Ignored("see limits.verify_threads")),
    ("pprof.**", Ignored("there is no such endpoint")),
    (
        "ping.**",
        Ignored("/health and /ready answer at listen and admin_listen"),
    ),
    ("suppliers[].service_id", Used),
    ("suppliers[].listen_url", Used),
    ("suppliers[].signing_key_names[]", Used),
    ("suppliers[].request_timeout_seconds", Used),
    ("suppliers[].max_body_size", Used),
    (
        "suppliers[].x_forwarded_host_lookup",
        Unsupported("the service is told by the signed request alone"),
    ),
    (
        "suppliers[].service_config.publicly_exposed_endpoints[]",
        Ignored("the stake says where gateways send relays"),
    ),
    ("suppliers[].service_config.backend_url", Used),
    ("suppliers[].service_config.authentication.**", Used),
    ("suppliers[].service_config.headers.**", Used),
    ("suppliers[].service_config.headers", Used),
    ("suppliers[].service_config.forward_pocket_headers", Used),
    ("suppliers[].rpc_type_service_configs.*.backend_url", Used),
    ("suppliers[].rpc_type_service_configs.*.authentication.**", Used),
    ("suppliers[].rpc_type_service_configs.*.headers.**", Used),
    ("suppliers[].rpc_type_service_configs.*.headers", Used),
    (
        "suppliers[].rpc_type_service_configs.*.forward_pocket_headers",
        Used,
    ),
    ("suppliers[].rpc_type_service_configs", Used),
];

const HA: &[(&str, Fate)] = &[
    ("listen_addr", Used),
    ("storage.**", Ignored("leaves are in data_dir")),
    ("services", Used),
    ("services.*.id", Ignored("the key is the id")),
    ("services.*.backend_url", Used),
    ("services.*.request_timeout_seconds", Used),
    (
        "services.*.health_check.**",
        Unsupported("see backend.health, which compares nodes by their heads"),
    ),
    (
        "pocket_node.tx_node_rpc_url",
        Ignored("transactions go to chain.rpc_url"),
    ),
    (
        "keys.hot_reload_enabled",
        Ignored("portico servicer reload reads keys anew"),
    ),
    ("redis.**", Ignored("there is no Redis: leaves are in data_dir")),
    ("pocket_node.query_node_rpc_url", Used),
    ("pocket_node.query_node_grpc_url", Used),
    ("pocket_node.grpc_insecure", Used),
    ("pocket_node.chain_id", Ignored("the node is asked for it")),
    (
        "pocket_node.query_timeout_seconds",
        Ignored("questions to the chain have time-outs of their own"),
    ),
    ("keys.keys_file", Used),
    ("keys.keys_dir", Used),
    ("keys.keyring.key_names[]", Used),
    ("keys.keyring.backend", Used),
    ("keys.keyring.dir", Used),
    (
        "keys.keyring.app_name",
        Ignored("the keys of a keyring in files are told by their names alone"),
    ),
    (
        "services.*.validation_mode",
        Ignored("requests are always checked before they are served"),
    ),
    ("services.*.timeout_profile", Used),
    (
        "services.*.pool_profile",
        Ignored("connections to backends are pooled without profiles"),
    ),
    ("services.*.max_body_size_bytes", Used),
    ("services.*.default_backend", Used),
    ("services.*.backends.*.url", Used),
    ("services.*.backends.*.urls[]", Used),
    ("services.*.backends.*.urls[].name", Used),
    ("services.*.backends.*.urls[].url", Used),
    ("services.*.backends.*.base_path", Used),
    ("services.*.backends.*.headers.**", Used),
    ("services.*.backends.*.authentication.**", Used),
    ("services.*.backends.*.load_balancing", Used),
    (
        "services.*.backends.*.health_check.**",
        Unsupported("see backend.health, which compares nodes by their heads"),
    ),
    (
        "services.*.backends.*.recovery_timeout_seconds",
        Unsupported("see backend.health, which compares nodes by their heads"),
    ),
    (
        "default_validation_mode",
        Ignored("requests are always checked before they are served"),
    ),
    ("default_request_timeout_seconds", Used),
    ("default_max_body_size_bytes", Used),
    (
        "grace_period_extra_blocks",
        Ignored("the grace period is the chain's"),
    ),
    ("timeout_profiles.*.request_timeout_seconds", Used),
    (
        "timeout_profiles.**",
        Ignored("a backend has one time-out, for the whole answer"),
    ),
    (
        "pool_profiles.**",
        Ignored("connections to backends are pooled without profiles"),
    ),
    (
        "http_transport.**",
        Ignored("connections to backends are pooled without profiles"),
    ),
    (
        "response_compression.**",
        Unsupported("answers to gateways are not compressed"),
    ),
    (
        "cache_warmup.**",
        Ignored("sessions are looked up when they are asked for"),
    ),
    ("relay_meter.enabled", Used),
    (
        "relay_meter.**",
        Ignored("the meter is in memory, and counts the leaves on disk at a start"),
    ),
    (
        "health_check.**",
        Ignored("/health and /ready answer at listen and admin_listen"),
    ),
    (
        "simulation.**",
        Unsupported("simulated relays with identities of others"),
    ),
    ("metrics.addr", Used),
    ("metrics.**", Ignored("metrics are always on")),
    ("pprof.**", Ignored("there is no such endpoint")),
    ("logging.**", Ignored("see --log-format and RUST_LOG")),
    ("transaction.gas_limit", Used),
    ("transaction.gas_price", Used),
    ("transaction.disable_claim_batching", Used),
    ("transaction.disable_proof_batching", Used),
    (
        "transaction.gas_adjustment",
        Ignored("simulated gas is multiplied by 1.7"),
    ),
    (
        "transaction.**",
        Ignored("claims and proofs are looked for on chain and sent again in their windows"),
    ),
    ("block_time_seconds", Ignored("blocks are followed as they come")),
    (
        "block_health_monitor.**",
        Ignored("see portico_chain_head_age_seconds"),
    ),
    (
        "balance_monitor.**",
        Ignored("see portico servicer check --against-chain"),
    ),
    (
        "settlement_monitor.**",
        Ignored("settlements are always followed: portico servicer ledger"),
    ),
    (
        "default_service_factor",
        Unsupported("the meter is the protocol's formula"),
    ),
    (
        "service_factors.**",
        Unsupported("the meter is the protocol's formula"),
    ),
    ("session_lifecycle.**", Ignored("there is one process")),
    ("worker_pools.**", Ignored("there is one process")),
    ("leader_election.**", Ignored("there is one process")),
    ("supplier_claiming.**", Ignored("there is one process")),
    ("deduplication_ttl_blocks", Ignored("a relay is a leaf once")),
    ("batch_size", Ignored("there is no Redis")),
    ("ack_batch_size", Ignored("there is no Redis")),
    ("hot_reload_enabled", Ignored("there is no Redis")),
    ("session_ttl", Ignored("there is no Redis")),
    ("cache_ttl", Ignored("there is no Redis")),
    ("submission_tracking_ttl", Ignored("there is no Redis")),
    (
        "smst_live_root_checkpoint_interval",
        Ignored("leaves are on disk before answers leave"),
    ),
    (
        "supplier_reconcile_interval_seconds",
        Ignored("there is one process"),
    ),
    (
        "known_applications[]",
        Ignored("sessions are looked up when they are asked for"),
    ),
    (
        "known_applications",
        Ignored("sessions are looked up when they are asked for"),
    ),
];

/// Notes every key of `file`, or of a part of one, that was not taken over.
pub(super) fn name_the_rest(file: &Tree, of: Kind, draft: &mut Draft) {
    let table = match of {
        Kind::Reference => REFERENCE,
        Kind::Ha => HA,
    };
    for leaf in file.leaves() {
        let known = table.iter().find(|(pattern, _)| matches(pattern, &leaf.path));
        let Some((pattern, fate)) = known else {
            let place = file.place_in_file(&leaf.in_file);
            draft.note(format!(
                "unknown: {} ({place}): no key of this relay miner",
                leaf.path
            ));
            continue;
        };
        let key = shorter(pattern, &leaf.path, &leaf.path);
        let place = file.place_in_file(&shorter(pattern, &leaf.path, &leaf.in_file));
        match fate {
            Used => {}
            Ignored(why) => draft.note(format!("ignored: {key} ({place}): {why}")),
            Unsupported(why) => draft.note(format!("unsupported: {key} ({place}): {why}")),
        }
    }
}

/// What a note is about: all below a `**` once. `path` matches the pattern, and `longer` ends with as many names.
fn shorter(pattern: &str, path: &str, longer: &str) -> String {
    let Some(start) = pattern.strip_suffix(".**") else {
        return longer.to_owned();
    };
    let below = path.split('.').count().saturating_sub(start.split('.').count());
    let names: Vec<&str> = longer.split('.').collect();
    names[..names.len().saturating_sub(below)].join(".")
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, open) = match pattern.strip_suffix(".**") {
        Some(start) => (start, true),
        None => (pattern, false),
    };
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), path.split('.').collect());
    let long_enough = if open {
        path.len() >= pattern.len()
    } else {
        path.len() == pattern.len()
    };
    long_enough
        && pattern
            .iter()
            .zip(&path)
            .all(|(want, have)| *want == "*" || want == have)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_name_and_two_are_the_rest() {
        assert!(matches("a.*.b", "a.x.b") && !matches("a.*.b", "a.x.y.b"));
        assert!(matches("a.**", "a.b.c") && matches("a.**", "a") && !matches("a.**", "ab"));
        assert_eq!(shorter("a.*.b.**", "a.x.b.c.d", "top.a.x.b.c.d"), "top.a.x.b");
    }
}
