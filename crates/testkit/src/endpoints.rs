//! Where the servers are, in the environment and in files.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io;
use std::str::FromStr;

use crate::service::Service;

/// Where every service takes requests: `host:port`, several of them with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<Service, String>);

impl Endpoints {
    /// Where one of them is; nowhere in a set that is not whole.
    pub fn of(&self, service: Service) -> &str {
        self.0.get(&service).map_or("", String::as_str)
    }

    /// The variables with their values, for a process that is to use these servers.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = self.0.iter();
        all.map(|(service, endpoint)| (service.variable(), endpoint.as_str()))
    }
}

impl FromIterator<(Service, String)> for Endpoints {
    fn from_iter<I: IntoIterator<Item = (Service, String)>>(all: I) -> Endpoints {
        Endpoints(all.into_iter().collect())
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
        let value = |service: Service| {
            let name = service.variable();
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let value = lines.find(|(key, _)| *key == name);
            let value = value.map(|(_, value)| (service, value.to_owned()));
            value.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{name} is missing"))
            })
        };
        Service::ALL.into_iter().map(value).collect()
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
        let endpoints: Endpoints = [
            (Service::Kafka, "127.0.0.1:1,127.0.0.1:2".to_owned()),
            (Service::Cassandra, "127.0.0.1:3".to_owned()),
            (Service::Etcd, "127.0.0.1:4".to_owned()),
        ]
        .into_iter()
        .collect();
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
