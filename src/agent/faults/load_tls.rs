//! TLS for `load.http`: whom it trusts, and the connection.
//!
//! The host's own roots, where OpenSSL keeps them (`SSL_CERT_FILE` names others), or the certificates of one file in
//! their place. Whoever has no certificate of these is not sent anything.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest file of certificates, in bytes: bundles of all the world's have some hundred thousand.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// How a server is known, as the child is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The name or address that its certificate must be for.
    pub name: String,
    /// A file of certificates in place of the host's roots.
    pub ca: Option<String>,
}

impl Trust {
    /// Reads whom to trust.
    pub fn open(&self) -> anyhow::Result<Tls> {
        let name = ServerName::try_from(self.name.clone())?;
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(self.certificates()?);
        ensure!(
            taken > 0,
            "{} has no certificate that could be a root",
            self.whose()
        );
        let config = ClientConfig::builder_with_provider(firedrill_trust::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls {
            name,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let Some(file) = self.ca.as_deref().map(Path::new) else {
            let found = rustls_native_certs::load_native_certs();
            let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
            ensure!(
                !found.certs.is_empty(),
                "this host has no root certificates {why}: install its package ca-certificates, or give ca"
            );
            return Ok(found.certs);
        };
        let about = std::fs::metadata(file).with_context(|| self.whose())?;
        ensure!(
            about.is_file() && about.len() <= MAX_FILE_BYTES,
            "{} is no file of at most {MAX_FILE_BYTES} bytes",
            self.whose()
        );
        let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
        all.with_context(|| self.whose())
    }

    fn whose(&self) -> String {
        self.ca.clone().unwrap_or_else(|| "this host".to_owned())
    }
}

/// How connections are opened.
pub struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    /// Shakes hands on a connection.
    pub async fn on(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_read_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path.to_str().unwrap().to_owned())
        };
        let open = |name: &str, ca: Option<String>| {
            let name = name.to_owned();
            Trust { name, ca }.open().map(drop)
        };
        let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
        let good = file("good.pem", &made.cert.pem());
        open("shop.example", good.clone()).unwrap();
        open("10.0.0.7", good.clone()).unwrap();
        open("no name", good).unwrap_err();
        open("shop.example", file("empty.pem", "")).unwrap_err();
        open("shop.example", Some("/nowhere".to_owned())).unwrap_err();
        open("shop.example", Some("/".to_owned())).unwrap_err();
    }
}
