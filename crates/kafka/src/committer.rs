//! The thread that commits a partition's ticks: it holds the transactional producer, and every call here blocks.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use minutehand_ingress::egress::Envelope;
use minutehand_model::{Checkpoint, Epoch, LogOffset, PartitionId, QueueName, Tick};
use minutehand_ports::{ErrorClass, Opened, PortError};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::config::KafkaConfig;
use crate::error::port_error;
use crate::execution::{self, Place};
use crate::listener::Consumer;
use crate::tail::{self, Stored};
use crate::topics::TopicDefinition;

/// What the thread is asked to do.
pub(crate) enum Job {
    Open { epoch: Epoch, answer: oneshot::Sender<Result<Opened, PortError>> },
    Commit { tick: Box<Tick>, answer: oneshot::Sender<Result<(), PortError>> },
}

/// Remembers why a record was not delivered.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<KafkaError>>>);

impl Failures {
    pub(crate) fn take(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

/// What a partition that has been opened goes on with.
struct Session {
    producer: BaseProducer<Failures>,
    failures: Failures,
    epoch: Epoch,
    /// The number of the last tick that was committed.
    tick: u64,
    /// The last commit was slow: what the library may have sent twice must not reach the next transaction.
    must_renew: bool,
}

/// A queue's topic.
struct QueueTopic {
    name: String,
    partitions: u32,
    envelope: Envelope,
}

pub(crate) struct Committer {
    client: Arc<Client>,
    partition: PartitionId,
    session: Option<Session>,
    reader: Option<Consumer>,
    queues: HashMap<QueueName, QueueTopic>,
}

/// The end of a partition of the topic of checkpoints.
struct Tail {
    checkpoint: Option<Checkpoint>,
    /// The highest epoch that is known to have been opened.
    epoch: Epoch,
}

/// Records looked at first at the end of the topic of checkpoints, and then, before all of it.
const TAIL_RECORDS: [u64; 2] = [64, 8_192];
/// How long a producer is polled at once while something is in flight.
const POLL: Duration = Duration::from_millis(1);

impl Committer {
    /// Starts a partition's thread. It ends when the sender is dropped.
    pub(crate) fn start(client: Arc<Client>, partition: PartitionId) -> Sender<Job> {
        let (sender, jobs) = channel();
        let committer = Committer { client, partition, session: None, reader: None, queues: HashMap::new() };
        let name = format!("ticks-{partition}");
        let started = std::thread::Builder::new().name(name).spawn(move || committer.run(&jobs));
        if let Err(error) = started {
            // The receiver went with the closure: whoever sends a job hears that the thread has ended.
            tracing::error!(%partition, %error, "could not start the thread that commits ticks");
        }
        sender
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            // Whoever asked may have gone away.
            match job {
                Job::Open { epoch, answer } => drop(answer.send(self.open(epoch))),
                Job::Commit { tick, answer } => drop(answer.send(self.commit(&tick))),
            }
        }
    }

    fn open(&mut self, epoch: Epoch) -> Result<Opened, PortError> {
        let action = format!("open partition {} under epoch {epoch}", self.partition);
        self.session = None;
        // First a look: a late loser must not fence the winner.
        self.check_epoch(&action, epoch)?;
        let (producer, failures) = self.begin(&action)?;
        let tail = self.check_epoch(&action, epoch)?;
        let tick = tail.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.tick);
        let session = Session { producer, failures, epoch, tick, must_renew: false };
        let before_ms = now_ms();
        self.claim(&session).map_err(|error| port_error(&action, error))?;
        self.check_clock(&action, before_ms)?;
        let (records, log_end) = self.rest().map_err(|error| port_error(&action, error))?;
        let schedule_states = execution::schedule_states(&records).map_err(|reason| {
            let action = format!("read what schedules of partition {} remember", self.partition);
            PortError::new(ErrorClass::Fatal, action, reason)
        })?;
        self.session = Some(session);
        Ok(Opened { checkpoint: tail.checkpoint, schedule_states, log_end })
    }

    /// A new producer under the partition's transactional id: earlier ones are fenced, their open transactions given up.
    fn begin(&self, action: &str) -> Result<(BaseProducer<Failures>, Failures), PortError> {
        let config = self.client.config();
        let id = self.client.names().transactional_id(&config.region, self.partition);
        let failures = Failures::default();
        let begin = || -> KafkaResult<BaseProducer<Failures>> {
            let producer: BaseProducer<Failures> =
                config.transactional(&id).create_with_context(failures.clone())?;
            producer.init_transactions(self.client.timeout() * 2)?;
            Ok(producer)
        };
        let producer = begin().map_err(|error| {
            let error = port_error(action, error);
            // Before the first transaction nobody is fenced yet: another producer began at the same moment.
            match error.class {
                ErrorClass::Fenced => PortError { class: ErrorClass::Retry, ..error },
                _ => error,
            }
        })?;
        Ok((producer, failures))
    }

    /// What the topic of checkpoints says last; refused when a higher epoch has been there.
    fn check_epoch(&mut self, action: &str, epoch: Epoch) -> Result<Tail, PortError> {
        let tail = self.tail().map_err(|error| port_error(action, error))?;
        let tail = tail.map_err(|reason| PortError::new(ErrorClass::Fatal, action, reason))?;
        if tail.epoch > epoch {
            let reason = format!("epoch {} has been opened", tail.epoch);
            return Err(PortError::new(ErrorClass::Fenced, action, reason));
        }
        Ok(tail)
    }

    fn reader(&mut self) -> KafkaResult<Consumer> {
        match self.reader.take() {
            Some(reader) => Ok(reader),
            None => self.client.consumer(),
        }
    }

    /// Reads the topic of checkpoints from its end backwards until a checkpoint is found. The inner error is about what
    /// is stored.
    fn tail(&mut self) -> KafkaResult<Result<Tail, String>> {
        let reader = self.reader()?;
        let topic = &self.client.names().checkpoints;
        let (low, high) = tail::marks(&self.client, &reader, topic, self.partition)?;
        let starts = TAIL_RECORDS.map(|count| high.saturating_sub(count).max(low));
        for start in starts.into_iter().chain([low]) {
            let records = tail::read_from(&self.client, &reader, topic, self.partition, start)?;
            let found = self.understand(&records);
            if start == low || found.as_ref().map_or(true, |tail| tail.checkpoint.is_some()) {
                self.reader = Some(reader);
                return Ok(found);
            }
        }
        Ok(Ok(Tail { checkpoint: None, epoch: Epoch(0) }))
    }

    fn understand(&self, records: &[Stored]) -> Result<Tail, String> {
        let (checkpoint_key, claim_key) = keys(self.partition);
        let mut tail = Tail { checkpoint: None, epoch: Epoch(0) };
        for record in records {
            let Some(value) = &record.value else { continue };
            let place = || {
                format!("{}[{}] at offset {}", self.client.names().checkpoints, self.partition, record.offset)
            };
            if record.key == checkpoint_key.as_bytes() {
                let checkpoint = minutehand_record::checkpoint::decode(value)
                    .map_err(|error| format!("the checkpoint in {}: {error}", place()))?;
                tail.epoch = tail.epoch.max(checkpoint.epoch);
                tail.checkpoint = Some(checkpoint);
            } else if record.key == claim_key.as_bytes() {
                let epoch = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let epoch = epoch.ok_or_else(|| format!("the claim in {} is no number", place()))?;
                tail.epoch = tail.epoch.max(Epoch(epoch));
            }
        }
        Ok(tail)
    }

    /// Writes down that this epoch has been opened, before anything is done under it.
    fn claim(&self, session: &Session) -> KafkaResult<()> {
        let (_, key) = keys(self.partition);
        session.producer.begin_transaction()?;
        let value = session.epoch.0.to_string();
        let record = BaseRecord::to(&self.client.names().checkpoints)
            .partition(self.partition.0 as i32)
            .key(key.as_bytes())
            .payload(value.as_bytes());
        self.send(session, record)?;
        self.finish(session)
    }

    /// Refuses to own anything by a clock that differs from the broker's: what has just been claimed bears its time.
    fn check_clock(&mut self, action: &str, before_ms: i64) -> Result<(), PortError> {
        let after_ms = now_ms();
        let last = self.last_claim().map_err(|error| port_error(action, error))?;
        let Some(broker_ms) = last else { return Ok(()) };
        match skew(before_ms..=after_ms, broker_ms, self.client.config().clock_skew_ms_max) {
            Some(reason) => Err(PortError::new(ErrorClass::Fatal, action, reason)),
            None => Ok(()),
        }
    }

    /// The broker's time of the last claim.
    fn last_claim(&mut self) -> KafkaResult<Option<i64>> {
        let reader = self.reader()?;
        let topic = &self.client.names().checkpoints;
        let (low, high) = tail::marks(&self.client, &reader, topic, self.partition)?;
        let start = high.saturating_sub(TAIL_RECORDS[0]).max(low);
        let records = tail::read_from(&self.client, &reader, topic, self.partition, start)?;
        self.reader = Some(reader);
        let (_, claim_key) = keys(self.partition);
        let claims = records.iter().filter(|record| record.key == claim_key.as_bytes());
        Ok(claims.last().map(|record| record.at_ms))
    }

    /// What schedules remember, as it is stored, and the end of the log.
    fn rest(&mut self) -> KafkaResult<(Vec<Stored>, LogOffset)> {
        let reader = self.reader()?;
        let names = self.client.names();
        let (low, _) = tail::marks(&self.client, &reader, &names.schedule_state, self.partition)?;
        let records = tail::read_from(&self.client, &reader, &names.schedule_state, self.partition, low)?;
        let (_, log_end) = tail::marks(&self.client, &reader, &names.commands, self.partition)?;
        self.reader = Some(reader);
        Ok((records, log_end))
    }

    fn commit(&mut self, tick: &Tick) -> Result<(), PortError> {
        let (number, epoch) = (tick.checkpoint.tick, tick.checkpoint.epoch);
        let action = format!("commit tick {number} of partition {}", self.partition);
        let fenced = |reason: String| Err(PortError::new(ErrorClass::Fenced, action.clone(), reason));
        match &self.session {
            None => return fenced("the partition is not open here".to_owned()),
            Some(session) if session.epoch != epoch => {
                return fenced(format!("the partition is open under epoch {}, not {epoch}", session.epoch));
            }
            Some(session) if number != session.tick + 1 => {
                return fenced(format!("tick {} is the last one", session.tick));
            }
            Some(session) if session.must_renew => self.renew(&action)?,
            Some(_) => {}
        }
        self.learn_queues(tick)?;
        // A session that fails is dropped: its transaction is given up when the next one begins.
        let Some(mut session) = self.session.take() else {
            return fenced("the partition is not open here".to_owned());
        };
        let since = Instant::now();
        self.transact(&session, tick).map_err(|error| port_error(&action, error))?;
        session.tick = number;
        session.must_renew = since.elapsed() > Duration::from_millis(self.client.config().slow_commit_ms);
        self.session = Some(session);
        Ok(())
    }

    /// Goes on with a new producer epoch after a slow commit, if nobody else has begun meanwhile.
    fn renew(&mut self, action: &str) -> Result<(), PortError> {
        let Some(old) = self.session.take() else { return Ok(()) };
        let (epoch, tick) = (old.epoch, old.tick);
        drop(old);
        self.check_epoch(action, epoch)?;
        let (producer, failures) = self.begin(action)?;
        let tail = self.check_epoch(action, epoch)?;
        if tail.checkpoint.map_or(0, |checkpoint| checkpoint.tick) != tick {
            let reason = format!("tick {tick} is not the last one any more");
            return Err(PortError::new(ErrorClass::Fenced, action, reason));
        }
        self.session = Some(Session { producer, failures, epoch, tick, must_renew: false });
        Ok(())
    }

    /// Makes the topics of queues that are published to for the first time.
    fn learn_queues(&mut self, tick: &Tick) -> Result<(), PortError> {
        for queue in tick.publications.iter().map(|publication| &publication.task.queue) {
            if self.queues.contains_key(queue) {
                continue;
            }
            let name = self.client.names().executions(queue);
            let partitions = self.client.ensure(&TopicDefinition::executions(self.client.config(), &name))?;
            let KafkaConfig { partitions: own, cloudevents_queues, .. } = self.client.config();
            if !partitions.is_multiple_of(*own) && !own.is_multiple_of(partitions) {
                let reason = format!(
                    "{name} has {partitions} partitions, which is neither a divisor nor a multiple of the {own} \
                     of the command log; make the topic anew"
                );
                return Err(PortError::new(ErrorClass::Fatal, format!("publish to queue {queue}"), reason));
            }
            let is_event = cloudevents_queues.contains(queue);
            let envelope = if is_event { Envelope::CloudEvents } else { Envelope::Plain };
            self.queues.insert(queue.clone(), QueueTopic { name, partitions, envelope });
        }
        Ok(())
    }

    /// One transaction of everything in a tick.
    fn transact(&self, session: &Session, tick: &Tick) -> KafkaResult<()> {
        session.failures.take();
        session.producer.begin_transaction()?;
        self.send_publications(session, tick)?;
        let names = self.client.names();
        let own = self.partition.0 as i32;
        for command in &tick.derived {
            let payload = minutehand_record::command::encode(command);
            let record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&names.commands).partition(own).payload(payload.as_ref());
            self.send(session, record)?;
        }
        for change in &tick.schedule_states {
            let key = execution::schedule_key(&change.namespace, &change.schedule);
            let value = change.state.as_ref().map(minutehand_record::schedule_state::encode);
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&names.schedule_state).partition(own).key(key.as_bytes());
            if let Some(value) = &value {
                record = record.payload(value.as_ref());
            }
            self.send(session, record)?;
        }
        for set_aside in &tick.set_aside {
            let position = format!("partition {own}, {}", set_aside.position);
            let headers = OwnedHeaders::new_with_capacity(2)
                .insert(Header { key: "minutehand-reason", value: Some(&set_aside.reason) })
                .insert(Header { key: "minutehand-position", value: Some(&position) });
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&names.rejected)
                .partition(0)
                .payload(set_aside.bytes.as_ref())
                .headers(headers);
            self.send(session, record)?;
        }
        self.send_checkpoint(session, tick)?;
        self.finish(session)
    }

    fn send_publications(&self, session: &Session, tick: &Tick) -> KafkaResult<()> {
        let mut encoder = execution::Encoder::new(tick);
        for publication in &tick.publications {
            let Some(topic) = self.queues.get(&publication.task.queue) else { continue };
            let place = Place { partition: self.partition, partitions: self.client.config().partitions };
            let outgoing = encoder.publication(publication, topic.envelope);
            let to = place.within(topic.partitions, publication.task.key) as i32;
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&topic.name).partition(to).headers(outgoing.headers);
            if let Some(key) = outgoing.key {
                record = record.key(key);
            }
            if let Some(value) = outgoing.value {
                record = record.payload(value);
            }
            self.send(session, record)?;
        }
        for stop in &tick.stops {
            // A run may be in any worker's hands, whoever consumes its partition: all of them read this topic.
            let headers = encoder.stop(stop);
            let record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&self.client.names().stops).partition(0).headers(headers);
            self.send(session, record)?;
        }
        Ok(())
    }

    /// The checkpoint, with the counts by which a reader can tell that it has seen the whole tick.
    fn send_checkpoint(&self, session: &Session, tick: &Tick) -> KafkaResult<()> {
        let (key, _) = keys(self.partition);
        let value = minutehand_record::checkpoint::encode(&tick.checkpoint);
        let counts = BTreeMap::from([
            ("minutehand-executions", tick.publications.len()),
            ("minutehand-derived", tick.derived.len()),
            ("minutehand-rejected", tick.set_aside.len()),
        ]);
        let mut headers = OwnedHeaders::new_with_capacity(counts.len() + 1)
            .insert(Header { key: "minutehand-tick", value: Some(&execution::tick_name(tick)) });
        for (name, count) in counts {
            headers = headers.insert(Header { key: name, value: Some(&count.to_string()) });
        }
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.client.names().checkpoints)
            .partition(self.partition.0 as i32)
            .key(key.as_bytes())
            .payload(value.as_ref())
            .headers(headers);
        self.send(session, record)
    }

    /// Hands a record to the producer, waiting while its queue is full.
    fn send(&self, session: &Session, mut record: BaseRecord<'_, [u8], [u8]>) -> KafkaResult<()> {
        let deadline = Instant::now() + self.transaction_timeout();
        loop {
            match session.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    session.producer.poll(POLL);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until everything is delivered, and commits. The library's own flush would wait a tenth of a second.
    fn finish(&self, session: &Session) -> KafkaResult<()> {
        let deadline = Instant::now() + self.transaction_timeout();
        while session.producer.in_flight_count() > 0 {
            session.producer.poll(POLL);
            if let Some(error) = session.failures.take() {
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
        }
        session.producer.poll(Duration::ZERO);
        if let Some(error) = session.failures.take() {
            return Err(error);
        }
        session.producer.commit_transaction(self.transaction_timeout())
    }

    fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.client.config().transaction_timeout_ms))
    }
}

/// What is wrong with this machine's clock, when the broker gave a time to something that happened between two of ours.
fn skew(ours_ms: RangeInclusive<i64>, broker_ms: i64, limit_ms: i64) -> Option<String> {
    let (ms, way, so) = match (ours_ms.start() - broker_ms, broker_ms - ours_ms.end()) {
        (ahead_ms, _) if ahead_ms > limit_ms => (ahead_ms, "ahead of", "early"),
        (_, behind_ms) if behind_ms > limit_ms => (behind_ms, "behind", "late"),
        _ => return None,
    };
    Some(format!(
        "this machine's clock is {ms} ms {way} the broker's, and at most {limit_ms} ms are allowed; tasks would run {so}: \
         set the clock right and start again"
    ))
}

/// The machine's clock, in milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The keys of a partition's checkpoint, and of the claim that an epoch has been opened.
fn keys(partition: PartitionId) -> (String, String) {
    (partition.0.to_string(), format!("{}/epoch", partition.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_an_hour_off_is_told_apart_from_a_slow_answer() {
        const HOUR_MS: i64 = 3_600_000;
        assert_eq!(skew(1_000..=9_000, 3_000, 5_000), None, "the answer took eight seconds");
        assert_eq!(skew(9_000..=9_001, 5_000, 5_000), None);
        let ahead = skew(HOUR_MS..=HOUR_MS + 5, 3, 5_000).unwrap();
        assert!(ahead.contains("3599997 ms ahead of") && ahead.contains("early"), "{ahead}");
        let behind = skew(0..=5, HOUR_MS, 5_000).unwrap();
        assert!(behind.contains("3599995 ms behind") && behind.contains("late"), "{behind}");
    }
}
