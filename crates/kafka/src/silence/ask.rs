//! What the brokers hold of partitions from offsets on, asked by consumers of their own. Everything
//! here blocks.

use minutehand_model::PartitionId;
use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::{Answer, Answers};
use crate::client::Client;
use crate::listener::Consumer;
use crate::tail;

/// Asks about every place. Mostly one question is enough: that partitions end where reading stands.
pub(super) fn ask(client: &Client, topic: &str, places: &[(u32, u64)]) -> Answers {
    let unknown = || {
        let all = places.iter();
        all.map(|place| (*place, Answer::Unknown)).collect()
    };
    match answers(client, topic, places) {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(topic, %error, "the brokers do not say whether there is more");
            unknown()
        }
    }
}

fn answers(client: &Client, topic: &str, places: &[(u32, u64)]) -> KafkaResult<Answers> {
    let ends = ends(client, topic, places)?;
    let mut reading = None;
    let mut all = Vec::new();
    for (partition, from) in places {
        let end = ends.iter().find(|(of, _)| of == partition);
        let answer = match end {
            None => Answer::Unknown,
            Some((_, end)) if end <= from => Answer::NothingBelow(*from),
            Some(_) => {
                let consumer = match &reading {
                    Some(consumer) => consumer,
                    None => reading.insert(client.passing_consumer()?),
                };
                first_record(client, consumer, topic, (*partition, *from))?
            }
        };
        all.push(((*partition, *from), answer));
    }
    Ok(all)
}

/// Where partitions end, open transactions included: one request to each broker.
fn ends(client: &Client, topic: &str, places: &[(u32, u64)]) -> KafkaResult<Vec<(u32, u64)>> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (partition, _) in places {
        list.add_partition_offset(topic, *partition as i32, Offset::End)?;
    }
    let found = client
        .lookups()?
        .offsets_for_times(list, client.timeout())?;
    let end = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let Offset::Offset(end) = element.offset() else {
            return None;
        };
        element.error().ok()?;
        Some((element.partition().max(0) as u32, end.max(0) as u64))
    };
    Ok(found.elements().iter().filter_map(end).collect())
}

/// The first record from an offset on that is committed. What a transaction holds that is still
/// open may be a record later.
fn first_record(
    client: &Client,
    consumer: &Consumer,
    topic: &str,
    (partition, from): (u32, u64),
) -> KafkaResult<Answer> {
    let partition = PartitionId::own(partition);
    // Asked before it is read: what is committed meanwhile lies at or above it.
    let (start, end) = tail::marks(client, consumer, topic, partition)?;
    let from = from.max(start);
    let mut first = None;
    tail::scan(client, consumer, topic, &[(partition, from)], |message| {
        first = Some(message.offset().max(0) as u64);
        false
    })?;
    Ok(first.map_or(Answer::NothingBelow(end), Answer::Record))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::raw::{RawOutgoing, RawProducer, RawReader};
    use crate::silence::Patience;
    use crate::tests::{queue_topic, send};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_record_is_told_from_what_cannot_be_read() {
        let (client, topic) = queue_topic("silence-ask").await;
        let told = tokio::task::spawn_blocking(move || {
            let producer = RawProducer::open(&client, Some("silence-ask")).unwrap();
            let asked = |places: &[(u32, u64)]| ask(&client, &topic, places);
            assert_eq!(asked(&[(0, 0)]), [((0, 0), Answer::NothingBelow(0))]);
            send(&producer, &topic, 3);
            // Behind the third record lies the end of its transaction.
            let told = [0, 2, 3].map(|from| asked(&[(0, from)]).remove(0));
            producer.begin().unwrap();
            let one = RawOutgoing {
                partition: Some(0),
                value: Some(b"undecided"),
                ..RawOutgoing::default()
            };
            producer.send(&topic, one).unwrap();
            producer.flush().unwrap();
            assert_eq!(
                asked(&[(0, 4)]),
                [((0, 4), Answer::NothingBelow(4))],
                "what is undecided may be a record later"
            );
            producer.commit().unwrap();
            assert_eq!(asked(&[(0, 4)]), [((0, 4), Answer::Record(4))]);
            told
        });
        let expected = [
            ((0, 0), Answer::Record(0)),
            ((0, 2), Answer::Record(2)),
            ((0, 3), Answer::NothingBelow(4)),
        ];
        assert_eq!(told.await.unwrap(), expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_falls_silent_says_so() {
        let (client, topic) = queue_topic("silence-reader").await;
        let read = tokio::task::spawn_blocking(move || {
            let producer = RawProducer::open(&client, Some("silence-reader")).unwrap();
            send(&producer, &topic, 2);
            let patience = Patience {
                silent: Duration::ZERO,
                silent_max: Duration::ZERO,
                owed: Duration::from_secs(1),
            };
            let reader = RawReader::open(&client, &topic)
                .unwrap()
                .with(&client, patience);
            let mut read = Vec::new();
            let poll = |read: &mut Vec<u64>| {
                reader.poll(Duration::from_millis(20), 10, |one| read.push(one.offset))
            };
            while read.len() < 2 {
                poll(&mut read).unwrap();
            }
            reader.fall_silent().unwrap();
            send(&producer, &topic, 1);
            let refused = loop {
                if let Err(error) = poll(&mut read) {
                    break error;
                }
            };
            assert!(refused.to_string().contains("does not bring"), "{refused}");
            assert_eq!(read, [0, 1]);
        });
        read.await.unwrap();
    }
}
