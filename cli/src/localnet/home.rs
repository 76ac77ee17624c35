//! The folder of a local network: what is in it, when it is made, when it may be deleted.
//!
//! ```text
//! .portico-localnet   marks the folder as ours: only such a folder is ever deleted
//! localnet.yaml       ports and services; written last, so that a folder without it is half made
//! everything else     is the network's own: see `portico_localnet::Plan`
//! ```

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use portico_localnet::chain_service;
use portico_localnet::ports::{self, Ports, Wanted};
use portico_protocol::ServiceId;
use serde::{Deserialize, Serialize};

use crate::tx::{ServiceUrl, WebSocketUrl};

const MARKER: &str = ".portico-localnet";
const MARKER_TEXT: &str =
    "Made by `portico localnet`, which may delete this folder when asked to with --reset.\n";
const SAVED: &str = "localnet.yaml";
/// Version of the folder's layout.
const LAYOUT: u32 = 1;

/// What a network remembers from one start to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    layout: u32,
    pub(super) ports: Ports,
    /// URL of the node behind each service; none for the one that the chain itself answers.
    pub(super) backends: BTreeMap<ServiceId, Option<String>>,
    /// URL of the node that takes the WebSockets of a service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) websockets: BTreeMap<ServiceId, String>,
    /// Whether every hop is TLS.
    #[serde(default)]
    pub(super) tls: bool,
}

/// Nodes of the user's, as they are named at a start.
#[derive(Clone, Copy, Default)]
pub(super) struct Nodes<'a> {
    pub(super) backends: &'a [ServiceUrl],
    pub(super) websockets: &'a [WebSocketUrl],
}

/// The folder of a local network.
pub(super) struct Home {
    /// Where it is.
    pub(super) dir: PathBuf,
    /// What it remembers.
    pub(super) saved: Saved,
    /// Whether the network begins now.
    pub(super) fresh: bool,
    /// Held while the network runs, so that nobody else runs or deletes it.
    _lock: File,
}

impl Home {
    /// Opens the folder, or makes it; `reset` deletes what a former network left there, once nothing else stands in the way.
    pub(super) fn open(dir: &Path, reset: bool, wanted: Wanted, nodes: Nodes<'_>, tls: bool) -> Result<Self> {
        let running = lock(dir)?;
        let before = if reset { None } else { read(dir)? };
        if let Some(before) = before.as_ref().filter(|before| before.tls != tls) {
            let with = if before.tls { "with" } else { "without" };
            bail!(
                "this network was made {with} --tls, and its supplier is staked so: start it {with} --tls, or start over with --reset"
            );
        }
        let backends = merge(before.as_ref().map(|saved| &saved.backends), nodes.backends)?;
        let websockets = before.as_ref().map(|saved| &saved.websockets);
        let websockets = merge_websockets(websockets, nodes.websockets, &backends)?;
        let ports = ports::choose(wanted, before.as_ref().map(|saved| saved.ports))?;
        let saved = Saved {
            layout: LAYOUT,
            ports,
            backends,
            websockets,
            tls,
        };
        let (fresh, lock) = match (before, running) {
            (Some(_), Some(lock)) => (false, lock),
            _ => (true, make(dir)?),
        };
        Ok(Self {
            dir: dir.to_owned(),
            saved,
            fresh,
            _lock: lock,
        })
    }

    /// Remembers ports and backends; from now on the folder is a network.
    pub(super) fn save(&self) -> Result<()> {
        let text = serde_saphyr::to_string(&self.saved)?;
        let draft = self.dir.join(format!("{SAVED}.new"));
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, self.dir.join(SAVED)))
            .with_context(|| format!("{} cannot be written", self.dir.join(SAVED).display()))
    }
}

/// Services of the network: an existing one keeps its set, though a backend may move.
fn merge(
    before: Option<&BTreeMap<ServiceId, Option<String>>>,
    wanted: &[ServiceUrl],
) -> Result<BTreeMap<ServiceId, Option<String>>> {
    let fresh = || BTreeMap::from([(chain_service(), None)]);
    let mut backends = before.cloned().unwrap_or_else(fresh);
    for ServiceUrl { id, url } in wanted {
        if before.is_some_and(|before| !before.contains_key(id)) {
            let known: Vec<&str> = backends.keys().map(ServiceId::as_str).collect();
            bail!(
                "this network has the services {} and not {id}: start over with --reset to add it, \
                 or start another network with --data-dir",
                known.join(", ")
            );
        }
        backends.insert(id.clone(), Some(url.clone()));
    }
    Ok(backends)
}

/// The same of nodes that take WebSockets: the supplier is staked for them.
fn merge_websockets(
    before: Option<&BTreeMap<ServiceId, String>>,
    wanted: &[WebSocketUrl],
    services: &BTreeMap<ServiceId, Option<String>>,
) -> Result<BTreeMap<ServiceId, String>> {
    let mut websockets = before.cloned().unwrap_or_default();
    for WebSocketUrl { id, url } in wanted {
        ensure!(
            services.contains_key(id),
            "--websocket {id}=… needs --backend {id}=…: the node that answers its other calls"
        );
        ensure!(
            before.is_none_or(|before| before.contains_key(id)) || *id == chain_service(),
            "this network's supplier is not staked for WebSockets of {id}: start over with --reset to add them"
        );
        websockets.insert(id.clone(), url.clone());
    }
    Ok(websockets)
}

/// What the network in `dir` remembers; nothing when there is none, or one that was never finished.
fn read(dir: &Path) -> Result<Option<Saved>> {
    let path = dir.join(SAVED);
    let Some(text) = found(std::fs::read_to_string(&path), &path)? else {
        return Ok(None);
    };
    let saved: Saved = serde_saphyr::from_str(&text).map_err(|error| {
        anyhow::anyhow!(
            "{} is damaged ({}); start over with --reset",
            path.display(),
            error.without_snippet()
        )
    })?;
    ensure!(
        saved.layout == LAYOUT,
        "{} is of another version of portico; start over with --reset",
        dir.display()
    );
    Ok(Some(saved))
}

fn found<T>(result: std::io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Locks the folder of an existing network; nothing when there is none.
fn lock(dir: &Path) -> Result<Option<File>> {
    let path = dir.join(MARKER);
    let Some(file) = found(File::open(&path), &path)? else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "a local network is running in {}: stop it first, or start another one with --data-dir",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Makes the folder, with nothing of a former or half-made network left in it, and locks it.
fn make(dir: &Path) -> Result<File> {
    delete(dir)?;
    let made = std::fs::create_dir_all(dir.join("keys"))
        .and_then(|()| private(dir))
        .and_then(|()| std::fs::write(dir.join(MARKER), MARKER_TEXT));
    made.with_context(|| format!("{} cannot be made; choose another with --data-dir", dir.display()))?;
    lock(dir)?.context("the folder was deleted while it was made")
}

/// Deletes a folder that we made; an empty or missing one is fine, another is refused.
fn delete(dir: &Path) -> Result<()> {
    let Some(mut entries) = found(std::fs::read_dir(dir), dir)? else {
        return Ok(());
    };
    if entries.next().is_none() {
        return Ok(());
    }
    ensure!(
        dir.join(MARKER).exists(),
        "{} has files that are not of a local network: nothing is deleted; choose another folder with --data-dir",
        dir.display()
    );
    std::fs::remove_dir_all(dir).with_context(|| format!("{} cannot be deleted", dir.display()))
}

#[cfg(unix)]
fn private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Home, Nodes, Wanted};
    use crate::tx::ServiceUrl;

    fn open(dir: &Path, reset: bool, backends: &[&str]) -> anyhow::Result<Home> {
        let backends: Vec<ServiceUrl> = backends.iter().map(|text| text.parse().unwrap()).collect();
        let nodes = Nodes {
            backends: &backends,
            ..Nodes::default()
        };
        Home::open(dir, reset, Wanted::FREE, nodes, false)
    }

    fn with_websocket(dir: &Path, backend: &str, websocket: &str) -> anyhow::Result<Home> {
        let nodes = Nodes {
            backends: &[backend.parse().unwrap()],
            websockets: &[websocket.parse().unwrap()],
        };
        Home::open(dir, false, Wanted::FREE, nodes, false)
    }

    #[test]
    fn websockets_are_as_fixed_as_the_stake() {
        let dir = tempfile::tempdir().unwrap();
        let eth = "eth=http://a";
        let first = with_websocket(dir.path(), eth, "eth=ws://a").unwrap();
        first.save().unwrap();
        drop(first);
        let moved = with_websocket(dir.path(), eth, "eth=ws://b").unwrap();
        assert_eq!(moved.saved.websockets[&"eth".parse().unwrap()], "ws://b");
        drop(moved);
        let other = with_websocket(dir.path(), eth, "sol=ws://b").err().unwrap();
        assert!(other.to_string().contains("needs --backend sol="), "{other}");
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &[eth]).unwrap().save().unwrap();
        let late = with_websocket(dir.path(), eth, "eth=ws://b").err().unwrap();
        assert!(late.to_string().contains("--reset"), "{late}");
    }

    #[test]
    fn a_network_is_remembered_with_its_ports_and_services() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), false, &["eth=http://node:8545"]).unwrap();
        first.save().unwrap();
        let (was_fresh, saved) = (first.fresh, first.saved.clone());
        drop(first);
        let second = Home::open(dir.path(), false, Wanted::default(), Nodes::default(), false).unwrap();
        assert!(was_fresh && !second.fresh);
        assert_eq!(second.saved, saved);
    }

    #[test]
    fn a_network_keeps_its_way_of_speaking() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &[]).unwrap().save().unwrap();
        let again = Home::open(dir.path(), false, Wanted::default(), Nodes::default(), true);
        let error = again.err().unwrap().to_string();
        assert!(error.contains("made without --tls"), "{error}");
    }

    #[test]
    fn a_backend_may_move() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &["eth=http://a"])
            .unwrap()
            .save()
            .unwrap();
        let home = open(dir.path(), false, &["eth=http://b"]).unwrap();
        let backend = &home.saved.backends[&"eth".parse().unwrap()];
        assert_eq!(backend.as_deref(), Some("http://b"));
    }

    #[test]
    fn another_service_on_an_existing_network_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &[]).unwrap().save().unwrap();
        let error = open(dir.path(), false, &["eth=http://a"])
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("pocket and not eth") && error.contains("--reset"),
            "{error}"
        );
    }

    #[test]
    fn reset_deletes_only_what_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
        let error = open(dir.path(), true, &[]).err().unwrap().to_string();
        assert!(error.contains("nothing is deleted"), "{error}");
        assert!(dir.path().join("thesis.txt").exists());
        assert!(
            open(dir.path(), false, &[]).is_err(),
            "nor is a network made among other files"
        );
    }

    #[test]
    fn reset_forgets_the_network_before() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &["eth=http://a"])
            .unwrap()
            .save()
            .unwrap();
        let home = open(dir.path(), true, &[]).unwrap();
        assert!(home.fresh && home.saved.backends.len() == 1);
    }

    #[test]
    fn a_running_network_is_neither_started_again_nor_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let running = open(dir.path(), false, &[]).unwrap();
        running.save().unwrap();
        for reset in [false, true] {
            let error = open(dir.path(), reset, &[]).err().unwrap().to_string();
            assert!(error.contains("is running in"), "{error}");
        }
        assert!(dir.path().join("localnet.yaml").exists());
    }

    #[test]
    fn a_taken_port_leaves_the_network_that_was_to_be_reset_alone() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), false, &[]).unwrap().save().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let wanted = Wanted {
            rpc: Some(port),
            ..Wanted::FREE
        };
        assert!(Home::open(dir.path(), true, wanted, Nodes::default(), false).is_err());
        assert!(dir.path().join("localnet.yaml").exists());
    }

    #[test]
    fn a_half_made_network_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), false, &[]).unwrap());
        std::fs::write(dir.path().join("keys/gateway.hex"), "half").unwrap();
        assert!(open(dir.path(), false, &[]).unwrap().fresh);
        assert!(!dir.path().join("keys/gateway.hex").exists());
    }
}
