//! The way to the API server: its authorities and the token are files that change.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::{Certificate, Client, Method, RequestBuilder};

use super::config::KubernetesConfig;
use crate::http::{self, CallError};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// An API server, as one service account sees it.
pub(super) struct Server {
    base: String,
    token_file: PathBuf,
    ca_file: PathBuf,
    current: Mutex<Option<Current>>,
}

/// A client, and when the file had been written that it was made of.
struct Current {
    client: Client,
    version: Option<SystemTime>,
}

impl Server {
    pub(super) fn new(config: &KubernetesConfig) -> Server {
        Server {
            base: config.server.trim_end_matches('/').to_owned(),
            token_file: config.token_file.clone(),
            ca_file: config.ca_file.clone(),
            current: Mutex::default(),
        }
    }

    /// A request with the token as it is now.
    pub(super) fn request(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
    ) -> Result<RequestBuilder, CallError> {
        let token = read(what, &self.token_file)?;
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            let file = self.token_file.display();
            let why = format!("{file} holds no token of 1 to {TOKEN_BYTES_MAX} bytes");
            return Err(CallError::NoAnswer { what, why });
        }
        let url = format!("{}/{path}", self.base);
        Ok(self.client(what)?.request(method, url).bearer_auth(token))
    }

    /// A client that trusts the authorities as they are now.
    fn client(&self, what: &'static str) -> Result<Client, CallError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let version = std::fs::metadata(&self.ca_file)
            .and_then(|metadata| metadata.modified())
            .ok();
        if let Some(current) = current.as_ref().filter(|known| known.version == version) {
            return Ok(current.client.clone());
        }
        let authorities = read(what, &self.ca_file)?;
        let made = Certificate::from_pem_bundle(&authorities)
            .and_then(|authorities| http::client().tls_certs_only(authorities).build());
        let client = made.map_err(|error| CallError::NoAnswer {
            what,
            why: format!("{}: {error}", self.ca_file.display()),
        })?;
        *current = Some(Current {
            client: client.clone(),
            version,
        });
        Ok(client)
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, CallError> {
    std::fs::read(path).map_err(|error| CallError::NoAnswer {
        what,
        why: format!("could not read {}: {error}", path.display()),
    })
}
