//! What a network is once it is decided: its folder, its keys, its first state, its ports and URLs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use portico_chain::genesis::Genesis;
use portico_net::tls::ClientTls;

use crate::actors::Actors;
use crate::ports::{Ports, local};
use crate::spec::{Role, Spec};
use crate::tls::Certificates;

/// All that is decided before a network starts, written into its folder.
///
/// ```text
/// keys/*.hex                                   one private key per actor, mode 0600
/// genesis.json                                 the first state
/// node.yaml servicer.yaml gateway.yaml         configuration of the roles, written anew at each start
/// tls/                                         authority and certificate, made anew at each start, where hops are TLS
/// chain/ servicer/                             data of the roles
/// ```
#[derive(Debug)]
pub struct Plan {
    /// The folder.
    pub folder: PathBuf,
    /// Where the roles listen.
    pub ports: Ports,
    /// What the network consists of.
    pub spec: Spec,
    /// Keys of everybody.
    pub actors: Actors,
    /// The chain's first state.
    pub genesis: Genesis,
    /// Certificates, where every hop is TLS.
    pub certificates: Option<Certificates>,
}

impl Plan {
    /// Configuration file of a role.
    #[must_use]
    pub fn config_file(&self, role: Role) -> PathBuf {
        self.folder.join(role.name()).with_extension("yaml")
    }

    /// URL of the gateway's front door.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.url(self.ports.gateway)
    }

    /// URL of the servicer's relay endpoint.
    #[must_use]
    pub fn servicer_url(&self) -> String {
        self.url(self.ports.servicer)
    }

    /// URL of the chain's RPC.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        self.url(self.ports.rpc)
    }

    /// URL of the WebSocket of the chain's RPC.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("{}/websocket", portico_net::websocket_url(&self.rpc_url()))
    }

    /// URL of the chain's gRPC.
    #[must_use]
    pub fn grpc_url(&self) -> String {
        self.url(self.ports.grpc)
    }

    /// URL of the servicer's ledger.
    #[must_use]
    pub fn ledger_url(&self) -> String {
        format!("{}/ledger", self.servicer_url())
    }

    fn url(&self, port: u16) -> String {
        url(&self.spec, port)
    }

    /// Whom this network's own clients trust.
    pub fn client_tls(&self) -> Result<ClientTls> {
        let own = self.certificates.as_ref().map(Certificates::client);
        own.unwrap_or_else(|| Ok(ClientTls::public()))
    }

    /// A client of this network's HTTP endpoints.
    pub fn http_client(&self) -> Result<reqwest::Client> {
        crate::http::client(&self.client_tls()?)
    }
}

/// URL of `port` on this machine.
pub(crate) fn url(spec: &Spec, port: u16) -> String {
    let scheme = if spec.tls { "https" } else { "http" };
    format!("{scheme}://{}", local(port))
}

pub(crate) fn genesis_file(folder: &Path) -> PathBuf {
    folder.join("genesis.json")
}
