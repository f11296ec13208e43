//! The agent's certificate: self-signed, made at the first start, known to consoles by its fingerprint.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use firedrill_trust::Fingerprint;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use tokio_rustls::TlsAcceptor;

use crate::state::StateFolder;

/// Certificate and key in one file, so that no crash leaves one without the other.
const FILE: &str = "identity.pem";

/// The certificate again, for `curl --cacert`.
const CERTIFICATE: &str = "certificate.pem";

/// What an agent shows to be known by.
pub struct Identity {
    /// What the certificate is known by.
    pub fingerprint: Fingerprint,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The identity in the state folder, made if there is none. A new one names `names`, for clients that look at
    /// names; consoles look at the fingerprint alone, so it is valid as long as its file is there.
    pub fn load(state: &StateFolder, names: &[String]) -> anyhow::Result<Self> {
        let text = if let Some(text) = state.read_secret(FILE)? {
            text
        } else {
            let text = make(names)?;
            state.keep(FILE, text.as_bytes())?;
            text
        };
        let path = state.path().join(FILE);
        let identity = Self::parse(&text).with_context(|| {
            format!(
                "{} holds no certificate with its key; remove it and restart: a new one is made, and consoles must be given a new join string (firedrill-agent enroll)",
                path.display()
            )
        })?;
        let certificate = text.split_inclusive("-----END CERTIFICATE-----").next();
        state.keep(
            CERTIFICATE,
            format!("{}\n", certificate.unwrap_or_default()).as_bytes(),
        )?;
        Ok(identity)
    }

    fn parse(pem: &str) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())?;
        Ok(Self {
            fingerprint: Fingerprint::of(&certificate),
            key: PrivateKeyDer::from_pem_slice(pem.as_bytes())?,
            certificate,
        })
    }

    /// TLS 1.3 with it.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(firedrill_trust::provider())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .context("the certificate and its key do not belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Nothing is kept here for callers that come again: their tickets carry it.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn make(names: &[String]) -> anyhow::Result<String> {
    let key = KeyPair::generate().context("no key for a certificate")?;
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(
        names
            .iter()
            .filter(|name| !all.contains(name))
            .cloned()
            .collect::<Vec<_>>(),
    );
    let mut params =
        CertificateParams::new(all).context("a name of this host cannot stand in a certificate")?;
    params
        .distinguished_name
        .push(DnType::CommonName, "firedrill-agent");
    let certificate = params.self_signed(&key).context("no certificate")?;
    let text = format!("{}{}", certificate.pem(), key.serialize_pem());
    if text.len() > 64 * 1024 {
        bail!("too many names for one certificate");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_stays_and_is_its_owners_alone() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&temp.path().join("state")).unwrap();
        let first = Identity::load(&state, &["db.internal".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        first.acceptor().unwrap();
        let again = Identity::load(&state, &[]).unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        let path = state.path().join(FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let copy = std::fs::read_to_string(state.path().join(CERTIFICATE)).unwrap();
        assert!(
            !copy.contains("PRIVATE")
                && std::fs::read_to_string(&path)
                    .unwrap()
                    .starts_with(copy.trim_end())
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refusal = Identity::load(&state, &[]).err().unwrap().to_string();
        assert!(refusal.contains("chmod 600"), "{refusal}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, copy).unwrap();
        let refusal = Identity::load(&state, &[]).err().unwrap().to_string();
        assert!(refusal.contains("remove it"), "{refusal}");
    }
}
