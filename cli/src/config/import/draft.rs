//! The servicer's configuration as it is put together, and how it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use portico_protocol::ServiceId;

use super::Imported;
use super::tree::Tree;

/// Our name of the RPC type of WebSockets.
pub(super) const WEBSOCKET: &str = "websocket";

/// What was taken over.
#[derive(Debug)]
pub(super) struct Draft {
    keys_folder: PathBuf,
    pub(super) listen: Option<String>,
    pub(super) admin_listen: Option<String>,
    pub(super) rpc_url: Option<String>,
    pub(super) grpc_url: Option<String>,
    /// Names of keys in a keyring.
    pub(super) key_names: Vec<String>,
    /// Key files and folders.
    pub(super) key_files: Vec<String>,
    pub(super) keyrings: Vec<Keyring>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) over_servicing: bool,
    pub(super) metered: bool,
    pub(super) gas_limit: u64,
    pub(super) gas_price_micro_upokt: u64,
    pub(super) max_messages: Option<u64>,
    /// Whether a file is of relayer and miner in one process.
    pub(super) is_standalone: bool,
    pub(super) notes: Vec<String>,
}

/// A service that was taken over.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// By our name of the RPC type.
    pub(super) backends: BTreeMap<&'static str, Backend>,
    /// Our name of the RPC type that answers those without a backend of their own.
    pub(super) default: Option<&'static str>,
    pub(super) timeout_s: Option<u64>,
    pub(super) max_request_bytes: Option<u64>,
}

/// A backend that was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) url: String,
    /// Further nodes.
    pub(super) more: Vec<String>,
    /// Of all nodes, where the file has them.
    pub(super) names: Vec<Option<String>>,
    /// Whether those are asked only when the first cannot be.
    pub(super) standby: bool,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) basic_auth: Option<(String, String)>,
    pub(super) forward_pocket_headers: bool,
}

impl Backend {
    /// All nodes with their names. Those without one are told by host and port, unless these are the same.
    fn nodes(&self) -> Vec<(&String, Option<String>)> {
        let urls: Vec<&String> = std::iter::once(&self.url).chain(&self.more).collect();
        let hosts: BTreeSet<String> = urls.iter().map(|url| shown(url)).collect();
        let numbered = hosts.len() < urls.len();
        let name = |index: usize| {
            let stated = self.names.get(index).cloned().flatten();
            stated.or_else(|| numbered.then(|| format!("node-{}", index.saturating_add(1))))
        };
        let nodes = urls.into_iter().enumerate();
        nodes.map(|(index, url)| (url, name(index))).collect()
    }
}

impl Draft {
    pub(super) fn new(keys_folder: &Path) -> Self {
        Self {
            keys_folder: keys_folder.to_owned(),
            listen: None,
            admin_listen: None,
            rpc_url: None,
            grpc_url: None,
            key_names: Vec::new(),
            key_files: Vec::new(),
            keyrings: Vec::new(),
            services: BTreeMap::new(),
            over_servicing: false,
            metered: true,
            gas_limit: 0,
            gas_price_micro_upokt: DEFAULT_GAS_PRICE,
            max_messages: None,
            is_standalone: false,
            notes: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether a service can be served by its id, which stands at `path` of `tree`; one that the network cannot have is left out, with a note.
    pub(super) fn takes(&mut self, id: &str, tree: &Tree, path: &str) -> bool {
        let valid = ServiceId::new(id);
        if valid.is_err() {
            let place = tree.place(path);
            self.note(format!(
                "left out: service {id:?} ({place}): the network has no such id, which is of letters, digits, - and _, at most 42: nobody can \
                 stake for it"
            ));
        }
        valid.is_ok()
    }

    /// The file and the notes; errs when nothing is there that could be served.
    pub(super) fn finish(mut self) -> Result<Imported> {
        let unserved: Vec<String> = self
            .services
            .iter()
            .filter(|(_, service)| service.backends.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        for id in unserved {
            self.services.remove(&id);
            self.note(format!(
                "unsupported: service {id} has no backend that could be served, and is left out"
            ));
        }
        ensure!(
            !self.services.is_empty(),
            "the files name no service that can be served: the relayer's file is needed"
        );
        for name in self.key_names.clone() {
            let file = self.key_file(&name);
            self.note(format!(
                "to do: export the key {name} from its keyring: pocketd keys export {name} --unarmored-hex --unsafe > {} && chmod 600 {}",
                file.display(),
                file.display()
            ));
        }
        if self.keyrings.iter().any(|keyring| keyring.backend == "file") {
            self.note(format!(
                "to do: write the keyring's password to {KEYRING_PASSWORD} beside the configuration, and chmod 600 {KEYRING_PASSWORD}"
            ));
        }
        if self.key_names.is_empty() && self.key_files.is_empty() && self.keyrings.is_empty() {
            self.note("to do: the files name no keys: list them under suppliers or key_files");
        }
        self.note("to do: give this servicer a data folder of its own; sessions in progress are finished by the other relay miner");
        Ok(Imported {
            yaml: self.yaml(),
            notes: self.notes,
        })
    }

    fn key_file(&self, name: &str) -> PathBuf {
        let plain: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        self.keys_folder.join(format!("{plain}.hex"))
    }

    fn yaml(&self) -> String {
        let mut text =
            "# Made by portico config import. `portico config schema servicer` describes every key.\n"
                .to_owned();
        line(
            &mut text,
            0,
            "listen",
            self.listen.as_deref().unwrap_or("0.0.0.0:8081"),
        );
        line(
            &mut text,
            0,
            "admin_listen",
            self.admin_listen.as_deref().unwrap_or("127.0.0.1:8082"),
        );
        line(&mut text, 0, "data_dir", "servicer-data");
        if self.rpc_url.is_some() || self.grpc_url.is_some() {
            text += "chain:\n";
            for (key, url) in [("rpc_url", &self.rpc_url), ("grpc_url", &self.grpc_url)] {
                if let Some(url) = url {
                    line(&mut text, 1, key, url);
                }
            }
        }
        if !self.key_names.is_empty() {
            text += "suppliers:\n";
            for name in &self.key_names {
                let _ = writeln!(
                    text,
                    "  - {{file: {}}}",
                    quoted(&self.key_file(name).to_string_lossy())
                );
            }
        }
        if !(self.key_files.is_empty() && self.keyrings.is_empty()) {
            text += "key_files:\n";
        }
        for file in &self.key_files {
            let _ = writeln!(text, "  - {}", quoted(file));
        }
        for keyring in &self.keyrings {
            keyring.write(&mut text);
        }
        text += "services:\n";
        for (id, service) in &self.services {
            write_service(&mut text, id, service);
        }
        if self.over_servicing || !self.metered {
            let _ = writeln!(
                text,
                "meter: {{enabled: {}, over_servicing: {}}}",
                self.metered, self.over_servicing
            );
        }
        let _ = write!(
            text,
            "tx:\n  gas_price_micro_upokt: {}\n",
            self.gas_price_micro_upokt
        );
        if self.gas_limit > 0 {
            let _ = writeln!(text, "  gas_limit: {}", self.gas_limit);
        }
        if let Some(messages) = self.max_messages {
            let _ = writeln!(text, "  max_messages: {messages}");
        }
        text
    }
}

/// 0.00001upokt, the HA relay miner's default.
const DEFAULT_GAS_PRICE: u64 = 10;

fn write_service(text: &mut String, id: &str, service: &Service) {
    let _ = writeln!(text, "  {}:", quoted(id));
    // WebSockets have a backend of their own, which answers nothing else.
    let answers_others = |kind: &&'static str| *kind != WEBSOCKET;
    let first = service.backends.keys().copied().find(answers_others);
    let stated = service
        .default
        .filter(|kind| answers_others(kind) && service.backends.contains_key(kind));
    let json_rpc = service.backends.contains_key("json_rpc").then_some("json_rpc");
    let default = stated.or(json_rpc).or(first);
    for (kind, backend) in service
        .backends
        .iter()
        .filter(|(kind, _)| Some(**kind) == default)
    {
        let _ = writeln!(
            text,
            "    backend: # {kind}, and every type without a backend of its own"
        );
        write_backend(text, 3, backend);
    }
    // Nodes of gRPC are spoken to by HTTP/2 only where they are said to be such.
    let others: Vec<_> = service
        .backends
        .iter()
        .filter(|(kind, _)| Some(**kind) != default || **kind == "grpc")
        .collect();
    if !others.is_empty() {
        text.push_str("    rpc_types:\n");
        for (kind, backend) in others {
            let _ = writeln!(text, "      {kind}:");
            write_backend(text, 4, backend);
        }
    }
    if let Some(seconds) = service.timeout_s {
        let _ = writeln!(text, "    timeout_ms: {}", seconds.saturating_mul(1_000));
    }
    if let Some(bytes) = service.max_request_bytes {
        let _ = writeln!(text, "    max_request_bytes: {bytes}");
    }
}

fn write_backend(text: &mut String, indent: usize, backend: &Backend) {
    let pad = "  ".repeat(indent);
    if backend.more.is_empty() {
        line(text, indent, "url", &backend.url);
    } else {
        let _ = writeln!(text, "{pad}nodes:");
        for (index, (url, name)) in backend.nodes().into_iter().enumerate() {
            let name = name.map_or_else(String::new, |name| format!(", name: {}", quoted(&name)));
            let weight = if backend.standby && index > 0 {
                ", weight: 0"
            } else {
                ""
            };
            let _ = writeln!(text, "{pad}  - {{url: {}{name}{weight}}}", quoted(url));
        }
    }
    if !backend.headers.is_empty() {
        let _ = writeln!(text, "{pad}headers:");
        for (name, value) in &backend.headers {
            line(text, indent + 1, &quoted(name), value);
        }
    }
    if let Some((username, password)) = &backend.basic_auth {
        let _ = writeln!(
            text,
            "{pad}basic_auth: {{username: {}, password: {}}}",
            quoted(username),
            quoted(password)
        );
    }
    if backend.forward_pocket_headers {
        let _ = writeln!(text, "{pad}forward_pocket_headers: true");
    }
}

fn line(text: &mut String, indent: usize, key: &str, value: &str) {
    let _ = writeln!(text, "{}{key}: {}", "  ".repeat(indent), quoted(value));
}

/// A text of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `http://…` or `https://…` from a URL of another scheme, or of none.
pub(super) fn http(url: &str, tls: bool) -> String {
    match url.split_once("://") {
        Some(("http" | "https", _)) => url.to_owned(),
        Some(("grpcs", rest)) => format!("https://{rest}"),
        Some((_, rest)) => format!("{}://{rest}", if tls { "https" } else { "http" }),
        None => format!("{}://{url}", if tls { "https" } else { "http" }),
    }
}

/// Address and port to listen on, from `http://host:port`, `host:port` or `:port`; a host that is no address becomes all of them.
pub(super) fn listening(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    if let Ok(address) = authority.parse::<std::net::SocketAddr>() {
        return Some(address.to_string());
    }
    let (_, port) = authority.rsplit_once(':')?;
    Some(format!("0.0.0.0:{}", port.parse::<u16>().ok()?))
}

/// File of the password of a keyring that has one.
const KEYRING_PASSWORD: &str = "keyring-password";

/// Keys in a keyring of the Cosmos SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keyring {
    /// The folder that has its folder.
    pub(super) home: String,
    /// `test` or `file`.
    pub(super) backend: &'static str,
    pub(super) names: Vec<String>,
}

impl Keyring {
    /// Whether the servicer reads keyrings of this backend; its name then.
    pub(super) fn backend(name: &str) -> Option<&'static str> {
        ["test", "file"].into_iter().find(|known| *known == name)
    }

    fn write(&self, text: &mut String) {
        let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
        let password = match self.backend {
            "file" => format!(", password: {{file: {}}}", quoted(KEYRING_PASSWORD)),
            _ => String::new(),
        };
        let (home, backend, names) = (quoted(&self.home), self.backend, names.join(", "));
        let _ = writeln!(
            text,
            "  - {{keyring: {home}, backend: {backend}{password}, names: [{names}]}}"
        );
    }
}

/// A URL without what may be secret in it.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}
