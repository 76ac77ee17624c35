//! Handshakes between our two ends, with certificates made for the purpose.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use portico_config::Secret;
use portico_config::listener::ListenerConfig;
use portico_config::secret::write_secret_file;
use portico_config::tls::{ClientTls as ClientFiles, FilePath};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

use super::*;
use crate::tls::{ClientTls, explain};
use crate::{Listener, ListenerMetrics};

/// An authority and the folder of the files that it signed.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name); // each its own
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> FilePath {
        self.folder.path().join(name).into()
    }

    /// Signs a certificate for `host`, changed by `change`, and writes it with its key.
    fn sign(&self, name: &str, host: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&*self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        let path = self.path(&format!("{name}.key"));
        drop(std::fs::remove_file(&*path));
        write_secret_file(&path, &Secret::new(key.serialize_pem())).unwrap();
    }

    fn files(&self, name: &str) -> Files {
        Files {
            cert_file: self.path(&format!("{name}.pem")),
            key_file: self.path(&format!("{name}.key")),
            client_ca_file: None,
        }
    }

    /// Who trusts this authority, and shows the certificate `name`.
    fn client(&self, name: Option<&str>) -> ClientTls {
        let files = ClientFiles {
            ca_file: Some(self.path("ca.pem")),
            client_cert_file: name.map(|name| self.path(&format!("{name}.pem"))),
            client_key_file: name.map(|name| self.path(&format!("{name}.key"))),
        };
        ClientTls::open(&files).unwrap()
    }
}

/// A listener with these files; returns its port.
async fn serve(tls: ServerTls) -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let metrics = ListenerMetrics::new(&prometheus::Registry::new()).unwrap();
    let listener = Listener::new("test", socket, &ListenerConfig::default(), &metrics).tls(Some(tls));
    let router = Router::new().route("/", get(async || "hello"));
    tokio::spawn(listener.serve(router, CancellationToken::new()));
    port
}

/// What a client gets: the answer with its HTTP version, or what is wrong in plain words.
async fn asked(client: &ClientTls, port: u16) -> Result<String, String> {
    let client = client.http_client().no_proxy().build().unwrap();
    let answer = client.get(format!("https://localhost:{port}/")).send().await;
    match answer {
        Ok(answer) => Ok(format!("{:?} {}", answer.version(), answer.text().await.unwrap())),
        Err(error) => Err(explain(&error).unwrap_or_else(|| format!("{error:?}"))),
    }
}

fn write(path: &Path, from: &Path) {
    std::fs::copy(from, path).unwrap();
}

#[tokio::test]
async fn the_operators_authority_is_trusted() {
    let authority = Authority::new();
    authority.sign("server", "localhost", |_| {});
    let port = serve(ServerTls::open(&authority.files("server")).unwrap()).await;
    let answer = asked(&authority.client(None), port).await;
    assert_eq!(answer.as_deref(), Ok("HTTP/1.1 hello"));
}

#[tokio::test]
async fn each_wrong_certificate_says_what_is_wrong() {
    let authority = Authority::new();
    authority.sign("expired", "localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    authority.sign("early", "localhost", |params| {
        params.not_before = rcgen::date_time_ymd(3_000, 1, 1);
    });
    authority.sign("other", "other.example", |_| {});
    authority.sign("server", "localhost", |_| {});
    let trusting = authority.client(None);
    for (name, client, expected) in [
        ("expired", &trusting, "the server's certificate has expired "),
        ("early", &trusting, "the server's certificate is not valid yet"),
        (
            "other",
            &trusting,
            "the server's certificate is not for localhost, but for DnsName(\"other.example\")",
        ),
        (
            "server",
            &ClientTls::public(),
            "the server's certificate is signed by nobody who is trusted",
        ),
    ] {
        let port = serve(ServerTls::open(&authority.files(name)).unwrap()).await;
        let said = asked(client, port).await.unwrap_err();
        assert!(said.starts_with(expected), "{name}: {said}");
    }
}

#[tokio::test]
async fn only_clients_of_the_named_authority_are_served() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("server", "localhost", |_| {});
    authority.sign("client", "client", |_| {});
    stranger.sign("client", "client", |_| {});
    let files = Files {
        client_ca_file: Some(authority.path("ca.pem")),
        ..authority.files("server")
    };
    let port = serve(ServerTls::open(&files).unwrap()).await;
    let answer = asked(&authority.client(Some("client")), port).await;
    assert_eq!(answer.as_deref(), Ok("HTTP/1.1 hello"));
    let said = asked(&authority.client(None), port).await.unwrap_err();
    assert!(
        said.starts_with("the server wants a client certificate"),
        "{said}"
    );
    for file in ["client.pem", "client.key"] {
        write(&authority.path(file), &stranger.path(file));
    }
    let said = asked(&authority.client(Some("client")), port).await.unwrap_err();
    assert_eq!(said, "the server does not trust our client certificate");
}

#[tokio::test]
async fn a_changed_certificate_is_served_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    old.sign("server", "localhost", |_| {});
    new.sign("server", "localhost", |_| {});
    let tls = ServerTls::open(&old.files("server")).unwrap();
    let port = serve(tls.clone()).await;
    assert!(asked(&old.client(None), port).await.is_ok());
    assert!(!tls.reload().unwrap(), "nothing changed");
    // The certificate first: it does not fit the key, and the old pair goes on.
    write(&old.path("server.pem"), &new.path("server.pem"));
    assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
    assert!(asked(&old.client(None), port).await.is_ok());
    write(&old.path("server.key"), &new.path("server.key"));
    assert!(tls.reload().unwrap());
    assert!(asked(&new.client(None), port).await.is_ok());
    assert!(asked(&old.client(None), port).await.is_err());
}

#[tokio::test]
async fn a_changed_client_certificate_is_shown_without_a_restart() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("server", "localhost", |_| {});
    authority.sign("new", "client", |_| {});
    stranger.sign("client", "client", |_| {});
    for file in ["client.pem", "client.key"] {
        write(&authority.path(file), &stranger.path(file));
    }
    let files = Files {
        client_ca_file: Some(authority.path("ca.pem")),
        ..authority.files("server")
    };
    let port = serve(ServerTls::open(&files).unwrap()).await;
    let client = authority.client(Some("client"));
    let refused = Err("the server does not trust our client certificate".to_owned());
    assert_eq!(asked(&client, port).await, refused);
    // The certificate first: it does not fit the key, and the old pair goes on.
    write(&authority.path("client.pem"), &authority.path("new.pem"));
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(LOOK_AGAIN).await;
        tokio::time::resume();
    };
    later().await;
    assert_eq!(asked(&client, port).await, refused);
    write(&authority.path("client.key"), &authority.path("new.key"));
    later().await;
    assert_eq!(asked(&client, port).await.as_deref(), Ok("HTTP/1.1 hello"));
}

#[tokio::test]
async fn a_client_without_tls_is_dropped() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let authority = Authority::new();
    authority.sign("server", "localhost", |_| {});
    let port = serve(ServerTls::open(&authority.files("server")).unwrap()).await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut came = Vec::new();
    drop(stream.read_to_end(&mut came).await);
    assert!(!came.starts_with(b"HTTP"), "{came:?}");
}
