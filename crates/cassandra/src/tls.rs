//! The TLS context of connections, by OpenSSL.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use minutehand_ports::{ErrorClass, PortError};
use openssl::error::ErrorStack;
use openssl::ssl::{
    SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509StoreContextRef, X509VerifyResult};

use crate::config::CassandraConfig;

/// OpenSSL's numbers for a certificate that is good but names another host or address.
const NAMES_ANOTHER: [i32; 2] = [62, 64];

/// Why a server's certificate was refused last: the driver's error says only that it was.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// What was wrong with which certificate.
    pub(crate) fn reason(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, error: X509VerifyResult, chain: &X509StoreContextRef) {
        let mut reason = error.error_string().to_owned();
        if let Some(certificate) = chain.current_cert() {
            let subject = certificate
                .subject_name()
                .entries()
                .filter_map(|entry| entry.data().to_string().ok());
            let subject = subject.collect::<Vec<_>>().join(", ");
            reason = format!(
                "{reason} (subject '{subject}', valid until {})",
                certificate.not_after()
            );
        }
        tracing::warn!(reason, "refused the certificate of a Cassandra node");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

/// A context that checks the servers' certificates, and shows this client's when there is one.
pub(crate) fn context(
    config: &CassandraConfig,
) -> Result<(SslConnectorBuilder, Refusal), PortError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())
        .map_err(|error| failed("prepare TLS for Cassandra", "OpenSSL refused", error))?;
    builder
        .set_min_proto_version(Some(SslVersion::TLS1_2))
        .map_err(|error| {
            failed(
                "prepare TLS for Cassandra",
                "OpenSSL refused TLS 1.2",
                error,
            )
        })?;
    if let Some(file) = &config.tls.ca_file {
        builder
            .set_ca_file(file)
            .map_err(|error| unreadable("cassandra.tls_ca_file", file, error))?;
    }
    if let Some(file) = &config.tls.cert_file {
        builder
            .set_certificate_chain_file(file)
            .map_err(|error| unreadable("cassandra.tls_cert_file", file, error))?;
    }
    if let Some(file) = &config.tls.key_file {
        builder
            .set_private_key_file(file, SslFiletype::PEM)
            .and_then(|()| builder.check_private_key())
            .map_err(|error| unreadable("cassandra.tls_key_file", file, error))?;
    }
    let (refusal, verify_hostnames) = (Refusal::default(), config.tls_verify_hostnames);
    let noted = refusal.clone();
    builder.set_verify_callback(SslVerifyMode::PEER, move |is_good, chain| {
        let error = chain.error();
        let is_waived = !verify_hostnames && NAMES_ANOTHER.contains(&error.as_raw());
        if !is_good && !is_waived {
            noted.note(error, chain);
        }
        is_good || is_waived
    });
    Ok((builder, refusal))
}

fn unreadable(setting: &str, file: &Path, error: ErrorStack) -> PortError {
    let reason = format!(
        "{setting} '{}' is missing, not PEM, or does not fit: {error}",
        file.display()
    );
    failed("prepare TLS for Cassandra", &reason, error)
}

fn failed(action: &str, reason: &str, error: ErrorStack) -> PortError {
    PortError::new(ErrorClass::Fatal, action, reason).caused_by(error)
}

#[cfg(test)]
mod tests {
    use minutehand_settings::ClientTls;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        for ca_file in [file, folder.path().join("missing.pem")] {
            let config = CassandraConfig {
                tls: ClientTls::trusting(ca_file.clone()),
                ..CassandraConfig::default()
            };
            let Err(error) = context(&config) else {
                panic!("{} was taken", ca_file.display())
            };
            assert_eq!(error.class, ErrorClass::Fatal);
            assert!(
                error.reason.contains("ca_file")
                    && error.reason.contains(&*ca_file.to_string_lossy())
            );
        }
    }
}
