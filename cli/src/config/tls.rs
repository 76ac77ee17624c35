//! Whether certificates can be used with their keys.

use std::fmt::Write as _;

use portico_config::gateway::GatewayConfig;
use portico_config::load::Faults;
use portico_config::node::NodeConfig;
use portico_config::servicer::ServicerConfig;
use portico_config::tls::{ClientTls as ClientFiles, ServerTls as ServerFiles};
use portico_net::tls::{ClientTls, ServerTls, TlsError};

pub(super) fn check_gateway(config: &GatewayConfig, faults: &mut Faults) {
    served(config.tls.as_ref(), faults);
    shown("supplier_tls", &config.supplier_tls, faults);
    shown("chain.tls", &config.chain.tls, faults);
}

pub(super) fn check_servicer(config: &ServicerConfig, faults: &mut Faults) {
    served(config.tls.as_ref(), faults);
    shown("chain.tls", &config.chain.tls, faults);
    for (id, service) in &config.services {
        for (key, _, backend) in service.backends() {
            shown(&format!("services.{id}.{key}.tls"), &backend.tls, faults);
        }
    }
}

pub(super) fn check_node(config: &NodeConfig, faults: &mut Faults) {
    served(config.tls.as_ref(), faults);
}

fn served(files: Option<&ServerFiles>, faults: &mut Faults) {
    let opened = files.map(ServerTls::open).transpose();
    report("tls", opened.map(drop), faults);
}

fn shown(key: &str, files: &ClientFiles, faults: &mut Faults) {
    report(key, ClientTls::open(files).map(drop), faults);
}

fn report(key: &str, opened: Result<(), TlsError>, faults: &mut Faults) {
    let Err(error) = opened else { return };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    faults.add(key, text);
}
