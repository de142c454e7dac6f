//! What whoever calls over HTTP begins with: one TLS provider, who is trusted, as whom it calls, and
//! why no answer came.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, ClientBuilder, Url};

/// Why nobody can be called as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The server's address begins with something else.
    #[error("--server is {0:?}; it must begin with http:// or https://")]
    Scheme(String),
    /// The server's address is no address.
    #[error("--server is {0:?}; it must be a host, with a port where one is needed, and no query")]
    Address(String),
    /// The token does not fit into a header.
    #[error("the token has characters that a header cannot carry")]
    Token,
    /// The file of authorities cannot be read.
    #[error("could not read the certificate authorities in {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it is no certificate.
    #[error("could not read the certificate authorities in {}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: reqwest::Error,
    },
    /// There is none in it.
    #[error("could not read the certificate authorities in {}: there is no certificate in PEM in it", .0.display())]
    NoAuthority(PathBuf),
}

impl CallerError {
    /// The error with its reason, in one line.
    pub fn in_words(&self) -> String {
        match self.source() {
            None => self.to_string(),
            Some(_) => format!("{self}: {}", innermost(self)),
        }
    }
}

/// The address of a server, without a slash at its end. One without a scheme speaks plain HTTP.
///
/// # Errors
/// For any other scheme than HTTP's, and what is no address.
pub fn base_url(server: &str) -> Result<String, CallerError> {
    let (scheme, rest) = server.split_once("://").unwrap_or(("http", server));
    if !matches!(scheme, "http" | "https") {
        return Err(CallerError::Scheme(server.to_owned()));
    }
    let base = format!("{scheme}://{}", rest.trim_end_matches('/'));
    match Url::parse(&base) {
        Ok(url) if url.query().is_none() && url.fragment().is_none() => Ok(base),
        _ => Err(CallerError::Address(server.to_owned())),
    }
}

/// Whether a server is on this machine, so that no proxy of the environment is asked for it.
#[must_use]
pub fn is_on_this_machine(base: &str) -> bool {
    let url = Url::parse(base).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host == "localhost" || address.parse().is_ok_and(is_loopback)
}

/// The header that shows a token; it is not logged.
///
/// # Errors
/// When the token has characters that a header cannot carry.
pub fn bearer(token: &str) -> Result<HeaderValue, CallerError> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| CallerError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A client that has nothing set but the process's one TLS provider.
pub fn builder() -> ClientBuilder {
    // Fails when the process has chosen a provider already, which is then used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
}

/// A client of the server at this address that trusts the authorities of a file (PEM), or those of
/// the system. A server of this machine is spoken to without a proxy: none is to see its tokens.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn trusting(base: &str, authorities: Option<&Path>) -> Result<ClientBuilder, CallerError> {
    // A machine without certificates (a plain Debian has none) must still be able to speak plain
    // HTTP: the system's are loaded only where they are needed.
    let is_plain = base.starts_with("http://");
    let builder = match is_on_this_machine(base) {
        true => builder().no_proxy(),
        false => builder(),
    };
    Ok(match authorities {
        Some(path) => builder.tls_certs_only(read(path)?),
        None if is_plain => builder.tls_certs_only([]),
        None => builder,
    })
}

fn read(path: &Path) -> Result<Vec<Certificate>, CallerError> {
    let path = path.to_owned();
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(CallerError::File { path, source }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(CallerError::NoAuthority(path)),
        Ok(found) => Ok(found),
        Err(source) => Err(CallerError::Pem { path, source }),
    }
}

/// The innermost reason of an error: the outer ones of a call say "error sending request" and the
/// address, no more.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_speaks_plain_http() {
        let base = |server| base_url(server).map_err(|error| error.in_words());
        assert_eq!(base("a:1/"), Ok("http://a:1".to_owned()));
        assert_eq!(base("https://a"), Ok("https://a".to_owned()));
        let refused = base("ftp://a").expect_err("another scheme");
        assert!(refused.contains("\"ftp://a\""), "{refused}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for server in [
            "",
            "/",
            "http://",
            "http://a:1?x=1",
            "a#b",
            "a:99999",
            "https://[::1",
        ] {
            assert!(
                matches!(base_url(server), Err(CallerError::Address(_))),
                "{server}"
            );
        }
        assert_eq!(
            base_url("http://a/below/").ok().as_deref(),
            Some("http://a/below")
        );
    }

    #[test]
    fn a_server_of_this_machine_is_known_by_its_address() {
        for (base, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("https://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(is_on_this_machine(base), expected, "{base}");
        }
    }

    #[test]
    fn a_token_is_in_no_log() {
        let shown = format!("{:?}", bearer("secret-1").expect("a header"));
        assert!(!shown.contains("secret"), "{shown}");
        assert!(matches!(bearer("a\nb"), Err(CallerError::Token)));
    }

    #[test]
    fn authorities_that_cannot_be_read_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path| {
            let refused = trusting("https://a", Some(path)).err();
            refused.expect("refused").in_words()
        };
        let missing = folder.path().join("missing.pem");
        let words = refused(&missing);
        assert!(words.contains("missing.pem: No such file"), "{words}");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").expect("written");
        let words = refused(&empty);
        assert!(
            words.contains("empty.pem: there is no certificate"),
            "{words}"
        );
    }
}
