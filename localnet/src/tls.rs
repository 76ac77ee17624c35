//! Certificates of a network whose hops are all TLS: an authority and one certificate of this machine, made anew at each start.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use portico_config::Secret;
use portico_config::secret::write_secret_file;
use portico_config::tls::ClientTls as ClientFiles;
use portico_net::tls::ClientTls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The files; the authority's key is not kept.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Certificate of the authority.
    pub authority: PathBuf,
    /// Certificate of every role.
    pub certificate: PathBuf,
    /// Its private key, mode 0600.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes and writes them into `folder`/tls.
    pub fn make(folder: &Path) -> Result<Self> {
        let folder = folder.join("tls");
        let files = Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        files
            .write(&folder)
            .with_context(|| format!("certificates cannot be made in {}", folder.display()))?;
        Ok(files)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let authority = authority()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names.push(rcgen::SanType::IpAddress(address));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &authority)?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&self.authority, authority.pem())?;
        std::fs::write(&self.certificate, certificate.pem())?;
        if self.key.exists() {
            std::fs::remove_file(&self.key)?;
        }
        write_secret_file(&self.key, &Secret::new(key.serialize_pem()))?;
        Ok(())
    }

    /// Whom the network's own clients trust.
    pub fn client(&self) -> Result<ClientTls> {
        let files = ClientFiles {
            ca_file: Some(self.authority.clone().into()),
            ..ClientFiles::default()
        };
        Ok(ClientTls::open(&files)?)
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Portico local network");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}
