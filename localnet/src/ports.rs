//! The four ports of a network.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A port per endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Front door of the gateway.
    pub gateway: u16,
    /// CometBFT-style RPC of the chain.
    pub rpc: u16,
    /// gRPC of the chain.
    pub grpc: u16,
    /// Relay endpoint of the servicer.
    pub servicer: u16,
}

/// What people are used to.
const DEFAULT: Ports = Ports {
    gateway: 3069,
    rpc: 26657,
    grpc: 9090,
    servicer: 8081,
};

/// The same, as asked for on the command line; 0 asks for a free one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Front door of the gateway.
    pub gateway: Option<u16>,
    /// RPC of the chain.
    pub rpc: Option<u16>,
    /// gRPC of the chain.
    pub grpc: Option<u16>,
    /// Relay endpoint of the servicer.
    pub servicer: Option<u16>,
}

impl Wanted {
    /// Four free ports.
    pub const FREE: Self = Self {
        gateway: Some(0),
        rpc: Some(0),
        grpc: Some(0),
        servicer: Some(0),
    };
}

/// Chooses ports: what is wanted, else what the network had before, else the usual ones. The supplier is staked with the servicer's
/// port, so an existing network keeps that one.
pub fn choose(wanted: Wanted, before: Option<Ports>) -> Result<Ports> {
    if let (Some(port), Some(before)) = (wanted.servicer, before)
        && port != 0
        && port != before.servicer
    {
        bail!(
            "this network's supplier is staked with an endpoint on port {}: leave out --servicer-port {port}, \
             or start over with --reset (another --data-dir starts another network)",
            before.servicer
        );
    }
    let usual = before.unwrap_or(DEFAULT);
    let mut taken = Vec::new();
    let mut take = |flag, wanted: Option<u16>, usual| {
        let listener = listen(flag, wanted.unwrap_or(usual))?;
        let port = listener.local_addr()?.port();
        taken.push(listener); // held until all are chosen, so that no two are the same
        anyhow::Ok(port)
    };
    Ok(Ports {
        gateway: take("--gateway-port", wanted.gateway, usual.gateway)?,
        rpc: take("--rpc-port", wanted.rpc, usual.rpc)?,
        grpc: take("--grpc-port", wanted.grpc, usual.grpc)?,
        servicer: take(
            "--servicer-port",
            wanted.servicer.filter(|_| before.is_none()),
            usual.servicer,
        )?,
    })
}

/// Four free ports.
pub fn free_ports() -> Result<Ports> {
    choose(Wanted::FREE, None)
}

/// An address of this machine only, with a port that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(local(0))?.local_addr()?)
}

fn listen(flag: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind(local(port)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} is taken: stop the program that uses it, or choose another port with {flag} (0 takes a free one)"
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("port {port} is not allowed for you: choose one above 1023 with {flag} (0 takes a free one)")
        }
        _ => anyhow::Error::new(error).context(format!("port {port} cannot be used; choose another with {flag}")),
    })
}

/// `port` on this machine only.
#[must_use]
pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Ports, Wanted, choose, local};

    #[test]
    fn zero_takes_a_free_port_of_each_kind() {
        let ports = choose(Wanted::FREE, None).unwrap();
        let mut all = vec![ports.gateway, ports.rpc, ports.grpc, ports.servicer];
        all.sort_unstable();
        all.dedup();
        assert!(all.len() == 4 && !all.contains(&0), "{ports:?}");
    }

    #[test]
    fn a_taken_port_names_its_flag() {
        let taken = TcpListener::bind(local(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose(
            Wanted {
                gateway: Some(port),
                ..Wanted::FREE
            },
            None,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(&format!("port {port} is taken")) && error.contains("--gateway-port"),
            "{error}"
        );
    }

    #[test]
    fn an_existing_network_keeps_the_servicers_port() {
        let before = choose(Wanted::FREE, None).unwrap();
        assert_eq!(
            choose(Wanted::FREE, Some(before)).unwrap().servicer,
            before.servicer
        );
    }

    #[test]
    fn another_servicer_port_on_an_existing_network_is_refused() {
        let before = Ports {
            gateway: 1,
            rpc: 2,
            grpc: 3,
            servicer: 4,
        };
        let error = choose(
            Wanted {
                servicer: Some(5),
                ..Wanted::FREE
            },
            Some(before),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("--reset"), "{error}");
    }
}
