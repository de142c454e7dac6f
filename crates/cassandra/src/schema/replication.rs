//! How many replicas each datacenter keeps.

use std::collections::BTreeMap;
use std::fmt;

/// Replicas by datacenter (NetworkTopologyStrategy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication(BTreeMap<String, u8>);

/// A replication that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicationError {
    /// Nowhere to keep anything.
    #[error("the replication names no datacenter; write it as dc1:3,dc2:3")]
    Empty,
    /// Not a name and a number.
    #[error("'{given}' is not a datacenter and its number of replicas; write it as dc1:3")]
    Part {
        /// What was given.
        given: String,
    },
}

impl Replication {
    /// From words like `dc1:3,dc2:3`.
    ///
    /// # Errors
    /// No datacenter, one without a number from 1 on, or a name with other characters than letters,
    /// digits, '_', '-' and '.'.
    pub fn parse(text: &str) -> Result<Replication, ReplicationError> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let mut replicas = BTreeMap::new();
        for part in parts {
            let refused = || ReplicationError::Part {
                given: part.to_owned(),
            };
            let (name, count) = part.rsplit_once(':').ok_or_else(refused)?;
            let count = count
                .trim()
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(refused)?;
            replicas.insert(
                check_name(name.trim()).ok_or_else(refused)?.to_owned(),
                count,
            );
        }
        if replicas.is_empty() {
            Err(ReplicationError::Empty)
        } else {
            Ok(Replication(replicas))
        }
    }

    /// Up to three replicas in each datacenter, as many as it has nodes: for trying out. An
    /// installation says what it wants.
    ///
    /// # Errors
    /// No datacenter, or a name that cannot stand in a statement.
    pub fn of_nodes(
        datacenters: &BTreeMap<String, usize>,
    ) -> Result<Replication, ReplicationError> {
        let parts = datacenters
            .iter()
            .map(|(name, nodes)| format!("{name}:{}", (*nodes).clamp(1, 3)));
        Replication::parse(&parts.collect::<Vec<_>>().join(","))
    }
}

fn check_name(name: &str) -> Option<&str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    Some(name).filter(|name| !name.is_empty() && name.chars().all(is_allowed))
}

impl fmt::Display for Replication {
    /// As CQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{'class': 'NetworkTopologyStrategy'")?;
        for (name, count) in &self.0 {
            write!(f, ", '{name}': '{count}'")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_cql() {
        let replication = Replication::parse("dc1:3, eu-west.2:2").unwrap();
        let cql = "{'class': 'NetworkTopologyStrategy', 'dc1': '3', 'eu-west.2': '2'}";
        assert_eq!(replication.to_string(), cql);
        let nodes = BTreeMap::from([("dc1".to_owned(), 5), ("dc2".to_owned(), 1)]);
        assert_eq!(
            Replication::of_nodes(&nodes),
            Replication::parse("dc1:3,dc2:1")
        );
    }

    #[test]
    fn what_is_not_a_replication_is_refused() {
        assert_eq!(Replication::parse(" , "), Err(ReplicationError::Empty));
        for given in ["dc1", "dc1:0", "dc1:x", ":3", "dc1':3", "dc1:300"] {
            assert_eq!(
                Replication::parse(given),
                Err(ReplicationError::Part {
                    given: given.to_owned()
                })
            );
        }
    }
}
