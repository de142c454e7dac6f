//! Where the servers are, in the environment and in files.

use std::env;
use std::fmt;
use std::io;
use std::str::FromStr;

/// The variable with Kafka's bootstrap servers.
pub const KAFKA_VARIABLE: &str = "MINUTEHAND_KAFKA";
/// The variable with Cassandra's contact points.
pub const CASSANDRA_VARIABLE: &str = "MINUTEHAND_CASSANDRA";
/// The variable with etcd's endpoints.
pub const ETCD_VARIABLE: &str = "MINUTEHAND_ETCD";

/// Where Kafka, Cassandra and etcd take requests: `host:port`, several of them with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Bootstrap servers.
    pub kafka: String,
    /// Contact points.
    pub cassandra: String,
    /// Endpoints.
    pub etcd: String,
}

impl Endpoints {
    /// The variables with their values, for a process that is to use these servers.
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        [
            (KAFKA_VARIABLE, &self.kafka),
            (CASSANDRA_VARIABLE, &self.cassandra),
            (ETCD_VARIABLE, &self.etcd),
        ]
    }
}

impl fmt::Display for Endpoints {
    /// One shell assignment a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.variables() {
            writeln!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Endpoints {
    type Err = io::Error;

    /// Reads what was written; other lines are passed over.
    fn from_str(text: &str) -> Result<Endpoints, io::Error> {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let value = lines
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned());
            value.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{name} is missing"))
            })
        };
        Ok(Endpoints {
            kafka: value(KAFKA_VARIABLE)?,
            cassandra: value(CASSANDRA_VARIABLE)?,
            etcd: value(ETCD_VARIABLE)?,
        })
    }
}

/// What a variable says, unless it says nothing.
pub(crate) fn given(variable: &str) -> Option<String> {
    env::var(variable)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_shell_assignments() {
        let endpoints = Endpoints {
            kafka: "127.0.0.1:1,127.0.0.1:2".to_owned(),
            cassandra: "127.0.0.1:3".to_owned(),
            etcd: "127.0.0.1:4".to_owned(),
        };
        let text = "MINUTEHAND_KAFKA=127.0.0.1:1,127.0.0.1:2\n\
                    MINUTEHAND_CASSANDRA=127.0.0.1:3\n\
                    MINUTEHAND_ETCD=127.0.0.1:4\n";
        assert_eq!(endpoints.to_string(), text);
        assert_eq!(text.parse::<Endpoints>().unwrap(), endpoints);
        let error = "MINUTEHAND_KAFKA=127.0.0.1:1"
            .parse::<Endpoints>()
            .unwrap_err();
        assert_eq!(error.to_string(), "MINUTEHAND_CASSANDRA is missing");
    }
}
