//! Dead letters as records: one topic a queue, with one partition. A letter's number is its offset.
//! That letters were taken away is a record of the same topic, written in one transaction with the
//! commands that replay them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use minutehand_model::{PartitionId, QueueName};
use minutehand_ports::{DeadLetter, DeadLetterPage, PortError};
use minutehand_record::dead_letter;
use rdkafka::Message;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};

use crate::client::Client;
use crate::error::port_error;
use crate::headers;
use crate::listener::Consumer;
use crate::names::TopicNames;
use crate::tail;
use crate::transact::Parcel;

/// The numbers of the letters that were taken away, separated by commas.
const REMOVED: &str = "minutehand-removed";
/// Who took them away: a name that is used once.
const REMOVAL: &str = "minutehand-removal";
const PARTITION: PartitionId = PartitionId::own(0);

/// The record of a letter.
pub(crate) fn parcel(names: &TopicNames, letter: &DeadLetter) -> Parcel {
    Parcel {
        topic: names.dead_letters(&letter.queue),
        partition: Some(PARTITION.number()),
        key: Some(Bytes::copy_from_slice(&letter.key.0.to_be_bytes())),
        value: Some(dead_letter::encode(letter)),
        headers: None,
    }
}

/// The record that letters were taken away.
pub(crate) fn removal(topic: &str, numbers: &BTreeSet<u64>, name: &str) -> Parcel {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    let headers = OwnedHeaders::new_with_capacity(2)
        .insert(Header {
            key: REMOVED,
            value: Some(&numbers.join(",")),
        })
        .insert(Header {
            key: REMOVAL,
            value: Some(name),
        });
    Parcel {
        topic: topic.to_owned(),
        partition: Some(PARTITION.number()),
        key: None,
        value: None,
        headers: Some(headers),
    }
}

/// What a record of the topic says.
enum Entry {
    Letter,
    Removal {
        numbers: BTreeSet<u64>,
        name: String,
    },
}

fn entry(message: &BorrowedMessage<'_>) -> Entry {
    let (mut numbers, mut name) = (None, String::new());
    for (name_of_header, value) in headers::of(message).unwrap_or_default() {
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        match (name_of_header, text) {
            (REMOVED, Some(text)) => {
                numbers = Some(
                    text.split(',')
                        .filter_map(|number| number.parse().ok())
                        .collect(),
                );
            }
            (REMOVAL, Some(text)) => name = text.to_owned(),
            _ => {}
        }
    }
    match numbers {
        Some(numbers) => Entry::Removal { numbers, name },
        None => Entry::Letter,
    }
}

/// Which letters of a queue are kept, as far as the topic has been read.
#[derive(Default)]
struct Kept {
    numbers: BTreeSet<u64>,
    /// Read on from here.
    position: u64,
}

struct State {
    reader: Option<Consumer>,
    kept: BTreeMap<QueueName, Kept>,
}

/// The dead letters of all queues: their numbers are remembered, the letters are read when they are
/// asked for.
pub(crate) struct Letters {
    client: Arc<Client>,
    state: Mutex<State>,
}

impl Letters {
    pub(crate) fn new(client: Arc<Client>) -> Letters {
        Letters {
            client,
            state: Mutex::new(State {
                reader: None,
                kept: BTreeMap::new(),
            }),
        }
    }

    /// How many are kept. Blocks.
    pub(crate) fn count(&self, queue: &QueueName) -> Result<u64, PortError> {
        self.with_kept(queue, None, |_, _, kept, _| Ok(kept.len() as u64))
    }

    /// Which of some numbers are kept, and whether a removal of that name has been read. Blocks.
    pub(crate) fn find(
        &self,
        queue: &QueueName,
        numbers: &BTreeSet<u64>,
        removal: &str,
    ) -> Result<(BTreeSet<u64>, bool), PortError> {
        self.with_kept(queue, Some(removal), |_, _, kept, is_there| {
            Ok((numbers.intersection(kept).copied().collect(), is_there))
        })
    }

    /// Letters from a number on, and the number of the next one. Blocks.
    pub(crate) fn list(
        &self,
        queue: &QueueName,
        from: u64,
        count_max: usize,
    ) -> Result<DeadLetterPage, PortError> {
        self.with_kept(queue, None, |reader, topic, kept, _| {
            let mut numbers = kept.range(from..).copied();
            let wanted: BTreeSet<u64> = numbers.by_ref().take(count_max).collect();
            let next = numbers.next();
            let mut letters = Vec::new();
            if let (Some(first), Some(last)) = (wanted.first(), wanted.last()) {
                tail::scan(
                    &self.client,
                    reader,
                    topic,
                    &[(PARTITION, *first)],
                    |message| {
                        let number = message.offset().max(0) as u64;
                        if wanted.contains(&number) {
                            letters.extend(decoded(topic, number, message.payload()));
                        }
                        number < *last
                    },
                )?;
            }
            debug_assert!(
                letters.is_sorted_by_key(|(number, _)| *number),
                "letters are listed by their numbers"
            );
            Ok(DeadLetterPage { letters, next })
        })
    }

    /// Reads what is new in a queue's topic, and looks at what is kept.
    fn with_kept<T: Default>(
        &self,
        queue: &QueueName,
        removal: Option<&str>,
        look: impl FnOnce(&Consumer, &str, &BTreeSet<u64>, bool) -> KafkaResult<T>,
    ) -> Result<T, PortError> {
        let topic = self.client.names().dead_letters(queue);
        if self.client.look_up(&topic)?.is_none() {
            return Ok(T::default());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = || -> KafkaResult<T> {
            // One that fails is not used again.
            let reader = match state.reader.take() {
                Some(reader) => reader,
                None => self.client.consumer()?,
            };
            let kept = state.kept.entry(queue.clone()).or_default();
            let is_there = self.refresh(&reader, &topic, kept, removal)?;
            let looked = look(&reader, &topic, &kept.numbers, is_there)?;
            state.reader = Some(reader);
            Ok(looked)
        };
        looked().map_err(|error| {
            port_error(format!("read the dead letters of the queue {queue}"), error)
        })
    }

    fn refresh(
        &self,
        reader: &Consumer,
        topic: &str,
        kept: &mut Kept,
        removal: Option<&str>,
    ) -> KafkaResult<bool> {
        let (start, end) = tail::marks(&self.client, reader, topic, PARTITION)?;
        if end < kept.position {
            // It is not the topic that was there.
            *kept = Kept::default();
        }
        kept.numbers = kept.numbers.split_off(&start);
        let from = kept.position.max(start);
        let (mut is_there, mut position) = (false, end);
        if from < end {
            tail::scan(
                &self.client,
                reader,
                topic,
                &[(PARTITION, from)],
                |message| {
                    let number = message.offset().max(0) as u64;
                    position = position.max(number + 1);
                    match entry(message) {
                        Entry::Letter => {
                            kept.numbers.insert(number);
                        }
                        Entry::Removal { numbers, name } => {
                            is_there |= removal == Some(name.as_str());
                            kept.numbers.retain(|number| !numbers.contains(number));
                        }
                    }
                    true
                },
            )?;
        }
        debug_assert!(
            kept.numbers.last().is_none_or(|last| *last < position),
            "what is kept has been read"
        );
        kept.position = position;
        Ok(is_there)
    }
}

fn decoded(topic: &str, number: u64, value: Option<&[u8]>) -> Option<(u64, DeadLetter)> {
    match dead_letter::decode(&Bytes::copy_from_slice(value.unwrap_or_default())) {
        Ok(letter) => Some((number, letter)),
        Err(error) => {
            tracing::warn!(topic, number, %error, "a dead letter cannot be read and is passed over");
            None
        }
    }
}
