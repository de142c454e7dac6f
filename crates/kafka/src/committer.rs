//! The thread that commits a partition's ticks: it holds the transactional producer, and every call here blocks.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use minutehand_ingress::egress::Envelope;
use minutehand_model::{Checkpoint, Epoch, LogOffset, PartitionId, QueueName, Tick, Timestamp};
use minutehand_ports::{Committed, ErrorClass, Opened, PortError};
use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::config::KafkaConfig;
use crate::deliveries::Deliveries;
use crate::error::port_error;
use crate::execution::{self, Place};
use crate::listener::Consumer;
use crate::moment;
use crate::tail::{self, Stored};
use crate::topics::TopicDefinition;

/// What the thread is asked to do.
pub(crate) enum Job {
    Open { epoch: Epoch, answer: oneshot::Sender<Result<Opened, PortError>> },
    Commit { tick: Box<Tick>, answer: oneshot::Sender<Result<Committed, PortError>> },
}

/// What a partition that has been opened goes on with.
struct Session {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
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

/// What a partition of the topic of checkpoints says last.
#[derive(Debug)]
struct Tail {
    checkpoint: Option<Checkpoint>,
    /// The highest epoch that is known to have been opened.
    epoch: Epoch,
    /// Behind the last record that was read.
    end: u64,
}

/// Records looked at first at the end of the topic of checkpoints, and then, before all of it.
const TAIL_RECORDS: [u64; 2] = [64, 8_192];

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
        let (producer, deliveries, tail) = self.enter(&action, epoch)?;
        let tick = tail.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.tick);
        let session = Session { producer, deliveries, epoch, tick, must_renew: false };
        let before_ms = now_ms();
        self.claim(&session).map_err(|error| port_error(&action, error))?;
        let claimed_at = self.check_clock(&action, epoch, before_ms, tail.end)?;
        let (records, log_end) = self.rest().map_err(|error| port_error(&action, error))?;
        let schedule_states = execution::schedule_states(&records).map_err(|reason| {
            let topic = &self.client.names().schedule_state;
            let action = format!("read what schedules remember in {topic}[{}]", self.partition);
            PortError::new(ErrorClass::Fatal, action, reason)
        })?;
        self.session = Some(session);
        Ok(Opened { checkpoint: tail.checkpoint, schedule_states, log_end, taken_at: Some(claimed_at) })
    }

    /// Fences everybody before, unless a higher epoch has been opened; answers what is final from then on.
    fn enter(
        &mut self,
        action: &str,
        epoch: Epoch,
    ) -> Result<(BaseProducer<Deliveries>, Deliveries, Tail), PortError> {
        // First a look: a late loser must not fence the winner.
        let look = self.tail().map_err(|error| port_error(action, error))?;
        let look = refuse_higher(look, action, epoch)?;
        let (producer, deliveries) = self.begin(action)?;
        // Who has just been fenced may have committed since then; what was read is not read again.
        let tail = self.read_on(look).map_err(|error| port_error(action, error))?;
        Ok((producer, deliveries, refuse_higher(tail, action, epoch)?))
    }

    /// A new producer under the partition's transactional id: earlier ones are fenced, their open transactions given up.
    fn begin(&self, action: &str) -> Result<(BaseProducer<Deliveries>, Deliveries), PortError> {
        let config = self.client.config();
        let id = self.client.names().transactional_id(&config.region, self.partition);
        let deliveries = Deliveries::of(self.client.names());
        let begin = || -> KafkaResult<BaseProducer<Deliveries>> {
            let producer: BaseProducer<Deliveries> =
                config.ticks(&id).create_with_context(deliveries.clone())?;
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
        Ok((producer, deliveries))
    }

    fn reader(&mut self) -> KafkaResult<Consumer> {
        match self.reader.take() {
            Some(reader) => Ok(reader),
            None => self.client.passing_consumer(),
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
            let nothing = Tail { checkpoint: None, epoch: Epoch(0), end: start };
            let found = self.understand(nothing, &records);
            if start == low || found.as_ref().map_or(true, |tail| tail.checkpoint.is_some()) {
                self.reader = Some(reader);
                return Ok(found);
            }
        }
        Ok(Ok(Tail { checkpoint: None, epoch: Epoch(0), end: low }))
    }

    /// Takes in what has come since.
    fn read_on(&mut self, known: Tail) -> KafkaResult<Result<Tail, String>> {
        let reader = self.reader()?;
        let topic = &self.client.names().checkpoints;
        let records = tail::read_from(&self.client, &reader, topic, self.partition, known.end)?;
        self.reader = Some(reader);
        Ok(self.understand(known, &records))
    }

    fn understand(&self, known: Tail, records: &[Stored]) -> Result<Tail, String> {
        let (checkpoint_key, claim_key) = keys(self.partition);
        let mut tail = known;
        for record in records {
            tail.end = record.offset + 1;
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
            .partition(self.partition.number() as i32)
            .key(key.as_bytes())
            .payload(value.as_bytes());
        self.send(session, record)?;
        self.deliver(session)?;
        session.producer.commit_transaction(self.transaction_timeout())
    }

    /// Refuses to own anything by a clock that differs from the broker's: what has just been claimed bears its time, which is
    /// the answer.
    fn check_clock(
        &mut self,
        action: &str,
        epoch: Epoch,
        before_ms: i64,
        from: u64,
    ) -> Result<Timestamp, PortError> {
        let after_ms = now_ms();
        let broker_ms = self.claimed_at(epoch, from).map_err(|error| port_error(action, error))?;
        match skew(before_ms..=after_ms, broker_ms, self.client.config().clock_skew_ms_max) {
            Some(reason) => Err(PortError::new(ErrorClass::Fatal, action, reason)),
            None => Ok(Timestamp::from_millis(broker_ms)),
        }
    }

    /// The broker's time of this epoch's claim, which lies behind an offset. The broker acknowledges a commit before readers
    /// may see it.
    fn claimed_at(&mut self, epoch: Epoch, from: u64) -> KafkaResult<i64> {
        let (_, claim_key) = keys(self.partition);
        let value = epoch.0.to_string();
        let deadline = self.client.deadline();
        let reader = self.reader()?;
        let topic = &self.client.names().checkpoints;
        let claimed_at = loop {
            if Instant::now() > deadline {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
            }
            let mut found = None;
            tail::scan(&self.client, &reader, topic, &[(self.partition, from)], |message| {
                let is_ours = message.key() == Some(claim_key.as_bytes())
                    && message.payload() == Some(value.as_bytes());
                if is_ours {
                    found = message.timestamp().to_millis();
                }
                found.is_none()
            })?;
            if let Some(at_ms) = found {
                break at_ms;
            }
        };
        self.reader = Some(reader);
        Ok(claimed_at)
    }

    /// What schedules remember, as it is stored, and the end of the log.
    fn rest(&mut self) -> KafkaResult<(Vec<Stored>, LogOffset)> {
        let reader = self.reader()?;
        let names = self.client.names();
        let (low, _) = tail::marks(&self.client, &reader, &names.schedule_state, self.partition)?;
        let records = tail::read_from(&self.client, &reader, &names.schedule_state, self.partition, low)?;
        let (_, log_end) = tail::marks(&self.client, &reader, &names.commands, self.partition)?;
        self.reader = Some(reader);
        Ok((records, self.client.config().command_offset(log_end)))
    }

    fn commit(&mut self, tick: &Tick) -> Result<Committed, PortError> {
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
        self.transact(&session, tick, &action)?;
        session.tick = number;
        session.must_renew = since.elapsed() > Duration::from_millis(self.client.config().slow_commit_ms);
        let places = *session.deliveries.places();
        if places.commands_end.is_none() && !tick.derived.is_empty() {
            // Its owner would hold for ever what it has decided; so it begins anew.
            let reason = "the client did not say where the log took what the tick decided";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        }
        self.session = Some(session);
        let derived_end = places.commands_end.filter(|_| !tick.derived.is_empty());
        let derived_end = derived_end.map(|end| self.client.config().command_offset(end));
        Ok(Committed { taken_at: places.taken_at, ..Committed::whole(derived_end) })
    }

    /// Goes on with a new producer epoch after a slow commit, if nobody else has begun meanwhile.
    fn renew(&mut self, action: &str) -> Result<(), PortError> {
        let Some(old) = self.session.take() else { return Ok(()) };
        let (epoch, tick) = (old.epoch, old.tick);
        drop(old);
        let (producer, deliveries, tail) = self.enter(action, epoch)?;
        if tail.checkpoint.map_or(0, |checkpoint| checkpoint.tick) != tick {
            let reason = format!("tick {tick} is not the last one any more");
            return Err(PortError::new(ErrorClass::Fenced, action, reason));
        }
        self.session = Some(Session { producer, deliveries, epoch, tick, must_renew: false });
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

    /// One transaction of everything in a tick. By a clock that differs too much from the broker's nothing is committed: the
    /// checkpoint bears the broker's time by then, and nobody has seen anything yet.
    fn transact(&self, session: &Session, tick: &Tick, action: &str) -> Result<(), PortError> {
        let failed = |error| port_error(action, error);
        let before_ms = now_ms().max(tick.published_at.as_millis());
        session.deliveries.clear();
        self.send_tick(session, tick).map_err(failed)?;
        self.deliver(session).map_err(failed)?;
        let taken_at = session.deliveries.places().taken_at;
        let limit_ms = self.client.config().clock_skew_ms_max;
        if let Some(taken_at) = taken_at
            && let Some(reason) = skew(before_ms..=now_ms(), taken_at.as_millis(), limit_ms)
        {
            // Else its end is awaited by whoever reads what lies behind it.
            session.producer.abort_transaction(self.transaction_timeout()).map_err(failed)?;
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        session.producer.commit_transaction(self.transaction_timeout()).map_err(failed)
    }

    fn send_tick(&self, session: &Session, tick: &Tick) -> KafkaResult<()> {
        session.producer.begin_transaction()?;
        self.send_publications(session, tick)?;
        let names = self.client.names();
        let own = self.partition.number() as i32;
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
            let position = format!("partition {}, {}", self.partition, set_aside.position);
            let headers = OwnedHeaders::new_with_capacity(2)
                .insert(Header { key: "minutehand-reason", value: Some(&set_aside.reason) })
                .insert(Header { key: "minutehand-position", value: Some(&position) });
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&names.rejected)
                .partition(0)
                .payload(set_aside.bytes.as_ref())
                .headers(headers);
            self.send(session, record)?;
        }
        self.send_checkpoint(session, tick)
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
            .partition(self.partition.number() as i32)
            .key(key.as_bytes())
            .payload(value.as_ref())
            .headers(headers);
        self.send(session, record)
    }

    /// Hands a record to the producer, waiting while its queue is full.
    fn send(&self, session: &Session, record: BaseRecord<'_, [u8], [u8]>) -> KafkaResult<()> {
        moment::send(&session.producer, record, Some(Instant::now() + self.transaction_timeout()))
    }

    /// Waits until everything is delivered. The library's own flush would wait a tenth of a second.
    fn deliver(&self, session: &Session) -> KafkaResult<()> {
        let deadline = Instant::now() + self.transaction_timeout();
        while session.producer.in_flight_count() > 0 {
            moment::pass(&session.producer);
            if let Some(error) = session.deliveries.failures.take() {
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
        }
        session.producer.poll(Duration::ZERO);
        session.deliveries.failures.take().map_or(Ok(()), Err)
    }

    fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.client.config().transaction_timeout_ms))
    }
}

/// The inner error is about what is stored; `Fenced` when a higher epoch has been opened.
fn refuse_higher(tail: Result<Tail, String>, action: &str, epoch: Epoch) -> Result<Tail, PortError> {
    let tail = tail.map_err(|reason| PortError::new(ErrorClass::Fatal, action, reason))?;
    if tail.epoch > epoch {
        let reason = format!("epoch {} has been opened", tail.epoch);
        return Err(PortError::new(ErrorClass::Fenced, action, reason));
    }
    Ok(tail)
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
    (partition.to_string(), format!("{partition}/epoch"))
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
