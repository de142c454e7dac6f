//! Networks that webhooks may reach although they are not public.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network by address and length of its prefix (`10.2.0.0/16`, `fd00::/8`), or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// A network that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not in the form of a network.
    #[error("{given:?} is not a network; give one such as 10.2.0.0/16, fd00::/8 or 10.2.0.7")]
    Form {
        /// What was given.
        given: String,
    },
    /// Bits behind the prefix are set: one of the two numbers is not what was meant.
    #[error("{given:?} has bits behind its prefix; the network is {network}")]
    Bits {
        /// What was given.
        given: String,
        /// The network that it lies in.
        network: IpNet,
    },
}

impl Network {
    /// Whether an address lies in it. An IPv4 address inside an IPv6 one is none.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Network, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.0.to_string()
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let given = || text.chars().take(60).collect::<String>();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Network(IpNet::from(address)));
        }
        let network: IpNet = text
            .parse()
            .map_err(|_| NetworkError::Form { given: given() })?;
        if network.trunc() != network {
            return Err(NetworkError::Bits {
                given: given(),
                network: network.trunc(),
            });
        }
        Ok(Network(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_holds_its_addresses() {
        for (text, inside, outside) in [
            ("10.2.0.0/16", "10.2.255.1", "10.3.0.0"),
            ("10.2.0.7", "10.2.0.7", "10.2.0.8"),
            ("fd00::/8", "fd12::1", "fc00::1"),
            ("::1", "::1", "::2"),
            ("127.0.0.0/8", "127.1.2.3", "::ffff:127.0.0.1"),
            ("0.0.0.0/0", "8.8.8.8", "2606:2800::1"),
        ] {
            let network: Network = text.parse().unwrap();
            assert!(
                network.contains(inside.parse().unwrap()),
                "{inside} in {text}"
            );
            assert!(
                !network.contains(outside.parse().unwrap()),
                "{outside} not in {text}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_would_be() {
        for text in [
            "",
            "10.2",
            "10.2.0.0/33",
            "10.2.0.0/-1",
            "example.org",
            "10.2.0.0/16,10.3.0.0/16",
            " 10.0.0.1",
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(
                matches!(error, NetworkError::Form { .. }),
                "{text:?}: {error}"
            );
        }
        let error = "10.2.0.7/16".parse::<Network>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"10.2.0.7/16\" has bits behind its prefix; the network is 10.2.0.0/16"
        );
    }
}
