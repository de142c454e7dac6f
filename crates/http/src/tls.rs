//! TLS for listeners: certificates and keys from PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// Where certificate and key lie, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then those between it and an authority.
    pub cert: PathBuf,
    /// Its private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Authorities; callers must then show a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// Files that TLS cannot be set up with. Never shows a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read the {what} in {}: {reason}", path.display())]
    Read {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM: {reason}", path.display())]
    Pem {
        /// What it should hold.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("the certificate in {} cannot be used with the key in {}: {reason}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: rustls::Error,
    },
    /// The authorities of callers cannot be used.
    #[error("the client authorities in {} cannot be used: {reason}", path.display())]
    ClientCa {
        /// Their file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What a listener needs to speak TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    expires_s: Option<i64>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be read or used.
    pub fn read(files: &TlsFiles) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|reason| files.unusable(reason))?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let refused = |reason: String| TlsError::ClientCa {
                    path: path.clone(),
                    reason,
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates("certificate of an authority", path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| refused(error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| refused(error.to_string()))?,
                )
            }
        };
        let chain = certificates("certificate", &files.cert)?;
        let expires_s = chain.first().and_then(expires_s);
        let key =
            PrivateKeyDer::from_pem_slice(&read("private key", &files.key)?).map_err(|error| {
                TlsError::Pem {
                    what: "private key",
                    path: files.key.clone(),
                    reason: error.to_string(),
                }
            })?;
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|reason| files.unusable(reason))?;
        Ok(Tls {
            config: Arc::new(config),
            expires_s,
        })
    }

    /// When the server's certificate runs out, in seconds since 1970, if it says so.
    pub fn expires_s(&self) -> Option<i64> {
        self.expires_s
    }

    /// What greets a connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl TlsFiles {
    fn unusable(&self, reason: rustls::Error) -> TlsError {
        TlsError::Unusable {
            cert: self.cert.clone(),
            key: self.key.clone(),
            reason,
        }
    }
}

fn expires_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|reason| TlsError::Read {
        what,
        path: path.to_owned(),
        reason,
    })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(what, path)?;
    let refused = |reason: String| TlsError::Pem {
        what,
        path: path.to_owned(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(error.to_string()))?;
    match chain.is_empty() {
        true => Err(refused("there is no block CERTIFICATE in it".to_owned())),
        false => Ok(chain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_when_it_runs_out() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut asked = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        asked.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let signed = asked.self_signed(&key).expect("signed");
        assert_eq!(expires_s(signed.der()), Some(1_927_843_200));
        assert_eq!(expires_s(&CertificateDer::from(vec![1, 2, 3])), None);
    }
}
