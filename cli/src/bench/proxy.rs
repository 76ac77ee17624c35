//! The plain reverse proxy that a relay is measured beside: nginx or haproxy where installed, else one of our own.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use portico_config::Secret;
use portico_config::secret::write_secret_file;
use portico_localnet::{Certificates, Output, Process, eventually};
use portico_net::tls::ClientTls;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::transport::Transport;
use super::{CONNECT_INTERVAL, CONNECT_TIMEOUT};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
    /// hyper on both sides, as `portico bench proxy` runs it.
    Own,
}

impl Kind {
    /// The first one that is installed, for calls over HTTP; our own for every other transport, which all have then.
    pub(super) async fn find(transport: Transport) -> Self {
        if transport != Transport::Http {
            return Self::Own;
        }
        for (kind, args) in [(Self::Nginx, "-v"), (Self::Haproxy, "-v")] {
            let found = Command::new(kind.name()).arg(args).output().await;
            if found.is_ok_and(|output| output.status.success()) {
                return kind;
            }
        }
        Self::Own
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Own => "a minimal hyper proxy",
        }
    }

    /// The command that runs it in the foreground with one process, `backend` behind it.
    fn command(
        self,
        folder: &Path,
        listen: SocketAddr,
        backend: SocketAddr,
        certificates: Option<&Certificates>,
    ) -> Result<Command> {
        let file = folder.join("proxy.conf");
        let mut command = match self {
            Self::Own => {
                let program = std::env::current_exe().context("this program cannot be found")?;
                let mut command = Command::new(program);
                command.args(["bench", "proxy", "--listen", &listen.to_string()]);
                command.args(["--backend", &backend.to_string()]);
                return Ok(command);
            }
            Self::Nginx => {
                let mut command = Command::new(self.name());
                command.arg("-e").arg(folder.join("nginx-errors.log"));
                command.arg("-p").arg(folder).arg("-c").arg(&file);
                command
            }
            Self::Haproxy => {
                let mut command = Command::new(self.name());
                command.args(["-db", "-f"]).arg(&file);
                command
            }
        };
        let listen = match certificates {
            None => listen.to_string(),
            Some(files) => self.secure(folder, listen, files)?,
        };
        std::fs::write(&file, self.config(folder, &listen, backend))?;
        command.kill_on_drop(true);
        Ok(command)
    }

    /// What its configuration says where it listens with TLS.
    fn secure(self, folder: &Path, listen: SocketAddr, files: &Certificates) -> Result<String> {
        let (certificate, key) = (&files.certificate, &files.key);
        if self == Self::Nginx {
            let (certificate, key) = (certificate.display(), key.display());
            return Ok(format!(
                "{listen} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}"
            ));
        }
        let both = folder.join("proxy.pem"); // haproxy wants one file
        let text = std::fs::read_to_string(certificate)? + &std::fs::read_to_string(key)?;
        write_secret_file(&both, &Secret::new(text))?;
        Ok(format!("{listen} ssl crt {}", both.display()))
    }

    /// Keep-alive on both sides, one worker, no log of requests.
    fn config(self, folder: &Path, listen: &str, backend: SocketAddr) -> String {
        let folder = folder.display();
        match self {
            Self::Nginx => format!(
                "daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;\n\
                 events {{ worker_connections 4096; }}\n\
                 http {{\n\
                   access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};\n\
                   fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n\
                   keepalive_requests 1000000000; client_max_body_size 0;\n\
                   upstream backend {{ server {backend}; keepalive 1024; keepalive_requests 1000000000; }}\n\
                   server {{\n\
                     listen {listen};\n\
                     location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n\
                   }}\n\
                 }}\n"
            ),
            Self::Haproxy => format!(
                "global\n  nbthread 1\n  maxconn 4096\n\
                 defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
                 frontend front\n  bind {listen}\n  default_backend nodes\n\
                 backend nodes\n  http-reuse always\n  server node {backend}\n"
            ),
            Self::Own => String::new(),
        }
    }
}

/// A running proxy.
pub(super) struct Proxy {
    pub(super) kind: Kind,
    pub(super) url: String,
    pub(super) tls: ClientTls,
    pub(super) process: Process,
}

impl Proxy {
    /// Starts the proxy with `backend` behind it and waits until it takes connections.
    pub(super) async fn start(
        kind: Kind,
        folder: &Path,
        backend: SocketAddr,
        certificates: Option<&Certificates>,
    ) -> Result<Self> {
        ensure!(
            kind != Kind::Own || certificates.is_none(),
            "our own proxy speaks no TLS: install nginx or haproxy to measure with --tls"
        );
        let address = portico_localnet::ports::free_address()?;
        let command = kind.command(folder, address, backend, certificates)?;
        let mut process = Process::start("proxy", command, &Output::Logged(folder.to_owned()))?;
        let connects = eventually(
            "the proxy takes connections",
            CONNECT_TIMEOUT,
            CONNECT_INTERVAL,
            || async {
                TcpStream::connect(address).await?;
                Ok(Some(()))
            },
        );
        connects.await.with_context(|| process.tail())?;
        process.must_run()?;
        let scheme = if certificates.is_some() { "https" } else { "http" };
        Ok(Self {
            kind,
            url: format!("{scheme}://{address}"),
            tls: certificates.map_or_else(|| Ok(ClientTls::public()), Certificates::client)?,
            process,
        })
    }
}

#[cfg(test)]
mod tests {
    use portico_localnet::local;

    use super::{Kind, Proxy, Transport};
    use crate::bench::client::tests::client;
    use crate::bench::turns::Turns;

    #[test]
    fn every_config_names_both_ends() {
        let folder = std::path::Path::new("/tmp/x");
        for kind in [Kind::Nginx, Kind::Haproxy] {
            let text = kind.config(folder, "127.0.0.1:1", local(2));
            assert!(
                text.contains("127.0.0.1:1") && text.contains("127.0.0.1:2"),
                "{text}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_installed_proxy_passes_calls_on() {
        let kind = Kind::find(Transport::Http).await;
        if kind == Kind::Own {
            return; // its program is not this test's; forward.rs tests it
        }
        let folder = tempfile::tempdir().unwrap();
        let turns = Turns::default();
        let backend = crate::bench::backend::start(100, turns.clone()).await.unwrap();
        let proxy = Proxy::start(kind, folder.path(), backend, None).await.unwrap();
        let client = client(&proxy.url, Transport::Http, 1, turns);
        let measured = client
            .run(2, 10, std::time::Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!(measured.calls(), 10);
    }
}
