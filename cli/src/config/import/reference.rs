//! The reference relay miner's file (poktroll `pkg/relayer/config`).

use super::draft::{Backend, Draft, Service, WEBSOCKET, http, listening, shown};
use super::tree::Tree;

/// Its names of RPC types are ours.
const RPC_TYPES: [&str; 5] = ["json_rpc", "rest", "comet_bft", "grpc", "websocket"];

pub(super) fn read(file: &Tree, default_names: &[String], draft: &mut Draft) {
    // A chart's files are read one after the other: what a later one leaves out is as an earlier one has it.
    let rpc_url = file
        .text("pocket_node.query_node_rpc_url")
        .or_else(|| file.text("pocket_node.tx_node_rpc_url"));
    if let Some(url) = rpc_url {
        draft.rpc_url = Some(http(&url, url.ends_with(":443")));
    }
    if let Some(url) = file.text("pocket_node.query_node_grpc_url") {
        draft.grpc_url = Some(http(&url, url.ends_with(":443")));
    }
    if file.flag("metrics.enabled") == Some(true) {
        draft.admin_listen = file.text("metrics.addr").and_then(|text| admin(&text));
    }
    draft.over_servicing |= file.flag("enable_over_servicing").unwrap_or_default();
    let mut listens = Vec::new();
    for supplier in file.items("suppliers") {
        let Some(id) = supplier.text("service_id") else {
            let place = supplier.place("");
            draft.note(format!(
                "left out: an entry of suppliers without service_id ({place})"
            ));
            continue;
        };
        if !draft.takes(&id, &supplier, "service_id") {
            continue;
        }
        listens.extend(supplier.text("listen_url"));
        let own = names(&supplier, "signing_key_names");
        for name in if own.is_empty() { default_names } else { &own } {
            if !draft.key_names.contains(name) {
                draft.key_names.push(name.clone());
            }
        }
        if !own.is_empty() && !default_names.is_empty() {
            let place = supplier.place("signing_key_names");
            draft.note(format!(
                "different: {id} ({place}) names keys of its own; here every key serves every service, and the stakes say who is asked for what"
            ));
        }
        let service = service(file, &supplier, &id, draft);
        draft.services.insert(id, service);
    }
    listens.dedup();
    if let Some(first) = listens.first() {
        draft.listen = listening(first);
    }
    if listens.len() > 1 {
        draft.note(format!(
            "different: one endpoint serves all services; of {} the first is used, so the others' staked URLs must lead there",
            listens.join(", ")
        ));
    }
}

/// Names of keys in a keyring.
pub(super) fn names(tree: &Tree, key: &str) -> Vec<String> {
    tree.items(key).iter().filter_map(Tree::as_text).collect()
}

fn service(file: &Tree, supplier: &Tree, id: &str, draft: &mut Draft) -> Service {
    let seconds = supplier.number("request_timeout_seconds");
    let size = supplier
        .text("max_body_size")
        .or_else(|| file.text("default_max_body_size"));
    let mut service = Service {
        timeout_s: seconds.or_else(|| file.number("default_request_timeout_seconds")),
        max_request_bytes: size.and_then(|text| bytes(&text)),
        ..Service::default()
    };
    let of_types = RPC_TYPES.map(|kind| (kind, supplier.get(&format!("rpc_type_service_configs.{kind}"))));
    // The default is asked for every type without an entry of its own, JSON-RPC among them, and one of WebSockets for those alone.
    let default = supplier.get("service_config");
    let is_websocket = |tree: &Tree| tree.text("backend_url").is_some_and(|url| url.starts_with("ws"));
    let of_default = match default.as_ref().is_some_and(is_websocket) {
        true => WEBSOCKET,
        false => "json_rpc",
    };
    for (kind, tree) in of_types.into_iter().chain([(of_default, default)]) {
        let Some(mut backend) = tree.as_ref().and_then(backend) else {
            continue;
        };
        if kind == WEBSOCKET {
            backend.url = portico_net::websocket_url(&backend.url);
        } else if backend.url.starts_with("ws") {
            draft.note(format!(
                "unsupported: {id}: WebSocket backend {} for {kind} ({})",
                shown(&backend.url),
                tree.as_ref()
                    .map(|tree| tree.place("backend_url"))
                    .unwrap_or_default()
            ));
            continue;
        }
        service.backends.entry(kind).or_insert(backend);
    }
    service
}

fn backend(tree: &Tree) -> Option<Backend> {
    let user = tree
        .text("authentication.username")
        .filter(|user| !user.is_empty());
    let headers = tree.entries("headers").into_iter();
    Some(Backend {
        url: tree.text("backend_url")?,
        more: Vec::new(),
        names: Vec::new(),
        standby: false,
        headers: headers
            .filter_map(|(name, value)| Some((name, value.as_text()?)))
            .collect(),
        basic_auth: user.map(|user| (user, tree.text("authentication.password").unwrap_or_default())),
        forward_pocket_headers: tree.flag("forward_pocket_headers").unwrap_or_default(),
    })
}

/// The same port, for this machine only: the admin address shows more than metrics.
pub(super) fn admin(text: &str) -> Option<String> {
    let address: std::net::SocketAddr = listening(text)?.parse().ok()?;
    Some(format!("127.0.0.1:{}", address.port()))
}

/// `20MB` and the like, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let shift = match text[digits.len()..].trim() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(
            ["20MB", "5 kb", "7", "1GB", "x"].map(bytes),
            [Some(20 << 20), Some(5 << 10), Some(7), Some(1 << 30), None]
        );
    }
}
