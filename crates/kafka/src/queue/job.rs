//! What is asked of a group's thread: settlements and reports, encoded on the caller's time.

use std::collections::BTreeSet;
use std::time::SystemTime;

use minutehand_model::{DeliveryToken, LastWord, Outcome, QueueName, Timestamp, TopicName};
use minutehand_ports::{
    DeliveryId, ErrorClass, Output, OutputRecord, PortError, Report, Settlement,
};
use rdkafka::message::{Header, OwnedHeaders};
use tokio::sync::oneshot;

use super::claims::Writer;
use crate::client::Client;
use crate::transact::Parcel;
use crate::{follow_ups, history, letters};

/// What comes with a settlement, or with a report.
pub(crate) struct Effects {
    pub(super) parcels: Vec<Parcel>,
    /// They must happen together with the place.
    pub(super) is_one_step: bool,
    /// Queues whose topics of dead letters must be there.
    pub(super) letters: Vec<QueueName>,
    /// Topics of others that must be there.
    pub(super) topics: BTreeSet<TopicName>,
    /// It settles a delivery that is to run at most once.
    pub(super) is_claim: bool,
    /// It settles what is no business of the group, which counts for nothing.
    pub(super) is_passed: bool,
    /// The token that whoever says it was told.
    pub(super) held_as: Option<DeliveryToken>,
}

/// One call, encoded.
pub(crate) struct Job {
    pub(crate) action: String,
    pub(crate) settlements: Vec<(DeliveryId, Effects)>,
    pub(crate) reports: Vec<Effects>,
    pub(crate) answer: oneshot::Sender<Result<Vec<DeliveryId>, PortError>>,
}

impl Effects {
    /// Encodes, on the caller's time. Refuses partitions that do not exist.
    pub(crate) fn new(client: &Client, report: Report, action: &str) -> Result<Effects, PortError> {
        let names = client.names();
        let mut effects = Effects {
            is_one_step: !report.commands.is_empty() || report.dead_letter.is_some(),
            parcels: follow_ups::parcels(client, report.commands, action)?,
            letters: Vec::new(),
            topics: BTreeSet::new(),
            is_claim: false,
            is_passed: false,
            held_as: None,
        };
        if let Some(letter) = report.dead_letter {
            effects.parcels.push(letters::parcel(names, &letter));
            effects.letters.push(letter.queue);
        }
        let line = report
            .outcome
            .map(|(key, outcome)| history::line(client, key, &outcome));
        effects.parcels.extend(line);
        Ok(effects)
    }

    /// Nothing but the place.
    fn none() -> Effects {
        Effects {
            parcels: Vec::new(),
            is_one_step: false,
            letters: Vec::new(),
            topics: BTreeSet::new(),
            is_claim: false,
            is_passed: false,
            held_as: None,
        }
    }

    /// What others go on with is passed over.
    pub(super) fn of_passed() -> Effects {
        Effects {
            is_passed: true,
            ..Effects::none()
        }
    }

    /// Those of a claim, with the record of its last word.
    pub(crate) fn of_claim(word: Option<Parcel>) -> Effects {
        let is_one_step = word.is_some();
        let parcels = word.into_iter().collect();
        Effects {
            parcels,
            is_one_step,
            is_claim: true,
            ..Effects::none()
        }
    }

    /// A record more that must happen together with the others.
    pub(crate) fn with(mut self, parcel: Option<Parcel>) -> Effects {
        self.is_one_step |= parcel.is_some();
        self.parcels.extend(parcel);
        self
    }

    /// What is told of runs that are lost; their last words are withdrawn with it.
    pub(super) fn of_lost(
        client: &Client,
        group: &str,
        lost: Vec<(u32, u64, LastWord)>,
    ) -> Result<Effects, PortError> {
        const ACTION: &str = "tell of runs that are lost";
        let writer = Writer::new(client, group);
        let mut parcels = Vec::new();
        for (
            partition,
            offset,
            LastWord {
                commands: told,
                outcome,
            },
        ) in lost
        {
            parcels.extend(follow_ups::parcels(client, told, ACTION)?);
            parcels.extend(outcome.map(|(key, end)| {
                history::line(
                    client,
                    key,
                    &Outcome {
                        ended_at: now(),
                        ..end
                    },
                )
            }));
            parcels.push(writer.withdrawal(partition, offset));
        }
        Ok(Effects {
            parcels,
            is_one_step: true,
            ..Effects::none()
        })
    }

    pub(crate) fn of(
        client: &Client,
        settlement: Settlement,
        action: &str,
    ) -> Result<(DeliveryId, Effects), PortError> {
        let Settlement {
            id,
            held_as,
            commands,
            dead_letter,
            outcome,
            output,
        } = settlement;
        let effects = Effects::new(
            client,
            Report {
                id,
                commands,
                dead_letter,
                outcome,
            },
            action,
        )?;
        let effects = effects.leaving(client, &output, action)?;
        Ok((id, Effects { held_as, ..effects }))
    }

    /// With the records that a run leaves. Refuses topics that nobody but this installation, or
    /// Kafka, writes to.
    fn leaving(
        mut self,
        client: &Client,
        output: &Output,
        action: &str,
    ) -> Result<Effects, PortError> {
        self.is_one_step |= !output.is_empty();
        for record in output.records() {
            let topic = &record.topic;
            if client.names().is_reserved(topic.as_str()) {
                let reason = format!(
                    "runs leave no records on {topic}, which is the installation's own or Kafka's; name another topic"
                );
                return Err(PortError::new(ErrorClass::Fatal, action, reason));
            }
            self.topics.insert(topic.clone());
            self.parcels.push(left(record));
        }
        Ok(self)
    }
}

fn left(record: &OutputRecord) -> Parcel {
    let headers = record.headers.iter();
    let headers = headers.fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header {
            key: name,
            value: Some(value.as_ref()),
        })
    });
    Parcel {
        topic: record.topic.to_string(),
        partition: None,
        key: record.key.clone(),
        value: Some(record.value.clone()),
        headers: Some(headers),
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
