//! The thread that commits a partition's ticks: it holds the transactional producer, and every call
//! here blocks.

mod outgoing;
mod queues;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use minutehand_metrics::SinkMetrics;
use minutehand_model::{
    Checkpoint, Epoch, LogGeneration, LogOffset, PartitionId, QueueName, Tick, Timestamp,
};
use minutehand_ports::{Committed, ErrorClass, Opened, PortError};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::oneshot;

use self::outgoing::{Fates, Outgoing, keys};
use self::queues::Queues;
use crate::client::Client;
use crate::clock::{now_ms, skew};
use crate::deliveries::Deliveries;
use crate::error::{TopicTrouble, code_of, port_error, softened};
use crate::execution;
use crate::follow_ups::FollowUps;
use crate::headers::COPIED;
use crate::listener::Consumer;
use crate::moment;
use crate::queue_topics::{QueueTopics, Standing};
use crate::tail::{self, Stored};

/// What the thread is asked to do.
pub(crate) enum Job {
    Open {
        epoch: Epoch,
        answer: oneshot::Sender<Result<Opened, PortError>>,
    },
    Peek {
        answer: oneshot::Sender<Result<Option<Checkpoint>, PortError>>,
    },
    Commit {
        tick: Box<Tick>,
        answer: oneshot::Sender<Result<Committed, PortError>>,
    },
}

/// What a partition that has been opened goes on with.
struct Session {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    epoch: Epoch,
    /// The number of the last tick that was committed.
    tick: u64,
    /// The last commit was slow: what the library may have sent twice must not reach the next
    /// transaction.
    must_renew: bool,
}

pub(crate) struct Committer {
    client: Arc<Client>,
    partition: PartitionId,
    session: Option<Session>,
    /// The epoch of a session that was lost between two ticks: its owner may begin anew.
    lost: Option<Epoch>,
    peeked: Option<Peeked>,
    reader: Option<Consumer>,
    queues: Queues,
    follow_ups: FollowUps,
    metrics: SinkMetrics,
}

/// What a partition of the topic of checkpoints says last.
#[derive(Debug)]
struct Tail {
    checkpoint: Option<Checkpoint>,
    /// The highest epoch that is known to have been opened.
    epoch: Epoch,
    /// Behind the last record that was read.
    end: u64,
    /// How far follow-ups have been copied.
    follow_ups: u64,
}

impl Tail {
    /// A tail in which nothing lies below an offset.
    const fn without_records(end: u64) -> Tail {
        Tail {
            checkpoint: None,
            epoch: Epoch(0),
            end,
            follow_ups: 0,
        }
    }
}

/// What was looked at, and made ready, before the partition is opened.
struct Peeked {
    tail: Tail,
    producer: (BaseProducer<Deliveries>, Deliveries),
    at: Instant,
}

/// What is kept ready is given up when the partition is not opened for so long.
const PEEKED_KEPT: Duration = Duration::from_secs(60);

/// How often follow-ups are looked for while there are no ticks.
const FOLLOW_UPS_LOOKED_FOR: Duration = Duration::from_millis(25);

/// Records looked at first at the end of the topic of checkpoints, and then, before all of it.
const TAIL_RECORDS: [u64; 2] = [64, 8_192];

impl Committer {
    /// Starts a partition's thread. It ends when the sender is dropped.
    pub(crate) fn start(
        client: Arc<Client>,
        topics: Arc<QueueTopics>,
        partition: PartitionId,
    ) -> Sender<Job> {
        let (sender, jobs) = channel();
        let committer = Committer {
            metrics: SinkMetrics::new(partition.number()),
            queues: Queues::new(topics, client.config().topic_wait_ms),
            follow_ups: FollowUps::new(Arc::clone(&client), partition),
            client,
            partition,
            session: None,
            lost: None,
            peeked: None,
            reader: None,
        };
        let name = format!("ticks-{partition}");
        let started = std::thread::Builder::new()
            .name(name)
            .spawn(move || committer.run(&jobs));
        if let Err(error) = started {
            // The receiver went with the closure: whoever sends a job hears that the thread has
            // ended.
            tracing::error!(%partition, %error, "could not start the thread that commits ticks");
        }
        sender
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            // Whoever asked may have gone away.
            match jobs.recv_timeout(FOLLOW_UPS_LOOKED_FOR) {
                Ok(Job::Open { epoch, answer }) => {
                    drop(answer.send(self.guarded(|this| this.open(epoch))))
                }
                Ok(Job::Peek { answer }) => drop(answer.send(self.guarded(Committer::peek))),
                Ok(Job::Commit { tick, answer }) => {
                    drop(answer.send(self.guarded(|this| this.commit(&tick))))
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.peeked
                        .take_if(|peeked| peeked.at.elapsed() > PEEKED_KEPT);
                    drop(self.guarded(|this| this.copy_follow_ups()));
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// A panic is one partition's trouble: it stops, and is tried again now and then.
    fn guarded<T>(
        &mut self,
        job: impl FnOnce(&mut Committer) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        catch_unwind(AssertUnwindSafe(|| job(self))).unwrap_or_else(|panic| {
            self.session = None;
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("without words");
            let action = format!("work on the ticks of partition {}", self.partition);
            Err(PortError::new(
                ErrorClass::Fatal,
                action,
                format!("the thread panicked: {words}"),
            ))
        })
    }

    /// Reads where the partition stands, and keeps ready what opening it will need.
    fn peek(&mut self) -> Result<Option<Checkpoint>, PortError> {
        let action = format!("look at the checkpoint of partition {}", self.partition);
        let tail = self.tail().map_err(|error| port_error(&action, error))?;
        let damaged = |reason| PortError::new(ErrorClass::Fatal, action.clone(), reason);
        let tail = tail.map_err(damaged)?;
        let checkpoint = tail.checkpoint.clone();
        let producer = match self.peeked.take() {
            Some(Peeked { producer, .. }) => producer,
            None => self
                .producer()
                .map_err(|error| port_error(&action, error))?,
        };
        self.peeked = Some(Peeked {
            tail,
            producer,
            at: Instant::now(),
        });
        Ok(checkpoint)
    }

    fn open(&mut self, epoch: Epoch) -> Result<Opened, PortError> {
        let action = format!("open partition {} under epoch {epoch}", self.partition);
        (self.session, self.lost) = (None, None);
        let (producer, deliveries, tail) = self.enter(&action, epoch)?;
        if let Some(reason) = wrong_log(
            tail.checkpoint.as_ref(),
            self.client.config().log_generation,
        ) {
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        let tick = tail
            .checkpoint
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.tick);
        let session = Session {
            producer,
            deliveries,
            epoch,
            tick,
            must_renew: false,
        };
        let before_ms = now_ms();
        self.claim(&session, tail.follow_ups, |_| Ok(()))
            .map_err(|error| port_error(&action, error))?;
        let claimed_at = self.check_clock(&session, &action, before_ms)?;
        let (records, log_end) = self.rest().map_err(|error| port_error(&action, error))?;
        let schedule_states = execution::schedule_states(&records).map_err(|reason| {
            let topic = &self.client.names().schedule_state;
            let action = format!(
                "read what schedules remember in {topic}[{}]",
                self.partition
            );
            PortError::new(ErrorClass::Fatal, action, reason)
        })?;
        self.follow_ups.begin(tail.follow_ups);
        self.session = Some(session);
        Ok(Opened {
            checkpoint: tail.checkpoint,
            schedule_states,
            log_end,
            taken_at: Some(claimed_at),
        })
    }

    /// Fences everybody before, unless a higher epoch has been opened; answers what is final from
    /// then on.
    fn enter(
        &mut self,
        action: &str,
        epoch: Epoch,
    ) -> Result<(BaseProducer<Deliveries>, Deliveries, Tail), PortError> {
        // First a look: a late loser must not fence the winner.
        let (look, producer) = match self.peeked.take() {
            Some(Peeked { tail, producer, .. }) => (self.read_on(tail), Some(producer)),
            None => (self.tail(), None),
        };
        let look = look.map_err(|error| port_error(action, error))?;
        let look = refuse_higher(look, action, epoch)?;
        let (producer, deliveries) = self.begin(action, producer)?;
        // Who has just been fenced may have committed since then; what was read is not read again.
        let tail = self
            .read_on(look)
            .map_err(|error| port_error(action, error))?;
        Ok((producer, deliveries, refuse_higher(tail, action, epoch)?))
    }

    /// A producer under the partition's transactional id that has fenced nobody yet.
    fn producer(&self) -> KafkaResult<(BaseProducer<Deliveries>, Deliveries)> {
        let config = self.client.config();
        let id = self
            .client
            .names()
            .transactional_id(&config.region, self.partition);
        let deliveries = Deliveries::of(self.client.names());
        let producer = config.ticks(&id).create_with_context(deliveries.clone())?;
        Ok((producer, deliveries))
    }

    /// A producer under the partition's transactional id, one that was kept ready or a new one:
    /// earlier ones are fenced, their open transactions given up.
    fn begin(
        &self,
        action: &str,
        ready: Option<(BaseProducer<Deliveries>, Deliveries)>,
    ) -> Result<(BaseProducer<Deliveries>, Deliveries), PortError> {
        let begin = || {
            let (producer, deliveries) = match ready {
                Some(ready) => ready,
                None => self.producer()?,
            };
            producer.init_transactions(self.client.timeout() * 2)?;
            Ok((producer, deliveries))
        };
        begin().map_err(|error| {
            // Before the first transaction nobody is fenced yet: another producer began at the same
            // moment.
            softened(port_error(action, error))
        })
    }

    fn reader(&mut self) -> KafkaResult<Consumer> {
        match self.reader.take() {
            Some(reader) => Ok(reader),
            None => self.client.passing_consumer(),
        }
    }

    /// Reads the topic of checkpoints from its end backwards until a checkpoint is found. The inner
    /// error is about what is stored.
    fn tail(&mut self) -> KafkaResult<Result<Tail, String>> {
        let reader = self.reader()?;
        let topic = &self.client.names().checkpoints;
        let (low, high) = tail::marks(&self.client, &reader, topic, self.partition)?;
        let starts = TAIL_RECORDS.map(|count| high.saturating_sub(count).max(low));
        for start in starts.into_iter().chain([low]) {
            let records = tail::read_from(&self.client, &reader, topic, self.partition, start)?;
            let found = self.understand(Tail::without_records(start), &records);
            if start == low
                || found
                    .as_ref()
                    .map_or(true, |tail| tail.checkpoint.is_some())
            {
                self.reader = Some(reader);
                return Ok(found);
            }
        }
        Ok(Ok(Tail::without_records(low)))
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
            tail.follow_ups = tail.follow_ups.max(record.follow_ups.unwrap_or(0));
            let Some(value) = &record.value else { continue };
            let place = || self.place_of(record);
            if record.key == checkpoint_key.as_bytes() {
                let checkpoint = minutehand_record::checkpoint::decode(value)
                    .map_err(|error| format!("the checkpoint in {}: {error}", place()))?;
                tail.epoch = tail.epoch.max(checkpoint.epoch);
                tail.checkpoint = Some(checkpoint);
            } else if record.key == claim_key.as_bytes() {
                let epoch = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let epoch =
                    epoch.ok_or_else(|| format!("the claim in {} is not a number", place()))?;
                tail.epoch = tail.epoch.max(Epoch(epoch));
            }
        }
        Ok(tail)
    }

    /// Where a record stands, for an operator.
    fn place_of(&self, record: &Stored) -> String {
        let topic = &self.client.names().checkpoints;
        format!("{topic}[{}] at offset {}", self.partition, record.offset)
    }

    /// Writes down that this epoch has been opened, before anything is done under it, and how far
    /// follow-ups have been copied; together with what else is sent.
    fn claim(
        &self,
        session: &Session,
        copied: u64,
        send: impl FnOnce(&Session) -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let (_, key) = keys(self.partition);
        session.producer.begin_transaction()?;
        send(session)?;
        let value = session.epoch.0.to_string();
        let header = OwnedHeaders::new_with_capacity(1).insert(Header {
            key: COPIED,
            value: Some(&copied.to_string()),
        });
        let record = BaseRecord::to(&self.client.names().checkpoints)
            .partition(self.partition.number() as i32)
            .key(key.as_bytes())
            .payload(value.as_bytes())
            .headers(header);
        self.send(session, record)?;
        self.deliver(session)?;
        session
            .producer
            .commit_transaction(self.transaction_timeout())
    }

    /// Refuses to own anything by a clock that differs from the broker's: what has just been
    /// claimed bears its time, which is the answer.
    fn check_clock(
        &self,
        session: &Session,
        action: &str,
        before_ms: i64,
    ) -> Result<Timestamp, PortError> {
        let Some(taken_at) = session.deliveries.places().taken_at else {
            let reason = "the client did not say when the broker took the claim";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        };
        match skew(
            before_ms..=now_ms(),
            taken_at.as_millis(),
            self.client.config().clock_skew_ms_max,
        ) {
            Some(reason) => Err(PortError::new(ErrorClass::Fatal, action, reason)),
            None => Ok(taken_at),
        }
    }

    /// What schedules remember, as it is stored, and the end of the log.
    fn rest(&mut self) -> KafkaResult<(Vec<Stored>, LogOffset)> {
        let reader = self.reader()?;
        let names = self.client.names();
        let (low, _) = tail::marks(&self.client, &reader, &names.schedule_state, self.partition)?;
        let records = tail::read_from(
            &self.client,
            &reader,
            &names.schedule_state,
            self.partition,
            low,
        )?;
        let (_, log_end) = tail::marks(&self.client, &reader, &names.commands, self.partition)?;
        self.reader = Some(reader);
        Ok((records, self.client.config().command_offset(log_end)))
    }

    fn commit(&mut self, tick: &Tick) -> Result<Committed, PortError> {
        let (number, epoch) = (tick.checkpoint.tick, tick.checkpoint.epoch);
        let action = format!("commit tick {number} of partition {}", self.partition);
        let fenced =
            |reason: String| Err(PortError::new(ErrorClass::Fenced, action.clone(), reason));
        match &self.session {
            None if self.lost == Some(epoch) => {
                return Err(PortError::new(
                    ErrorClass::Retry,
                    action,
                    "the last producer is of no more use",
                ));
            }
            None => return fenced("the partition is not open here".to_owned()),
            Some(session) if session.epoch != epoch => {
                return fenced(format!(
                    "the partition is open under epoch {}, not {epoch}",
                    session.epoch
                ));
            }
            Some(session) if number != session.tick + 1 => {
                return fenced(format!("tick {} is the last one", session.tick));
            }
            Some(session) if session.must_renew => self.renew(&action)?,
            Some(_) => {}
        }
        let standings = self.queues.of(tick);
        self.follow_ups.fetch();
        // A session that fails is dropped: its transaction is given up when the next one begins.
        let Some(mut session) = self.session.take() else {
            return fenced("the partition is not open here".to_owned());
        };
        let since = Instant::now();
        let fates = self.transact(&session, tick, standings, &action)?;
        self.queues
            .tell(self.partition, fates.refused, fates.first_reason.as_deref());
        self.follow_ups.copied();
        session.tick = number;
        session.must_renew = since.elapsed() > self.slow_commit();
        let places = *session.deliveries.places();
        assert_eq!(
            self.follow_ups.waiting().len(),
            0,
            "what went with the tick is copied once"
        );
        if places.commands_end.is_none() && !tick.derived.is_empty() {
            // Its owner would hold for ever what it has decided; so it begins anew.
            let reason = "the client did not say where the log took what the tick decided";
            return Err(PortError::new(ErrorClass::Retry, action, reason));
        }
        self.session = Some(session);
        let derived_end = places.commands_end.filter(|_| !tick.derived.is_empty());
        let derived_end = derived_end.map(|end| self.client.config().command_offset(end));
        let Fates {
            refused, postponed, ..
        } = fates;
        self.metrics.not_published(refused as u64, postponed as u64);
        Ok(Committed {
            derived_end,
            taken_at: places.taken_at,
            refused,
            postponed,
        })
    }

    /// Goes on with a new producer epoch after a slow commit, if nobody else has begun meanwhile.
    fn renew(&mut self, action: &str) -> Result<(), PortError> {
        let Some(old) = self.session.take() else {
            return Ok(());
        };
        let (epoch, tick) = (old.epoch, old.tick);
        debug_assert!(old.must_renew, "a producer that is sound is kept");
        drop(old);
        let (producer, deliveries, tail) = self.enter(action, epoch)?;
        if tail.checkpoint.map_or(0, |checkpoint| checkpoint.tick) != tick {
            let reason = format!("tick {tick} is not the last one any more");
            return Err(PortError::new(ErrorClass::Fenced, action, reason));
        }
        self.follow_ups.begin(tail.follow_ups);
        self.session = Some(Session {
            producer,
            deliveries,
            epoch,
            tick,
            must_renew: false,
        });
        Ok(())
    }

    /// Copies what follows from settlements, when there is no tick to do it with. After a failure
    /// the next producer learns how it ended, before anything else.
    fn copy_follow_ups(&mut self) -> Result<(), PortError> {
        if self.session.is_none() || self.follow_ups.fetch() == 0 {
            return Ok(());
        }
        if let Some(Session {
            must_renew: true,
            epoch,
            ..
        }) = self.session
        {
            // Without a session the owner's next tick begins anew.
            let renewed = self.renew(&format!("copy follow-ups of partition {}", self.partition));
            self.lost = renewed.is_err().then_some(epoch);
            return renewed;
        }
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        session.deliveries.clear();
        let since = Instant::now();
        let copied = self.follow_ups.next();
        let done = self.claim(&session, copied, |session| {
            outgoing::follow_ups(
                &self.client,
                self.partition,
                self.follow_ups.waiting(),
                &mut |record| self.send(session, record),
            )
        });
        session.must_renew = done.is_err() || since.elapsed() > self.slow_commit();
        match done {
            Ok(()) => self.follow_ups.copied(),
            Err(error) => {
                tracing::debug!(partition = %self.partition, %error, "follow-ups are copied again");
                self.follow_ups.rest();
            }
        }
        self.session = Some(session);
        Ok(())
    }

    fn slow_commit(&self) -> Duration {
        Duration::from_millis(self.client.config().slow_commit_ms)
    }

    /// One transaction of everything in a tick. By a clock that differs too much from the broker's
    /// nothing is committed: the checkpoint bears the broker's time by then, and nobody has seen
    /// anything yet.
    fn transact(
        &self,
        session: &Session,
        tick: &Tick,
        standings: HashMap<QueueName, Standing>,
        action: &str,
    ) -> Result<Fates, PortError> {
        let failed = |error| port_error(action, error);
        let before_ms = now_ms().max(tick.published_at.as_millis());
        session.deliveries.clear();
        session.producer.begin_transaction().map_err(failed)?;
        let outgoing = Outgoing {
            client: &self.client,
            tick,
            topics: self.queues.topics(),
            standings,
            follow_ups: &self.follow_ups,
        };
        let sent = outgoing.send(|record| {
            let topic = record.topic;
            self.send(session, record)
                .map_err(|error| (error, topic.to_owned()))
        });
        let sent = sent.and_then(|fates| self.delivered(session).map(|()| fates));
        let fates = sent.map_err(|failure| self.judged(failure, action))?;
        let taken_at = session.deliveries.places().taken_at;
        let limit_ms = self.client.config().clock_skew_ms_max;
        if let Some(taken_at) = taken_at
            && let Some(reason) = skew(before_ms..=now_ms(), taken_at.as_millis(), limit_ms)
        {
            // Else its end is awaited by whoever reads what lies behind it.
            session
                .producer
                .abort_transaction(self.transaction_timeout())
                .map_err(failed)?;
            return Err(PortError::new(ErrorClass::Fatal, action, reason));
        }
        session
            .producer
            .commit_transaction(self.transaction_timeout())
            .map_err(failed)?;
        Ok(fates)
    }

    /// Hands a record to the producer, waiting while its queue is full.
    fn send(&self, session: &Session, record: BaseRecord<'_, [u8], [u8]>) -> KafkaResult<()> {
        moment::send(
            &session.producer,
            record,
            Some(Instant::now() + self.transaction_timeout()),
        )
    }

    /// What a record that was not taken means for its tick. Where the reason lies in a queue's
    /// topic the tick is built again, and what cannot be published there is refused then; all else
    /// is as it is for any record.
    fn judged(&self, (error, topic): (KafkaError, String), action: &str) -> PortError {
        self.queues.topics().doubt();
        let trouble = code_of(&error).and_then(TopicTrouble::of);
        let told = port_error(action, error);
        if let Some(trouble) = trouble
            && self.queues.topics().failed(&topic, &told.reason, trouble)
        {
            return PortError {
                class: ErrorClass::Retry,
                reason: format!("{topic}: {}", told.reason),
                ..told
            };
        }
        told
    }

    fn deliver(&self, session: &Session) -> KafkaResult<()> {
        self.delivered(session).map_err(|(error, _)| error)
    }

    /// Waits until everything is delivered; else tells what was not, and to which topic. The
    /// library's own flush would wait a tenth of a second.
    fn delivered(&self, session: &Session) -> Result<(), (KafkaError, String)> {
        let deadline = Instant::now() + self.transaction_timeout();
        while session.producer.in_flight_count() > 0 {
            moment::pass(&session.producer);
            if let Some(failure) = session.deliveries.failures.take_with_topic() {
                return Err(failure);
            }
            if Instant::now() > deadline {
                return Err((
                    KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut),
                    String::new(),
                ));
            }
        }
        session.producer.poll(Duration::ZERO);
        session
            .deliveries
            .failures
            .take_with_topic()
            .map_or(Ok(()), Err)
    }

    fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.client.config().transaction_timeout_ms))
    }
}

/// The inner error is about what is stored; `Fenced` when a higher epoch has been opened.
fn refuse_higher(
    tail: Result<Tail, String>,
    action: &str,
    epoch: Epoch,
) -> Result<Tail, PortError> {
    let tail = tail.map_err(|reason| PortError::new(ErrorClass::Fatal, action, reason))?;
    if tail.epoch > epoch {
        let reason = format!("epoch {} has been opened", tail.epoch);
        return Err(PortError::new(ErrorClass::Fenced, action, reason));
    }
    Ok(tail)
}

/// Why a partition cannot go on from a checkpoint in a log of this generation. Only one that has
/// applied nothing yet may begin with a later log: anything else would take what it has applied for
/// new, or what is new for applied.
fn wrong_log(checkpoint: Option<&Checkpoint>, generation: LogGeneration) -> Option<String> {
    let applied = checkpoint?.applied;
    let stored = applied.generation();
    let fits = stored == generation || applied == LogOffset::START;
    (!fits).then(|| {
        format!(
            "kafka.log_generation is {generation}, and the checkpoint of the partition is of the log of generation {stored}: set \
             kafka.log_generation to {stored} for every role"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_another_log_is_refused_with_both() {
        let of = |generation: u16, position| Checkpoint {
            applied: LogOffset::of_log(LogGeneration::new(generation).unwrap(), position).unwrap(),
            ..Checkpoint::START
        };
        let log = |generation| LogGeneration::new(generation).unwrap();
        assert_eq!(wrong_log(None, log(3)), None);
        assert_eq!(
            wrong_log(Some(&of(0, 0)), log(3)),
            None,
            "nothing has been applied"
        );
        assert_eq!(wrong_log(Some(&of(2, 9)), log(2)), None);
        for (stored, set) in [(2, 1), (2, 0), (0, 1)] {
            let reason = wrong_log(Some(&of(stored, 9)), log(set)).unwrap();
            assert!(
                reason.starts_with(&format!("kafka.log_generation is {set}, ")),
                "{reason}"
            );
            assert!(
                reason.contains(&format!("set kafka.log_generation to {stored}")),
                "{reason}"
            );
        }
    }
}
