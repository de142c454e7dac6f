//! `minutehand schema apply|status`: topics in Kafka, tables of the timetable's store, the count of
//! partitions in etcd.

use std::sync::Arc;

use minutehand_cli::{Exit, Failure, SchemaItem, SchemaState};
use minutehand_etcd::EtcdConfig;
use minutehand_kafka::{Client, TopicDefinition, TopicStanding};
use minutehand_ports::{StorePart, TimetableStore};

use super::{configs, failure, stores};
use crate::settings::Settings;

/// Creates what is missing. Whatever is there and not as it should be is refused before anything is
/// created.
pub(super) async fn apply(settings: &Settings) -> Result<Vec<SchemaItem>, Failure> {
    let before = status(settings).await?;
    let (client, store, etcd) = open(settings)?;
    let applied = client.apply_topics().await;
    let mut items = topics(applied.map_err(|error| failure::store(&error))?)?;

    let migrated = store.migrate().await;
    items.extend(parts(
        &*store,
        migrated.map_err(|error| failure::timetable(&error))?,
    ));

    let partitions = settings.cluster.partitions;
    minutehand_etcd::agree(&etcd, partitions)
        .await
        .map_err(|error| failure::etcd(&error))?;
    items.push(partition_count(&etcd, Some(partitions), partitions)?);

    mark_created(&mut items, &before);
    Ok(items)
}

/// What was missing before has been created.
fn mark_created(items: &mut [SchemaItem], before: &[SchemaItem]) {
    for item in items {
        let was_missing = before.iter().any(|before| {
            (&before.store, &before.kind, &before.name) == (&item.store, &item.kind, &item.name)
                && before.state == SchemaState::Missing
        });
        if was_missing {
            item.state = SchemaState::Created;
        }
    }
}

/// What there is, and what is missing.
///
/// # Errors
/// When something is there and not as it should be, or a store does not answer.
pub(super) async fn status(settings: &Settings) -> Result<Vec<SchemaItem>, Failure> {
    let (client, store, etcd) = open(settings)?;
    let standings = client.standings().await;
    let mut items = topics(standings.map_err(|error| failure::store(&error))?)?;

    let there = store.status().await;
    items.extend(parts(
        &*store,
        there.map_err(|error| failure::timetable(&error))?,
    ));

    let stored = minutehand_etcd::partitions(&etcd)
        .await
        .map_err(|error| failure::etcd(&error))?;
    items.push(partition_count(&etcd, stored, settings.cluster.partitions)?);
    Ok(items)
}

type Stores = (Arc<Client>, Box<dyn TimetableStore>, EtcdConfig);

fn open(settings: &Settings) -> Result<Stores, Failure> {
    let (kafka, store) = (configs::kafka(settings)?, stores::timetable(settings)?);
    let etcd = configs::etcd(settings)?;
    let client = Client::new(kafka).map_err(|error| failure::store(&error))?;
    Ok((client, store, etcd))
}

fn item(
    store: &str,
    kind: &str,
    name: impl Into<String>,
    is_there: bool,
    detail: String,
) -> SchemaItem {
    SchemaItem {
        store: store.to_owned(),
        kind: kind.to_owned(),
        name: name.into(),
        state: if is_there {
            SchemaState::Present
        } else {
            SchemaState::Missing
        },
        detail,
    }
}

fn topics(standings: Vec<(TopicDefinition, TopicStanding)>) -> Result<Vec<SchemaItem>, Failure> {
    let topic = |(definition, standing): (TopicDefinition, TopicStanding)| {
        let TopicDefinition {
            name, partitions, ..
        } = definition;
        let (is_there, detail) = match standing {
            TopicStanding::Differs(differences) => {
                let words = differences.iter().map(|difference| match difference.what.as_str() {
                    "partitions" => {
                        let found = &difference.found;
                        format!("has {found} partitions; the settings want {partitions} (cluster.partitions)")
                    }
                    _ => difference.to_string(),
                });
                let words: Vec<String> =
                    words.map(|words| format!("topic {name} {words}")).collect();
                return Err(refused(words.join(", ")));
            }
            TopicStanding::Short(difference) => (false, difference.to_string()),
            TopicStanding::Missing => (false, format!("{partitions} partitions")),
            TopicStanding::Present | TopicStanding::Created => {
                (true, format!("{partitions} partitions"))
            }
        };
        Ok(item("kafka", "topic", name, is_there, detail))
    };
    standings.into_iter().map(topic).collect()
}

fn parts(store: &dyn TimetableStore, parts: Vec<StorePart>) -> impl Iterator<Item = SchemaItem> {
    let word = store.describe().word;
    parts.into_iter().map(move |part| {
        let StorePart {
            kind,
            name,
            is_there,
            detail,
        } = part;
        item(word, kind, name, is_there, detail)
    })
}

fn partition_count(
    etcd: &EtcdConfig,
    stored: Option<u32>,
    wanted: u32,
) -> Result<SchemaItem, Failure> {
    match stored.filter(|stored| *stored != wanted) {
        Some(stored) => Err(refused(format!(
            "region {} has {stored} partitions in etcd; the settings want {wanted} (cluster.partitions)",
            etcd.region
        ))),
        None => {
            let detail = format!("{wanted} partitions");
            Ok(item(
                "etcd",
                "partitions",
                format!("region {}", etcd.region),
                stored.is_some(),
                detail,
            ))
        }
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Exit::Conflict, message).with_hint("a count of partitions is fixed once the schema has been applied; settings of topics are set right on the cluster")
}
