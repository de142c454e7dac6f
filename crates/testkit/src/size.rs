//! How large a set of servers is.

use std::fmt;

/// How large a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Kafka's brokers.
    pub brokers: u16,
    /// Cassandra's nodes.
    pub cassandra_nodes: u16,
    /// The datacenters they are spread over.
    pub datacenters: u16,
}

/// A size that no set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// One broker, or three, of which one may be lost.
    #[error("{0} brokers; it must be 1 or 3")]
    Brokers(u16),
    /// More do not fit a machine.
    #[error("{0} Cassandra nodes; it must be between 1 and {NODES_MAX}")]
    Nodes(u16),
    /// One or two.
    #[error("{0} datacenters; it must be 1 or 2")]
    Datacenters(u16),
    /// Each datacenter needs a node.
    #[error("{datacenters} datacenters with {nodes} Cassandra node: each needs one")]
    Empty {
        /// The datacenters asked for.
        datacenters: u16,
        /// The nodes asked for.
        nodes: u16,
    },
}

/// Cassandra nodes of one set.
pub const NODES_MAX: u16 = 6;

impl Size {
    /// The size itself, when there can be such a set.
    ///
    /// # Errors
    /// See [`SizeError`].
    pub fn checked(self) -> Result<Size, SizeError> {
        match self {
            Size { brokers, .. } if !matches!(brokers, 1 | 3) => Err(SizeError::Brokers(brokers)),
            Size {
                cassandra_nodes: nodes,
                ..
            } if !(1..=NODES_MAX).contains(&nodes) => Err(SizeError::Nodes(nodes)),
            Size { datacenters, .. } if !(1..=2).contains(&datacenters) => {
                Err(SizeError::Datacenters(datacenters))
            }
            Size {
                cassandra_nodes: nodes,
                datacenters,
                ..
            } if nodes < datacenters => Err(SizeError::Empty { datacenters, nodes }),
            size => Ok(size),
        }
    }
}

impl Default for Size {
    /// One of each.
    fn default() -> Size {
        Size {
            brokers: 1,
            cassandra_nodes: 1,
            datacenters: 1,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            brokers,
            cassandra_nodes,
            datacenters,
        } = self;
        write!(
            f,
            "brokers {brokers}, cassandra {cassandra_nodes}, datacenters {datacenters}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_cannot_be_says_why() {
        let error = |size: Size| size.checked().unwrap_err().to_string();
        assert_eq!(Size::default().checked(), Ok(Size::default()));
        assert_eq!(
            error(Size {
                brokers: 2,
                ..Size::default()
            }),
            "2 brokers; it must be 1 or 3"
        );
        let nodes = Size {
            cassandra_nodes: 0,
            ..Size::default()
        };
        assert_eq!(
            error(nodes),
            "0 Cassandra nodes; it must be between 1 and 6"
        );
        let empty = Size {
            datacenters: 2,
            ..Size::default()
        };
        assert_eq!(
            error(empty),
            "2 datacenters with 1 Cassandra node: each needs one"
        );
    }
}
