//! The layout of the keys and what is in them; `schema/etcd.md` describes both.

use minutehand_model::PartitionId;
use serde::{Deserialize, Serialize};

/// The keys of one region.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// The region's folder, with a slash at its end.
    root: String,
}

/// What a key is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The region's constants.
    Config,
    /// A member.
    Node(String),
    /// Who owns a partition.
    Partition(PartitionId),
    /// Who would take a partition over now.
    Successor(PartitionId),
    /// Who should own what.
    Placement,
}

/// The value of `config`: what all processes of a region must agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegionFacts {
    /// The number of partitions.
    pub(crate) partitions: u32,
}

/// The value of `nodes/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFacts {
    /// Where it is reached.
    pub(crate) address: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// When the process started, in milliseconds of UTC.
    pub(crate) started: i64,
    /// Its release.
    pub(crate) version: String,
    /// Which process it is: a node id lives on in the next one.
    pub(crate) instance: String,
    /// Whether it hands over what it has and wants nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) draining: bool,
    /// Whether it announces that it is ready to take a partition over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) announces: bool,
}

/// The value of `partitions/<p>` and of `successors/<p>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnerFacts {
    /// The node.
    pub(crate) node: String,
    /// The process.
    pub(crate) instance: String,
}

/// The value of `placement`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlacementFacts {
    /// For every partition the node that should own it.
    pub(crate) owners: Vec<Option<String>>,
}

impl Keys {
    pub(crate) fn new(prefix: &str, region: &str) -> Keys {
        Keys {
            root: format!("{prefix}/{region}/"),
        }
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn config(&self) -> String {
        format!("{}config", self.root)
    }

    pub(crate) fn node(&self, id: &str) -> String {
        format!("{}nodes/{id}", self.root)
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> String {
        format!("{}partitions/{partition}", self.root)
    }

    pub(crate) fn successor(&self, partition: PartitionId) -> String {
        format!("{}successors/{partition}", self.root)
    }

    pub(crate) fn placement(&self) -> String {
        format!("{}placement", self.root)
    }

    /// What a key is about; `None` for what is not ours.
    pub(crate) fn subject(&self, key: &[u8]) -> Option<Subject> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        match rest.split_once('/') {
            None if rest == "config" => Some(Subject::Config),
            None if rest == "placement" => Some(Subject::Placement),
            Some(("nodes", id)) => Some(Subject::Node(id.to_owned())),
            Some(("partitions", partition)) => {
                Some(Subject::Partition(PartitionId::parse(partition)?))
            }
            Some(("successors", partition)) => {
                Some(Subject::Successor(PartitionId::parse(partition)?))
            }
            _ => None,
        }
    }
}

/// A value as it is stored.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("values of keys are plain structs with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = Keys::new("/minutehand", "eu");
        let subjects = [
            (keys.config(), "/minutehand/eu/config", Subject::Config),
            (
                keys.node("a.b"),
                "/minutehand/eu/nodes/a.b",
                Subject::Node("a.b".to_owned()),
            ),
            (
                keys.partition(PartitionId::own(7)),
                "/minutehand/eu/partitions/7",
                Subject::Partition(PartitionId::own(7)),
            ),
            (
                keys.partition(PartitionId::of_region(2, 7).unwrap()),
                "/minutehand/eu/partitions/2/7",
                Subject::Partition(PartitionId::of_region(2, 7).unwrap()),
            ),
            (
                keys.successor(PartitionId::own(7)),
                "/minutehand/eu/successors/7",
                Subject::Successor(PartitionId::own(7)),
            ),
            (
                keys.placement(),
                "/minutehand/eu/placement",
                Subject::Placement,
            ),
        ];
        for (key, text, subject) in subjects {
            assert_eq!(key, text);
            assert_eq!(keys.subject(key.as_bytes()), Some(subject));
        }
        for strange in [
            "/minutehand/eu/partitions/x",
            "/minutehand/eu/else",
            "/minutehand/us/config",
        ] {
            assert_eq!(keys.subject(strange.as_bytes()), None);
        }
    }

    #[test]
    fn values_are_written_as_they_always_were() {
        let node = NodeFacts {
            address: "h:1".to_owned(),
            zone: None,
            started: 5,
            version: "0.1.0".to_owned(),
            instance: "i".to_owned(),
            draining: false,
            announces: false,
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("JSON is UTF-8");
        assert_eq!(
            text(encode(&node)),
            r#"{"address":"h:1","started":5,"version":"0.1.0","instance":"i"}"#
        );
        assert_eq!(
            text(encode(&OwnerFacts {
                node: "n".to_owned(),
                instance: "i".to_owned()
            })),
            r#"{"node":"n","instance":"i"}"#
        );
        let placement = PlacementFacts {
            owners: vec![Some("n".to_owned()), None],
        };
        assert_eq!(text(encode(&placement)), r#"{"owners":["n",null]}"#);
        assert_eq!(
            text(encode(&RegionFacts { partitions: 16 })),
            r#"{"partitions":16}"#
        );
    }
}
