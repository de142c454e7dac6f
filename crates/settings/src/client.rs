//! How a client of a server speaks to it in confidence, and proves who it is: the same settings in
//! every section that reaches a server.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Secret, SettingsError, both_or_none};

/// TLS towards a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClientTls {
    /// Whether connections are encrypted.
    #[serde(rename = "tls")]
    pub enabled: bool,
    /// Who signs the servers' certificates (PEM). Unless given, the system's authorities; for etcd it
    /// must be given.
    #[serde(rename = "tls_ca_file")]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate chain (PEM), where servers ask for one.
    #[serde(rename = "tls_cert_file")]
    pub cert_file: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    #[serde(rename = "tls_key_file")]
    pub key_file: Option<PathBuf>,
}

impl ClientTls {
    /// With authorities (PEM), and without a certificate of our own.
    pub fn trusting(ca_file: PathBuf) -> ClientTls {
        ClientTls {
            enabled: true,
            ca_file: Some(ca_file),
            ..ClientTls::default()
        }
    }

    /// Refuses a certificate without its key, and a key without its certificate.
    ///
    /// # Errors
    /// When one of the two is missing; `section` is where they stand.
    pub fn check(&self, section: &str) -> Result<(), SettingsError> {
        both_or_none(
            (format!("{section}.tls_cert_file"), self.cert_file.is_some()),
            (format!("{section}.tls_key_file"), self.key_file.is_some()),
        )
    }
}

/// A user and their password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Login {
    /// The user, where servers ask for one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

impl Login {
    /// A user with a password.
    pub fn new(username: impl Into<String>, password: Secret) -> Login {
        Login {
            username: Some(username.into()),
            password: Some(password),
            password_file: None,
        }
    }

    /// The same with the password that the file holds.
    ///
    /// # Errors
    /// When the password is given twice, its file cannot be read, or one of user and password is
    /// missing; `section` is where they stand.
    pub fn checked(self, section: &str) -> Result<Login, SettingsError> {
        let name = format!("{section}.password");
        let password = Secret::of(&name, self.password.as_ref(), self.password_file.as_deref())?;
        both_or_none(
            (format!("{section}.username"), self.username.is_some()),
            (name, password.is_some()),
        )?;
        Ok(Login {
            username: self.username,
            password,
            password_file: None,
        })
    }

    /// The user and the password, where there are any.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        Some((self.username.as_deref()?, self.password.as_ref()?.reveal()))
    }
}
