//! How to reach etcd, and as whom.

use minutehand_settings::{ClientTls, Login, SettingsError, both_or_none};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest node id or region name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The shortest lease that is accepted, in milliseconds; etcd raises what is shorter than its own
/// minimum (2 s with its defaults).
const LEASE_TTL_MS_MIN: i64 = 1_000;
/// The longest lease, in milliseconds; a crashed scheduler's partitions stay unowned this long.
const LEASE_TTL_MS_MAX: i64 = 600_000;
/// The lease of a member that asks for none in particular, in milliseconds.
const LEASE_TTL_MS_DEFAULT: i64 = 5_000;

/// Where etcd is, and which keys are the region's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EtcdConfig {
    /// `host:port` or `http(s)://host:port` of the members of the etcd cluster; with `tls` those
    /// without a scheme are reached by https.
    pub endpoints: Vec<String>,
    /// The folder of Minutehand's keys; the region's lie in a folder of that name below it.
    pub prefix: String,
    /// The region: its nodes share the partitions.
    #[serde(skip)]
    pub region: String,
    /// The upper part of every epoch (`minutehand_model::Epoch::of_region`), at most 32,767. Raise
    /// it, everywhere, after etcd was restored from a snapshot, and when another region has adopted
    /// the partitions.
    #[serde(skip)]
    pub region_epoch: u16,
    /// The time to live of a scheduler's lease, in milliseconds, rounded up to whole seconds; a
    /// crashed scheduler's partitions stay unowned this long.
    #[schemars(range(min = LEASE_TTL_MS_MIN, max = LEASE_TTL_MS_MAX))]
    pub lease_ttl_ms: i64,
    /// How connections are encrypted.
    #[serde(flatten)]
    pub tls: ClientTls,
    /// The name in the members' certificates, where it is not that of the endpoint.
    pub tls_domain: Option<String>,
    /// Who we are.
    #[serde(flatten)]
    pub login: Login,
}

impl Default for EtcdConfig {
    fn default() -> EtcdConfig {
        EtcdConfig {
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            prefix: "/minutehand".to_owned(),
            region: "local".to_owned(),
            region_epoch: 0,
            lease_ttl_ms: LEASE_TTL_MS_DEFAULT,
            tls: ClientTls::default(),
            tls_domain: None,
            login: Login::default(),
        }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The node's id, one process at a time: letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// Where gateways reach the node, as `host:port`.
    pub address: String,
    /// The zone or rack it stands in.
    pub zone: Option<String>,
    /// The release it runs.
    pub version: String,
    /// The time to live of its lease, in milliseconds, rounded up to whole seconds. etcd may grant
    /// more.
    pub lease_ttl_ms: i64,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No endpoint at all.
    #[error("etcd.endpoints is empty; it must name at least one host:port")]
    NoEndpoints,
    /// A name that cannot be part of a key.
    #[error("{field} is {given:?}; it must be 1 to 64 letters, digits, '.', '_' and '-'")]
    Name {
        /// The setting.
        field: &'static str,
        /// What it is.
        given: String,
    },
    /// A prefix that is no folder of keys.
    #[error("etcd.prefix is {given:?}; it must begin with '/' and must not end with one")]
    Prefix {
        /// What it is.
        given: String,
    },
    /// A region epoch that does not fit the fencing epoch.
    #[error("region_epoch is {given}; it must be at most 32767")]
    RegionEpoch {
        /// What it is.
        given: u16,
    },
    /// A time to live out of bounds.
    #[error("lease_ttl_ms is {given}; it must be between 1000 and 600000")]
    LeaseTtl {
        /// What it is.
        given: i64,
    },
    /// One of two settings without the other, or a password's file that cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl EtcdConfig {
    /// etcd without user or TLS, under the prefix `/minutehand`.
    pub fn new(endpoints: Vec<String>, region: impl Into<String>) -> EtcdConfig {
        EtcdConfig {
            endpoints,
            region: region.into(),
            ..EtcdConfig::default()
        }
    }

    /// These settings with the password that a file may hold, when what comes together is set
    /// together.
    ///
    /// # Errors
    /// When it is not, or the file cannot be read.
    pub fn checked(self) -> Result<EtcdConfig, SettingsError> {
        self.tls.check("etcd")?;
        let login = self.login.checked("etcd")?;
        if self.tls.enabled {
            both_or_none(
                ("etcd.tls", true),
                ("etcd.tls_ca_file", self.tls.ca_file.is_some()),
            )?;
        }
        Ok(EtcdConfig { login, ..self })
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::NoEndpoints);
        }
        check_name("region", &self.region)?;
        if !self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            return Err(ConfigError::Prefix {
                given: self.prefix.clone(),
            });
        }
        if self.region_epoch > minutehand_model::Epoch::REGION_EPOCH_MAX {
            return Err(ConfigError::RegionEpoch {
                given: self.region_epoch,
            });
        }
        self.clone().checked()?;
        Ok(())
    }
}

impl MemberConfig {
    /// A node with a lease of five seconds and without a zone.
    pub fn new(id: impl Into<String>, address: impl Into<String>) -> MemberConfig {
        MemberConfig {
            id: id.into(),
            address: address.into(),
            zone: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lease_ttl_ms: LEASE_TTL_MS_DEFAULT,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_name("node_id", &self.id)?;
        if !(LEASE_TTL_MS_MIN..=LEASE_TTL_MS_MAX).contains(&self.lease_ttl_ms) {
            return Err(ConfigError::LeaseTtl {
                given: self.lease_ttl_ms,
            });
        }
        Ok(())
    }
}

fn check_name(field: &'static str, given: &str) -> Result<(), ConfigError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if given.is_empty() || given.len() > NAME_BYTES_MAX || !given.bytes().all(is_allowed) {
        return Err(ConfigError::Name {
            field,
            given: given.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use minutehand_settings::Secret;

    use super::*;

    fn config() -> EtcdConfig {
        EtcdConfig::new(vec!["localhost:2379".to_owned()], "eu")
    }

    #[test]
    fn what_is_wrong_is_said_with_the_setting_and_the_value() {
        assert!(config().check().is_ok());
        let said = |config: EtcdConfig| config.check().expect_err("wrong").to_string();
        assert!(
            said(EtcdConfig {
                endpoints: Vec::new(),
                ..config()
            })
            .contains("etcd.endpoints is empty")
        );
        assert!(
            said(EtcdConfig {
                region: "e/u".to_owned(),
                ..config()
            })
            .contains("region is \"e/u\"")
        );
        assert!(
            said(EtcdConfig {
                prefix: "/x/".to_owned(),
                ..config()
            })
            .contains("etcd.prefix is \"/x/\"")
        );
        assert!(
            said(EtcdConfig {
                region_epoch: 40_000,
                ..config()
            })
            .contains("region_epoch is 40000")
        );
        assert!(
            said(EtcdConfig {
                login: Login {
                    username: Some("u".to_owned()),
                    ..Login::default()
                },
                ..config()
            })
            .contains("etcd.password is not")
        );
        let member = MemberConfig {
            lease_ttl_ms: 10,
            ..MemberConfig::new("n", "h:1")
        };
        assert!(
            member
                .check()
                .expect_err("too short")
                .to_string()
                .contains("lease_ttl_ms is 10")
        );
        assert!(MemberConfig::new("a b", "h:1").check().is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let config = EtcdConfig {
            login: Login::new("u", Secret::new("hunter2")),
            ..config()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
