//! What the cluster keeps of at-most-once runs, beside the places of their groups: the compacted
//! topic of claims.
//!
//! - A *last word* says what is told of a run when the member that claimed it is gone. It is
//!   written in one transaction with the place that passes the delivery, and withdrawn with the
//!   report of the run's end.
//! - A *reservation* says below which offset a group may have claimed deliveries of a partition.
//!   Brokers forget the places of a group that was away for long (`offsets.retention.minutes`);
//!   then this alone tells what may have run from what has not.
//!
//! Everybody reads the whole topic, once and then on: there are as many last words as there are
//! runs in hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use minutehand_model::{LastWord, PartitionId};
use minutehand_record::last_word;
use rdkafka::Message;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};

use crate::client::Client;
use crate::headers;
use crate::listener::Consumer;
use crate::tail;
use crate::transact::Parcel;

/// Who has not read for longer begins anew: that something was withdrawn is kept for twice as long
/// (`delete.retention.ms`), and not for ever.
const READ_ANEW_AFTER: Duration = Duration::from_secs(30 * 60);
/// Which member has claimed a run.
const CLAIMER: &str = "minutehand-claimer";

/// A partition of a queue's topic, for one consumer group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    pub(crate) group: String,
    pub(crate) partition: u32,
}

/// A last word, and who has left it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) claimer: String,
    pub(crate) word: LastWord,
}

/// The records of the topic.
pub(crate) struct Writer<'a> {
    client: &'a Client,
    group: &'a str,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(client: &'a Client, group: &'a str) -> Writer<'a> {
        Writer { client, group }
    }

    /// The last word of a claim.
    pub(crate) fn word(
        &self,
        partition: u32,
        offset: u64,
        claimer: &str,
        word: &LastWord,
    ) -> Parcel {
        let headers = OwnedHeaders::new().insert(Header {
            key: CLAIMER,
            value: Some(claimer),
        });
        let parcel = self.parcel(partition, word_key(self.group, partition, offset));
        Parcel {
            value: Some(last_word::encode(word)),
            headers: Some(headers),
            ..parcel
        }
    }

    /// That a last word was told, or need not be.
    pub(crate) fn withdrawal(&self, partition: u32, offset: u64) -> Parcel {
        self.parcel(partition, word_key(self.group, partition, offset))
    }

    /// That deliveries below an offset may have been claimed.
    pub(crate) fn reservation(&self, partition: u32, below: u64) -> Parcel {
        let value = Some(Bytes::from(below.to_string()));
        Parcel {
            value,
            ..self.parcel(partition, format!("r/{partition}/{}", self.group))
        }
    }

    fn parcel(&self, partition: u32, key: String) -> Parcel {
        Parcel {
            topic: self.client.names().claims.clone(),
            partition: Some(partition % self.client.config().partitions.max(1)),
            key: Some(Bytes::from(key)),
            value: None,
            headers: None,
        }
    }
}

fn word_key(group: &str, partition: u32, offset: u64) -> String {
    format!("w/{partition}/{offset}/{group}")
}

/// What a key is about.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    Word(Share, u64),
    Reservation(Share),
}

impl Key {
    fn parse(key: &[u8]) -> Option<Key> {
        let (kind, rest) = std::str::from_utf8(key).ok()?.split_once('/')?;
        let (partition, rest) = rest.split_once('/')?;
        let share = |group: &str| {
            Some(Share {
                group: group.to_owned(),
                partition: partition.parse().ok()?,
            })
        };
        match kind {
            "w" => {
                let (offset, group) = rest.split_once('/')?;
                Some(Key::Word(share(group)?, offset.parse().ok()?))
            }
            "r" => Some(Key::Reservation(share(rest)?)),
            _ => None,
        }
    }
}

/// What has been read of the topic.
#[derive(Default)]
struct Known {
    reader: Option<Consumer>,
    read_at: Option<Instant>,
    /// Where to read on, by partition of the topic.
    positions: BTreeMap<u32, u64>,
    words: BTreeMap<(Share, u64), (String, LastWord)>,
    reserved: BTreeMap<Share, u64>,
}

impl Known {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(key) = Key::parse(message.key().unwrap_or_default()) else {
            return;
        };
        match (key, message.payload()) {
            (Key::Word(share, offset), None) => drop(self.words.remove(&(share, offset))),
            (Key::Word(share, offset), Some(value)) => {
                match last_word::decode(&Bytes::copy_from_slice(value)) {
                    Ok(word) => drop(
                        self.words
                            .insert((share, offset), (claimer_of(message), word)),
                    ),
                    Err(error) => {
                        tracing::warn!(?share, offset, %error, "a last word cannot be read")
                    }
                }
            }
            (Key::Reservation(share), None) => drop(self.reserved.remove(&share)),
            (Key::Reservation(share), Some(value)) => {
                let below = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                match below {
                    Some(below) => drop(self.reserved.insert(share, below)),
                    None => tracing::warn!(?share, "a reservation cannot be read"),
                }
            }
        }
    }
}

fn claimer_of(message: &BorrowedMessage<'_>) -> String {
    let headers = headers::of(message).unwrap_or_default();
    let value = headers
        .into_iter()
        .find(|(name, _)| *name == CLAIMER)
        .and_then(|(_, value)| value);
    value
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// The topic as this process has read it.
pub(crate) struct Claims {
    client: Arc<Client>,
    known: Mutex<Known>,
}

impl Claims {
    pub(crate) fn new(client: Arc<Client>) -> Claims {
        Claims {
            client,
            known: Mutex::default(),
        }
    }

    /// Below which offsets a group may have claimed deliveries, as far as it has claimed any.
    /// Blocks.
    pub(crate) fn reserved(
        &self,
        group: &str,
        partitions: &[u32],
    ) -> KafkaResult<BTreeMap<u32, u64>> {
        self.with_known(|known| {
            let share = |partition: u32| Share {
                group: group.to_owned(),
                partition,
            };
            let reserved =
                |partition: &u32| Some((*partition, *known.reserved.get(&share(*partition))?));
            partitions.iter().filter_map(reserved).collect()
        })
    }

    /// The last words in some partitions of a group that others than `claimer` have left. Blocks.
    pub(crate) fn of_others(
        &self,
        group: &str,
        partitions: &[u32],
        claimer: &str,
    ) -> KafkaResult<Vec<Found>> {
        self.with_known(|known| {
            let is_asked_for =
                |share: &Share| share.group == group && partitions.contains(&share.partition);
            let found = known
                .words
                .iter()
                .filter(|((share, _), (left_by, _))| left_by != claimer && is_asked_for(share));
            let found = found.map(|((share, offset), (claimer, word))| Found {
                partition: share.partition,
                offset: *offset,
                claimer: claimer.clone(),
                word: word.clone(),
            });
            found.collect()
        })
    }

    /// Reads what is new, and looks.
    fn with_known<T>(&self, look: impl FnOnce(&Known) -> T) -> KafkaResult<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known
            .read_at
            .is_some_and(|at| at.elapsed() > READ_ANEW_AFTER)
        {
            *known = Known::default();
        }
        // One that fails is not used again.
        let reader = match known.reader.take() {
            Some(reader) => reader,
            None => self.client.consumer()?,
        };
        self.read_on(&reader, &mut known)?;
        (known.reader, known.read_at) = (Some(reader), Some(Instant::now()));
        Ok(look(&known))
    }

    fn read_on(&self, reader: &Consumer, known: &mut Known) -> KafkaResult<()> {
        let topic = &self.client.names().claims;
        let mut ends = BTreeMap::new();
        let mut starts = Vec::new();
        for number in 0..self.client.config().partitions {
            let partition = PartitionId::own(number);
            let (start, end) = tail::marks(&self.client, reader, topic, partition)?;
            let from = known
                .positions
                .get(&number)
                .copied()
                .unwrap_or(0)
                .max(start);
            if from < end {
                starts.push((partition, from));
                ends.insert(number, end);
            }
        }
        if starts.is_empty() {
            return Ok(());
        }
        tail::scan(&self.client, reader, topic, &starts, |message| {
            known.take(message);
            let number = message.partition().max(0) as u32;
            let position = known.positions.entry(number).or_default();
            *position = (*position).max(message.offset().max(0) as u64 + 1);
            true
        })?;
        // Behind the last record lie ends of transactions.
        for (number, end) in ends {
            let position = known.positions.entry(number).or_default();
            *position = (*position).max(end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_is_about() {
        let share = Share {
            group: "minutehand.mail/a/b".to_owned(),
            partition: 7,
        };
        let word = word_key(&share.group, 7, 12);
        assert_eq!(
            Key::parse(word.as_bytes()),
            Some(Key::Word(share.clone(), 12))
        );
        assert_eq!(
            Key::parse(b"r/7/minutehand.mail/a/b"),
            Some(Key::Reservation(share))
        );
        for key in [
            &b""[..],
            b"w/7/minutehand",
            b"w/x/1/g",
            b"w/1/x/g",
            b"r/x/g",
            b"z/1/2/g",
            b"\xff",
        ] {
            assert_eq!(Key::parse(key), None, "{key:?}");
        }
    }
}
