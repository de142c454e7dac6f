//! How topics and brokers are set up, compared with what must be: with every difference both values
//! are said.

use std::collections::BTreeMap;
use std::fmt;

use minutehand_model::limits::TOPIC_RECORD_BYTES_MAX;
use minutehand_ports::{ErrorClass, PortError};
use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigSource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Client, blocking};
use crate::error::{class_of, in_words, port_error};
use crate::topics::{APPEARS, SettingRule, TopicDefinition, TopicSetting};

/// How a topic stands against its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicStanding {
    /// It is there, and as it must be.
    Present,
    /// It was not there and has been made.
    Created,
    /// It is not there.
    Missing,
    /// It keeps records for a shorter time than the settings want: applying the schema raises it.
    Short(Difference),
    /// It is there and not as it must be.
    Differs(Vec<Difference>),
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `partitions`, or a setting in Kafka's own words.
    pub what: String,
    /// What it is.
    pub found: String,
    /// What it must be: `16`, `at least 2097152`.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            what,
            found,
            wanted,
        } = self;
        match what.as_str() {
            "partitions" => write!(f, "has {found} partitions and must have {wanted}"),
            _ => write!(f, "has {what}={found}, which must be {wanted}"),
        }
    }
}

/// The setting that may be raised on a topic that is there, because the operator asked for more.
const RAISED: &str = "retention.ms";

/// The settings of a topic, or of a broker, as the cluster names them.
pub(crate) type Found = BTreeMap<String, String>;

impl TopicSetting {
    pub(crate) fn difference(&self, found: Option<&String>) -> Option<Difference> {
        let found = found?;
        let is_met = match self.rule {
            SettingRule::Free => true,
            SettingRule::Exactly => *found == self.value,
            SettingRule::AtLeast => is_at_least(found, &self.value),
        };
        let wanted = match self.rule {
            SettingRule::AtLeast if self.value == "-1" => "-1 (without a bound)".to_owned(),
            SettingRule::AtLeast => format!("at least {}", self.value),
            _ => self.value.clone(),
        };
        (!is_met).then(|| Difference {
            what: self.name.to_owned(),
            found: found.clone(),
            wanted,
        })
    }
}

/// Numbers as Kafka writes them: -1 is without a bound.
fn is_at_least(found: &str, wanted: &str) -> bool {
    let number = |text: &str| match text.parse::<i64>() {
        Ok(-1) => Some(i64::MAX),
        Ok(number) => Some(number),
        Err(_) => None,
    };
    number(found)
        .zip(number(wanted))
        .is_some_and(|(found, wanted)| found >= wanted)
}

fn standing(
    definition: &TopicDefinition,
    partitions: Option<u32>,
    found: Option<&Found>,
) -> TopicStanding {
    let Some(partitions) = partitions else {
        return TopicStanding::Missing;
    };
    let mut differences = Vec::new();
    if partitions != definition.partitions {
        let (found, wanted) = (partitions.to_string(), definition.partitions.to_string());
        differences.push(Difference {
            what: "partitions".to_owned(),
            found,
            wanted,
        });
    }
    let settings = definition.settings.iter();
    differences.extend(settings.filter_map(|setting| setting.difference(found?.get(setting.name))));
    match differences.pop() {
        None => TopicStanding::Present,
        Some(only) if differences.is_empty() && only.what == RAISED => TopicStanding::Short(only),
        Some(last) => {
            differences.push(last);
            TopicStanding::Differs(differences)
        }
    }
}

impl Client {
    /// How every topic of the installation stands.
    ///
    /// # Errors
    /// When the cluster does not answer, or does not let its settings be read.
    pub async fn standings(&self) -> Result<Vec<(TopicDefinition, TopicStanding)>, PortError> {
        let (there, definitions) = (self.topics().await?, self.definitions());
        let names: Vec<&str> = definitions
            .iter()
            .map(|definition| definition.name.as_str())
            .filter(|name| there.contains_key(*name))
            .collect();
        let found = self.topic_settings(&names).await?;
        let stands = |definition: TopicDefinition| {
            let name = &definition.name;
            let standing = standing(&definition, there.get(name).copied(), found.get(name));
            (definition, standing)
        };
        Ok(definitions.into_iter().map(stands).collect())
    }

    /// Makes the topics that are missing, and answers how each stands then. Of what is there
    /// nothing is changed, but that a log keeps its records longer where the settings ask for it.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub async fn apply_topics(&self) -> Result<Vec<(TopicDefinition, TopicStanding)>, PortError> {
        let mut standings = self.standings().await?;
        for (definition, standing) in &mut standings {
            match standing {
                TopicStanding::Missing => {
                    self.create(definition).await?;
                    *standing = TopicStanding::Created;
                }
                TopicStanding::Short(_) => {
                    self.raise(definition).await?;
                    *standing = TopicStanding::Present;
                }
                _ => {}
            }
        }
        self.await_applied().await?;
        Ok(standings)
    }

    /// A topic that was made or altered is not known as such to every broker at once.
    async fn await_applied(&self) -> Result<(), PortError> {
        let is_awaited = |(_, standing): &(TopicDefinition, TopicStanding)| {
            matches!(standing, TopicStanding::Missing | TopicStanding::Short(_))
        };
        let deadline = self.deadline();
        while self.standings().await?.iter().any(is_awaited) {
            if std::time::Instant::now() > deadline {
                let reason = "they were made or altered, and a broker does not say so yet";
                return Err(PortError::new(ErrorClass::Retry, "find the topics", reason));
            }
            tokio::time::sleep(APPEARS).await;
        }
        Ok(())
    }

    /// Refuses to go on when a topic is missing, or a topic or a broker is set up otherwise than it
    /// must be.
    ///
    /// # Errors
    /// Class `Fatal`, naming everything that is not as it must be, with both values.
    pub async fn check_topics(&self) -> Result<(), PortError> {
        let mut wrong: Vec<String> = self
            .standings()
            .await?
            .into_iter()
            .filter_map(complaint)
            .collect();
        wrong.extend(self.broker_complaints().await);
        if wrong.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "{}; run `minutehand schema apply` for what is missing or too short, set cluster.partitions to what is there, and \
             set the rest right on the cluster",
            wrong.join(", ")
        );
        Err(PortError::new(ErrorClass::Fatal, "use the topics", reason))
    }

    /// The settings in force of topics that are there, by topic.
    pub(crate) async fn topic_settings(
        &self,
        names: &[&str],
    ) -> Result<BTreeMap<String, Found>, PortError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let action = "read how topics are set up";
        let topics: Vec<ResourceSpecifier<'_>> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(self.timeout()));
        let answers = self.admin().describe_configs(&topics, &options).await;
        let mut all = BTreeMap::new();
        for answer in answers.map_err(|error| port_error(action, error))? {
            let resource =
                answer.map_err(|code| PortError::new(class_of(code), action, in_words(code)))?;
            if let OwnedResourceSpecifier::Topic(name) = resource.specifier {
                let entries = resource.entries.into_iter();
                all.insert(
                    name,
                    entries
                        .filter_map(|entry| Some((entry.name, entry.value?)))
                        .collect(),
                );
            }
        }
        Ok(all)
    }

    /// Lets a topic keep its records as long as its definition says.
    async fn raise(&self, definition: &TopicDefinition) -> Result<(), PortError> {
        for setting in definition
            .settings
            .iter()
            .filter(|setting| setting.name == RAISED)
        {
            self.set_up(&definition.name, setting.name, &setting.value)
                .await?;
        }
        Ok(())
    }

    /// Changes one setting of a topic. A change replaces all settings of a topic, so those it has
    /// are said again.
    pub(crate) async fn set_up(
        &self,
        topic: &str,
        name: &str,
        value: &str,
    ) -> Result<(), PortError> {
        let kept = self.own_settings(topic).await?;
        self.replace_settings(topic, &kept, (name, value)).await
    }

    /// Gives a topic a setting that it has only from its brokers. Answers whether it did: what was
    /// said of the topic itself is somebody's will, and stays.
    pub(crate) async fn set_up_unsaid(
        &self,
        topic: &str,
        name: &str,
        value: &str,
    ) -> Result<bool, PortError> {
        let kept = self.own_settings(topic).await?;
        if kept.contains_key(name) {
            return Ok(false);
        }
        self.replace_settings(topic, &kept, (name, value)).await?;
        Ok(true)
    }

    /// What was said of a topic itself.
    async fn own_settings(&self, topic: &str) -> Result<Found, PortError> {
        let action = format!("read how {topic} is set up");
        let options = AdminOptions::new().request_timeout(Some(self.timeout()));
        let answers = self
            .admin()
            .describe_configs([&ResourceSpecifier::Topic(topic)], &options)
            .await;
        let answer = answers.map_err(|error| port_error(&action, error))?.pop();
        let resource = answer.unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
        let resource =
            resource.map_err(|code| PortError::new(class_of(code), &action, in_words(code)))?;
        let own = resource
            .entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        Ok(own
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect())
    }

    async fn replace_settings(
        &self,
        topic: &str,
        kept: &Found,
        (name, value): (&str, &str),
    ) -> Result<(), PortError> {
        let action = format!("set {name} of {topic}");
        let options = AdminOptions::new().request_timeout(Some(self.timeout()));
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let kept = kept.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in kept.chain([(name, value)]) {
            altered = altered.set(name, value);
        }
        let answers = self.admin().alter_configs([&altered], &options).await;
        for answer in answers.map_err(|error| port_error(&action, error))? {
            answer.map_err(|(_, code)| PortError::new(class_of(code), &action, in_words(code)))?;
        }
        Ok(())
    }

    /// What is wrong with the brokers' own settings. Where these cannot be read the log says so,
    /// and they count as right.
    async fn broker_complaints(&self) -> Vec<String> {
        let wanted = [
            (
                "socket.request.max.bytes",
                (2 * TOPIC_RECORD_BYTES_MAX).to_string(),
            ),
            (
                "transaction.max.timeout.ms",
                self.config().transaction_timeout_ms.to_string(),
            ),
        ];
        let brokers = match self.brokers().await {
            Ok(brokers) => brokers,
            Err(error) => {
                tracing::warn!(%error, "the brokers' settings cannot be compared");
                return Vec::new();
            }
        };
        let mut wrong = Vec::new();
        for broker in brokers {
            let options = AdminOptions::new().request_timeout(Some(self.timeout()));
            let answers = self
                .admin()
                .describe_configs([&ResourceSpecifier::Broker(broker)], &options)
                .await;
            let resource = match answers.map(|mut answers| answers.pop()) {
                Ok(Some(Ok(resource))) => resource,
                Ok(Some(Err(code))) => {
                    tracing::warn!(
                        broker,
                        reason = in_words(code),
                        "a broker's settings cannot be compared"
                    );
                    continue;
                }
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(broker, %error, "a broker's settings cannot be compared");
                    continue;
                }
            };
            for (name, value) in &wanted {
                let found = resource.get(name).and_then(|entry| entry.value.as_ref());
                if let Some(found) = found.filter(|found| !is_at_least(found, value)) {
                    wrong.push(format!(
                        "broker {broker} has {name}={found}, which must be at least {value}"
                    ));
                }
            }
        }
        wrong
    }

    async fn brokers(&self) -> Result<Vec<i32>, PortError> {
        let client = self.shared();
        blocking(move || {
            let failed = |error| port_error("ask for the brokers", error);
            let lookups = client.lookups().map_err(failed)?;
            let metadata = lookups
                .fetch_metadata(None, client.timeout())
                .map_err(failed)?;
            Ok(metadata
                .brokers()
                .iter()
                .map(rdkafka::metadata::MetadataBroker::id)
                .collect())
        })
        .await
    }
}

fn complaint((definition, standing): (TopicDefinition, TopicStanding)) -> Option<String> {
    let name = &definition.name;
    match standing {
        TopicStanding::Present | TopicStanding::Created => None,
        TopicStanding::Missing => Some(format!("{name} is missing")),
        TopicStanding::Short(difference) => Some(format!("{name} {difference}")),
        TopicStanding::Differs(differences) => {
            let all: Vec<String> = differences
                .iter()
                .map(|difference| format!("{name} {difference}"))
                .collect();
            Some(all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaConfig;
    use crate::names::TopicNames;

    fn commands() -> TopicDefinition {
        let config = KafkaConfig {
            replication_factor: 3,
            ..KafkaConfig::default()
        };
        TopicDefinition::all(&config, &TopicNames::new("minutehand")).remove(0)
    }

    fn as_made(definition: &TopicDefinition) -> Found {
        definition
            .settings
            .iter()
            .map(|made| (made.name.to_owned(), made.value.clone()))
            .collect()
    }

    #[test]
    fn settings_that_matter_are_compared_and_said_with_both_values() {
        let definition = commands();
        let stands = |found: &Found| standing(&definition, Some(16), Some(found));
        assert_eq!(stands(&as_made(&definition)), TopicStanding::Present);
        assert_eq!(standing(&definition, None, None), TopicStanding::Missing);
        let cases = [
            ("cleanup.policy", "compact", "which must be delete"),
            ("cleanup.policy", "compact,delete", "which must be delete"),
            (
                "message.timestamp.type",
                "CreateTime",
                "which must be LogAppendTime",
            ),
            (
                "max.message.bytes",
                "1048588",
                "which must be at least 2097152",
            ),
            ("min.insync.replicas", "1", "which must be at least 2"),
            (
                "retention.bytes",
                "1073741824",
                "which must be -1 (without a bound)",
            ),
        ];
        for (name, value, words) in cases {
            let mut found = as_made(&definition);
            found.insert(name.to_owned(), value.to_owned());
            let TopicStanding::Differs(differences) = stands(&found) else {
                panic!("{name} differs")
            };
            let said = differences[0].to_string();
            assert!(
                said.contains(&format!("{name}={value}")) && said.contains(words),
                "{said}"
            );
        }
    }

    #[test]
    fn a_longer_retention_is_right_and_a_shorter_one_can_be_raised() {
        let definition = commands();
        for (value, is_right) in [
            ("-1", true),
            ("86400001", true),
            ("86400000", true),
            ("86399999", false),
        ] {
            let mut found = as_made(&definition);
            found.insert("retention.ms".to_owned(), value.to_owned());
            let standing = standing(&definition, Some(16), Some(&found));
            assert_eq!(
                standing == TopicStanding::Present,
                is_right,
                "{value}: {standing:?}"
            );
            assert_eq!(
                matches!(standing, TopicStanding::Short(_)),
                !is_right,
                "{value}"
            );
        }
    }
}
