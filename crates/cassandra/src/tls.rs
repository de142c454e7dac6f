//! The TLS context of connections, by OpenSSL.

use std::path::Path;

use minutehand_ports::{ErrorClass, PortError};
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion};

use crate::config::Tls;

/// OpenSSL's numbers for a certificate that is good but names another host or address.
const NAMES_ANOTHER: [i32; 2] = [62, 64];

/// A context that checks the servers' certificates, and shows this client's when there is one.
pub(crate) fn context(tls: &Tls) -> Result<SslConnectorBuilder, PortError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())
        .map_err(|error| failed("prepare TLS for Cassandra", "OpenSSL refused", error))?;
    builder
        .set_min_proto_version(Some(SslVersion::TLS1_2))
        .map_err(|error| failed("prepare TLS for Cassandra", "OpenSSL refused TLS 1.2", error))?;
    if let Some(file) = &tls.ca_file {
        builder.set_ca_file(file).map_err(|error| unreadable("cassandra.tls.ca_file", file, error))?;
    }
    if let Some(file) = &tls.certificate_file {
        builder
            .set_certificate_chain_file(file)
            .map_err(|error| unreadable("cassandra.tls.certificate_file", file, error))?;
    }
    if let Some(file) = &tls.key_file {
        builder
            .set_private_key_file(file, SslFiletype::PEM)
            .and_then(|()| builder.check_private_key())
            .map_err(|error| unreadable("cassandra.tls.key_file", file, error))?;
    }
    if !tls.verify_hostnames {
        builder.set_verify_callback(SslVerifyMode::PEER, |is_good, chain| {
            is_good || NAMES_ANOTHER.contains(&chain.error().as_raw())
        });
    }
    Ok(builder)
}

fn unreadable(setting: &str, file: &Path, error: ErrorStack) -> PortError {
    let reason = format!("{setting} '{}' is missing, not PEM, or does not fit: {error}", file.display());
    failed("prepare TLS for Cassandra", &reason, error)
}

fn failed(action: &str, reason: &str, error: ErrorStack) -> PortError {
    PortError::new(ErrorClass::Fatal, action, reason).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        for ca_file in [file, folder.path().join("missing.pem")] {
            let tls = Tls {
                ca_file: Some(ca_file.clone()),
                certificate_file: None,
                key_file: None,
                verify_hostnames: true,
            };
            let Err(error) = context(&tls) else { panic!("{} was taken", ca_file.display()) };
            assert_eq!(error.class, ErrorClass::Fatal);
            assert!(error.reason.contains("ca_file") && error.reason.contains(&*ca_file.to_string_lossy()));
        }
    }
}
