//! TLS to the one certificate that is known.

use std::{
    error::Error,
    fmt, io,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};

use crate::Fingerprint;

/// Sessions that may be resumed: a configuration speaks to one agent, at two ports.
const SESSIONS: usize = 16;

/// The one crypto provider of this program.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(crypto::ring::default_provider())))
}

/// The client's side of TLS 1.3 with one agent. Clones share the sessions that may be resumed.
#[derive(Clone)]
pub struct PinnedTls {
    pin: Fingerprint,
    config: Arc<ClientConfig>,
}

impl PinnedTls {
    /// TLS that accepts the certificate with this fingerprint alone.
    #[expect(
        clippy::expect_used,
        reason = "the one provider has suites of TLS 1.3; a test makes one"
    )]
    pub fn new(pin: Fingerprint) -> Self {
        let provider = provider();
        let verifier = Pinned {
            pin,
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self {
            pin,
            config: Arc::new(config),
        }
    }

    /// Whose certificate it accepts.
    pub fn pin(&self) -> Fingerprint {
        self.pin
    }

    /// The configuration itself, for whoever makes the connections.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for PinnedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedTls({})", self.pin)
    }
}

impl PartialEq for PinnedTls {
    fn eq(&self, other: &Self) -> bool {
        self.pin == other.pin
    }
}

impl Eq for PinnedTls {}

/// Somebody else's certificate was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the certificate shown is {shown}, the one enrolled is {enrolled}: either this agent has a new certificate, or somebody else answers here. If its state folder was made anew, run `firedrill-agent enroll` on its host and paste the line it prints; otherwise do not"
)]
pub struct WrongPin {
    /// What is known.
    pub enrolled: Fingerprint,
    /// What was shown.
    pub shown: Fingerprint,
}

/// The wrong certificate at the bottom of an error, if that is what it is.
pub fn wrong_pin(error: &(dyn Error + 'static)) -> Option<WrongPin> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) =
            error.downcast_ref()
        {
            return other.downcast_ref().copied();
        }
        // An I/O error passes over what it holds when it is asked for its source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

/// Accepts one certificate, and only from who has its key.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongPin {
            enrolled: self.pin,
            shown,
        };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    struct Made {
        der: CertificateDer<'static>,
        key: Vec<u8>,
    }

    fn made() -> Made {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Made {
            der: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    fn server(certificate: &CertificateDer<'static>, key: &[u8]) -> Result<ServerConnection, rustls::Error> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let signer = crypto::ring::sign::any_supported_type(&key)?;
        // Not `with_single_cert`: that one would refuse a key that is not the certificate's.
        let shown = rustls::sign::CertifiedKey::new(vec![certificate.clone()], signer);
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
        ServerConnection::new(Arc::new(config))
    }

    fn shake(tls: &PinnedTls, mut server: ServerConnection) -> Result<(), rustls::Error> {
        let name = ServerName::try_from("10.0.0.7").unwrap();
        let mut client = ClientConnection::new(tls.config(), name)?;
        for _ in 0..4 {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().ok();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            if !wire.is_empty() {
                client.read_tls(&mut &wire[..]).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        Ok(())
    }

    #[test]
    fn the_pinned_certificate_is_accepted_under_any_name() {
        let agent = made();
        let tls = PinnedTls::new(Fingerprint::of(&agent.der));
        shake(&tls, server(&agent.der, &agent.key).unwrap()).unwrap();
    }

    #[test]
    fn another_certificate_is_refused_with_both_fingerprints() {
        let (agent, other) = (made(), made());
        let tls = PinnedTls::new(Fingerprint::of(&agent.der));
        let error = shake(&tls, server(&other.der, &other.key).unwrap()).unwrap_err();
        let io = io::Error::new(io::ErrorKind::InvalidData, error);
        let wrong = wrong_pin(&io).unwrap();
        assert_eq!(
            (wrong.enrolled, wrong.shown),
            (Fingerprint::of(&agent.der), Fingerprint::of(&other.der))
        );
        let words = wrong.to_string();
        assert!(words.contains(&wrong.shown.to_string()) && words.contains("firedrill-agent enroll"));
    }

    #[test]
    fn the_certificate_without_its_key_is_refused() {
        let (agent, thief) = (made(), made());
        let tls = PinnedTls::new(Fingerprint::of(&agent.der));
        let error = shake(&tls, server(&agent.der, &thief.key).unwrap()).unwrap_err();
        assert_eq!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::BadSignature)
        );
        assert!(wrong_pin(&error).is_none());
    }
}
