//! What must be there before a role can begin: topics in Kafka, tables of the timetable's store, the
//! count of partitions in etcd.

use minutehand_etcd::EtcdConfig;
use minutehand_kafka::{TopicDefinition, TopicStanding};
use minutehand_ports::StorePart;

use crate::error::StartError;
use crate::servers::Servers;

/// A thing that the servers hold for a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaPart {
    /// The store's word: `kafka`, `cassandra`, `etcd`.
    pub store: &'static str,
    /// What it is, its name, and whether it is there.
    pub part: StorePart,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Servers {
    /// Creates what is missing; what is there then. Whatever is there and not as it should be is
    /// refused before anything is created.
    ///
    /// # Errors
    /// When a server does not answer, or holds what does not fit the settings.
    pub async fn apply_schema(&self) -> Result<Vec<SchemaPart>, StartError> {
        let before = self.schema().await?;
        let mut parts = topics(self.kafka.apply_topics().await?)?;
        parts.extend(self.of_timetable(self.timetable.migrate().await?));

        let (etcd, partitions) = (&self.config.etcd, self.config.partitions);
        minutehand_etcd::agree(etcd, partitions).await?;
        parts.push(partition_count(etcd, Some(partitions), partitions)?);

        for part in &mut parts {
            part.is_new = before.iter().any(|before| before.is_missing(part));
        }
        Ok(parts)
    }

    /// What there is, and what is missing.
    ///
    /// # Errors
    /// When something is there and not as it should be, or a server does not answer.
    pub async fn schema(&self) -> Result<Vec<SchemaPart>, StartError> {
        let mut parts = topics(self.kafka.standings().await?)?;
        parts.extend(self.of_timetable(self.timetable.status().await?));

        let stored = minutehand_etcd::partitions(&self.config.etcd).await?;
        let wanted = self.config.partitions;
        parts.push(partition_count(&self.config.etcd, stored, wanted)?);
        Ok(parts)
    }

    fn of_timetable(&self, parts: Vec<StorePart>) -> impl Iterator<Item = SchemaPart> + use<> {
        let store = self.timetable().word;
        parts.into_iter().map(move |part| SchemaPart {
            store,
            part,
            is_new: false,
        })
    }
}

impl SchemaPart {
    /// Whether it is missing; `now` is what became of it.
    fn is_missing(&self, now: &SchemaPart) -> bool {
        let name = |one: &SchemaPart| (one.store, one.part.kind, one.part.name.clone());
        !self.part.is_there && name(self) == name(now)
    }
}

fn topics(standings: Vec<(TopicDefinition, TopicStanding)>) -> Result<Vec<SchemaPart>, StartError> {
    standings.into_iter().map(topic).collect()
}

fn topic(
    (definition, standing): (TopicDefinition, TopicStanding),
) -> Result<SchemaPart, StartError> {
    let TopicDefinition {
        name, partitions, ..
    } = definition;
    let (is_there, detail) = match standing {
        TopicStanding::Differs(differences) => {
            let words = differences.iter().map(|difference| {
                let found = &difference.found;
                match difference.what.as_str() {
                    "partitions" => format!(
                        "topic {name} has {found} partitions; the settings want {partitions} (cluster.partitions)"
                    ),
                    _ => format!("topic {name} {difference}"),
                }
            });
            let words: Vec<String> = words.collect();
            return Err(StartError::Differs(words.join(", ")));
        }
        TopicStanding::Short(difference) => (false, difference.to_string()),
        TopicStanding::Missing => (false, format!("{partitions} partitions")),
        TopicStanding::Present | TopicStanding::Created => {
            (true, format!("{partitions} partitions"))
        }
    };
    Ok(part("kafka", "topic", name, is_there, detail))
}

fn partition_count(
    etcd: &EtcdConfig,
    stored: Option<u32>,
    wanted: u32,
) -> Result<SchemaPart, StartError> {
    let region = format!("region {}", etcd.region);
    match stored.filter(|stored| *stored != wanted) {
        Some(stored) => Err(StartError::Differs(format!(
            "{region} has {stored} partitions in etcd; the settings want {wanted} (cluster.partitions)"
        ))),
        None => {
            let detail = format!("{wanted} partitions");
            Ok(part("etcd", "partitions", region, stored.is_some(), detail))
        }
    }
}

fn part(
    store: &'static str,
    kind: &'static str,
    name: String,
    is_there: bool,
    detail: String,
) -> SchemaPart {
    SchemaPart {
        store,
        part: StorePart {
            kind,
            name,
            is_there,
            detail,
        },
        is_new: false,
    }
}
