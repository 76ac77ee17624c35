//! The HA relay miner's files, of relayer and miner (pocket-relay-miner).

use super::draft::{Backend, Draft, Keyring, Service, WEBSOCKET, http, listening, shown};
use super::reference::admin;
use super::tree::Tree;

/// Its names of RPC types, and ours.
const RPC_TYPES: [(&str, &str); 5] = [
    ("jsonrpc", "json_rpc"),
    ("rest", "rest"),
    ("cometbft", "comet_bft"),
    ("grpc", "grpc"),
    ("websocket", "websocket"),
];

/// The parts of a file: relayer and miner in one process have a section each, beside what is common to both.
pub(super) fn parts(file: &Tree) -> Vec<Tree> {
    let sides = ["relayer", "miner"];
    let mut parts = vec![file.without(&sides)];
    parts.extend(sides.iter().filter_map(|side| file.get(side)));
    parts
}

/// Whether a file is one of relayer and miner in one process.
pub(super) fn is_standalone(file: &Tree) -> bool {
    file.get("relayer").is_some()
}

pub(super) fn read(file: &Tree, draft: &mut Draft) {
    let insecure = file.flag("pocket_node.grpc_insecure");
    if let Some(url) = file.text("pocket_node.query_node_rpc_url") {
        draft.rpc_url = Some(http(&url, false));
    }
    if let Some(url) = file.text("pocket_node.query_node_grpc_url") {
        // As in poktroll's localnet, where the port says it.
        let tls = insecure.map_or(!url.starts_with("tcp://") || url.ends_with(":443"), |insecure| {
            !insecure
        });
        draft.grpc_url = Some(http(&url, tls));
    }
    for key in ["keys.keys_file", "keys.keys_dir"] {
        if let Some(path) = file
            .text(key)
            .filter(|path| !path.is_empty() && !draft.key_files.contains(path))
        {
            draft.key_files.push(path);
        }
    }
    keyring(file, draft);
    // The relayer's, and where relayer and miner are one process its only one.
    if file.get("listen_addr").is_some() || (draft.is_standalone && file.get("metrics.addr").is_some()) {
        draft.admin_listen = file
            .text("metrics.addr")
            .and_then(|text| admin(&text))
            .or(draft.admin_listen.take());
    }
    if let Some(listen) = file.text("listen_addr").and_then(|text| listening(&text)) {
        draft.listen = Some(listen);
    }
    if let Some(metered) = file.flag("relay_meter.enabled") {
        draft.metered = metered;
    }
    transactions(file, draft);
    for (id, service) in file.entries("services") {
        if !draft.takes(&id, &service, "") {
            continue;
        }
        let service = read_service(file, &service, &id, draft);
        draft.services.insert(id, service);
    }
}

/// Its keyring is read where it is in files.
fn keyring(file: &Tree, draft: &mut Draft) {
    let names = file.items("keys.keyring.key_names");
    let names: Vec<String> = names.iter().filter_map(Tree::as_text).collect();
    let backend = file.text("keys.keyring.backend");
    let backend = backend.as_deref().and_then(Keyring::backend);
    match (backend, file.text("keys.keyring.dir")) {
        (Some(backend), Some(home)) if !home.is_empty() && !names.is_empty() => {
            let keyring = Keyring { home, backend, names };
            if !draft.keyrings.contains(&keyring) {
                draft.keyrings.push(keyring);
            }
        }
        _ => {
            for name in names {
                if !draft.key_names.contains(&name) {
                    draft.key_names.push(name);
                }
            }
        }
    }
}

fn transactions(file: &Tree, draft: &mut Draft) {
    draft.gas_limit = file.number("transaction.gas_limit").unwrap_or(draft.gas_limit);
    if let Some(text) = file.text("transaction.gas_price") {
        match micro_upokt(&text) {
            Some(price) => draft.gas_price_micro_upokt = price,
            None => draft.note(format!(
                "unsupported: transaction.gas_price {text} ({}) is no whole number of millionths of a upokt",
                file.place("transaction.gas_price")
            )),
        }
    }
    let alone = [
        "transaction.disable_claim_batching",
        "transaction.disable_proof_batching",
    ];
    if alone.iter().any(|key| file.flag(key) == Some(true)) {
        draft.max_messages = Some(1);
    }
}

/// `0.00001upokt` is 10.
fn micro_upokt(text: &str) -> Option<u64> {
    let number = text.strip_suffix("upokt")?.trim();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = part.trim_end_matches('0');
    if part.len() > 6 {
        return None;
    }
    format!("{whole}{part:0<6}").parse().ok()
}

fn read_service(file: &Tree, tree: &Tree, id: &str, draft: &mut Draft) -> Service {
    let profile = tree.text("timeout_profile").unwrap_or_else(|| "fast".to_owned());
    let seconds = file.number(&format!("timeout_profiles.{profile}.request_timeout_seconds"));
    let size = tree
        .number("max_body_size_bytes")
        .or_else(|| file.number("default_max_body_size_bytes"));
    let default = tree
        .text("default_backend")
        .unwrap_or_else(|| "jsonrpc".to_owned());
    let mut service = Service {
        default: RPC_TYPES
            .iter()
            .find(|(theirs, _)| *theirs == default)
            .map(|(_, ours)| *ours),
        timeout_s: tree
            .number("request_timeout_seconds")
            .or(seconds)
            .or_else(|| file.number("default_request_timeout_seconds")),
        max_request_bytes: size,
        ..Service::default()
    };
    // As in poktroll's localnet, before a service had several.
    if let Some(url) = tree.text("backend_url") {
        let backend = Backend {
            url: http(&url, false),
            ..Backend::default()
        };
        service.backends.insert("json_rpc", backend);
    }
    for (name, backend) in tree.entries("backends") {
        let Some((_, kind)) = RPC_TYPES.iter().find(|(theirs, _)| *theirs == name) else {
            let place = backend.place("");
            draft.note(format!(
                "ignored: services.{id}.backends.{name} ({place}): no RPC type, and was never asked"
            ));
            continue;
        };
        let mut urls: Vec<String> = backend.text("url").into_iter().collect();
        let mut names = vec![None; urls.len()];
        for node in backend.items("urls") {
            if let Some(url) = node.as_text().or_else(|| node.text("url")) {
                urls.push(url);
                names.push(node.text("name"));
            }
        }
        let Some(first) = urls.first().cloned() else {
            let place = backend.place("");
            draft.note(format!(
                "unsupported: services.{id}.backends.{name} ({place}) has no url"
            ));
            continue;
        };
        if *kind != WEBSOCKET && first.starts_with("ws") {
            draft.note(format!(
                "unsupported: {id}: WebSocket backend {} for {name} ({})",
                shown(&first),
                backend.place("url")
            ));
            continue;
        }
        let names = if urls.len() > 1 { names } else { Vec::new() };
        let backend = Backend {
            names,
            ..read_backend(kind, &backend, &urls)
        };
        service.backends.insert(kind, backend);
    }
    service
}

fn read_backend(kind: &str, tree: &Tree, urls: &[String]) -> Backend {
    let base = tree.text("base_path").unwrap_or_default();
    let slash = if base.is_empty() || base.starts_with('/') {
        ""
    } else {
        "/"
    };
    let headers = tree.entries("headers").into_iter();
    let mut headers: std::collections::BTreeMap<_, _> = headers
        .filter_map(|(name, value)| Some((name, value.as_text()?)))
        .collect();
    let stated = |key: &str| {
        tree.text(&format!("authentication.{key}"))
            .filter(|text| !text.is_empty())
    };
    let token = stated("bearer_token")
        .map(|token| format!("Bearer {token}"))
        .or_else(|| stated("plain_token"));
    if let Some(token) = token {
        headers.insert("authorization".to_owned(), token);
    }
    let whole = |url: &String| {
        let url = match kind {
            WEBSOCKET => portico_net::websocket_url(url),
            _ => http(url, false),
        };
        format!("{}{slash}{base}", url.trim_end_matches('/'))
    };
    let mut urls = urls.iter().map(whole);
    Backend {
        url: urls.next().unwrap_or_default(),
        more: urls.collect(),
        names: Vec::new(),
        standby: tree
            .text("load_balancing")
            .is_none_or(|kind| kind == "first_healthy"),
        headers,
        basic_auth: stated("username").map(|user| (user, stated("password").unwrap_or_default())),
        forward_pocket_headers: false,
    }
}

#[cfg(test)]
mod tests {
    use super::micro_upokt;

    #[test]
    fn prices_are_millionths() {
        let texts = [
            "0.00001upokt",
            "0.001upokt",
            "1upokt",
            "0.0000001upokt",
            "0.1stake",
        ];
        assert_eq!(
            texts.map(micro_upokt),
            [Some(10), Some(1_000), Some(1_000_000), None, None]
        );
    }
}
