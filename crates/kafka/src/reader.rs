//! The reader of one partition of the command log: a thread that fetches ahead of the owner.
//!
//! What an owner asks for next is usually here already. A read at the end of what is here is answered only after the
//! cluster itself has said where the partition ends, so that "there is no more" can be relied on. Offsets without a
//! record (the ends of transactions, records of transactions that were given up) are holes: librdkafka skips them
//! without a word, so at the end of a partition the reader looks whether only holes are left, and passes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_ports::{ErrorClass, LogBatch, LogRecord, PortError};
use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use tokio::sync::{Notify, watch};

use crate::client::Client;
use crate::error::port_error;
use crate::incoming;
use crate::listener::Consumer;
use crate::tail;

/// How long a poll waits; also how soon a new request is seen while nothing arrives.
const POLL: Duration = Duration::from_millis(20);
/// Most records that are taken before waiting owners hear of them.
const BATCH_MAX: usize = 4_096;
/// Rounds of polling without a watcher after which a reader ends.
const IDLE_ROUNDS_MAX: u32 = 500;
/// Bytes that a record costs beside its payload.
const RECORD_BYTES: usize = 64;

struct State {
    /// Where the owner wants to read, when it is not where the reader stands.
    seek: Option<LogOffset>,
    records: VecDeque<LogRecord>,
    bytes: usize,
    /// Every record from here to `position` that has not been handed out is in `records`.
    base: LogOffset,
    /// Read on from here; below it everything was delivered.
    position: LogOffset,
    /// Tickets of reads at the end, and the last one that has been answered.
    asked: u64,
    confirmed: u64,
    failure: Option<PortError>,
    has_ended: bool,
}

struct Shared {
    partition: PartitionId,
    state: Mutex<State>,
    /// The thread waits here while the owner has enough to do.
    drained: Condvar,
    /// Owners wait here for records, confirmations and failures.
    news: Notify,
    end: watch::Sender<LogOffset>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader of one partition.
pub(crate) struct Reader {
    client: Arc<Client>,
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn start(client: Arc<Client>, partition: PartitionId) -> Arc<Reader> {
        let start = client.config().command_offset(0);
        let shared = Arc::new(Shared {
            partition,
            state: Mutex::new(State {
                seek: None,
                records: VecDeque::new(),
                bytes: 0,
                base: start,
                position: start,
                asked: 0,
                confirmed: 0,
                failure: None,
                has_ended: false,
            }),
            drained: Condvar::new(),
            news: Notify::new(),
            end: watch::Sender::new(start),
        });
        let worker = Worker {
            client: Arc::clone(&client),
            shared: Arc::clone(&shared),
            is_at_end: false,
            hole_until: None,
            latest: Timestamp::MIN,
        };
        let name = format!("log-{partition}");
        let started = std::thread::Builder::new().name(name).spawn(move || worker.run());
        if let Err(error) = started {
            let action = format!("start the reader of partition {partition}");
            let reason = "the system gives no more threads";
            shared.state().failure = Some(PortError::new(ErrorClass::Retry, action, reason).caused_by(error));
            shared.state().has_ended = true;
        }
        Arc::new(Reader { client, shared })
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.state().has_ended
    }

    pub(crate) fn watch_end(&self) -> watch::Receiver<LogOffset> {
        self.shared.end.subscribe()
    }

    /// Records from an offset on; none only when the cluster said that there are none.
    pub(crate) async fn read(&self, from: LogOffset, bytes_max: usize) -> Result<LogBatch, PortError> {
        let action = || format!("read the log of partition {} from offset {from}", self.shared.partition);
        let deadline = tokio::time::Instant::now() + self.client.timeout() * 2;
        let log = self.client.config().log_generation;
        let Some(position) = log.position_from(from) else {
            let reason = format!("it is of a later log than the topic holds, which is log {log}");
            return Err(PortError::new(ErrorClass::Fatal, action(), reason));
        };
        let from = self.client.config().command_offset(position);
        let mut ticket = None;
        // Reading counts as watching.
        let _watching = self.shared.end.subscribe();
        loop {
            let news = self.shared.news.notified();
            if let Some(answer) = self.try_read(from, bytes_max, &mut ticket) {
                return answer;
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                let reason = format!("{} did not answer in time", self.client.config().brokers);
                return Err(PortError::new(ErrorClass::Retry, action(), reason));
            }
        }
    }

    fn try_read(
        &self,
        from: LogOffset,
        bytes_max: usize,
        ticket: &mut Option<u64>,
    ) -> Option<Result<LogBatch, PortError>> {
        let mut state = self.shared.state();
        if let Some(failure) = state.failure.take() {
            return Some(Err(failure));
        }
        if state.has_ended {
            let action = format!("read the log of partition {}", self.shared.partition);
            return Some(Err(PortError::new(ErrorClass::Retry, action, "its reader has ended")));
        }
        if from < state.base || from > state.position {
            *state = State {
                seek: Some(from),
                records: VecDeque::new(),
                bytes: 0,
                base: from,
                position: from,
                asked: state.asked,
                confirmed: state.asked,
                failure: None,
                has_ended: false,
            };
            *ticket = None;
            self.shared.drained.notify_all();
        }
        let batch = state.take(from, bytes_max);
        if !batch.records.is_empty() || batch.next > from {
            self.shared.drained.notify_all();
            return Some(Ok(batch));
        }
        let asked = *ticket.get_or_insert_with(|| {
            state.asked += 1;
            state.asked
        });
        (state.confirmed >= asked && state.seek.is_none()).then_some(Ok(batch))
    }
}

impl State {
    /// Hands out what lies at or above an offset, about as much as was asked for.
    fn take(&mut self, from: LogOffset, bytes_max: usize) -> LogBatch {
        while self.records.front().is_some_and(|record| record.offset < from) {
            self.pop();
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = self.records.front() {
            let cost = record.payload.len() + RECORD_BYTES;
            if !records.is_empty() && bytes + cost > bytes_max.max(RECORD_BYTES) {
                break;
            }
            bytes += cost;
            records.extend(self.pop());
        }
        let next = match self.records.front() {
            Some(left) => records.last().map_or(left.offset, |record: &LogRecord| record.offset.next()),
            None => self.position,
        };
        self.base = self.base.max(next);
        LogBatch { records, next, end: self.position }
    }

    fn pop(&mut self) -> Option<LogRecord> {
        let record = self.records.pop_front()?;
        self.bytes -= record.payload.len() + RECORD_BYTES;
        Some(record)
    }
}

/// The thread's side.
struct Worker {
    client: Arc<Client>,
    shared: Arc<Shared>,
    /// The library said that the partition ends here, and nothing has arrived since.
    is_at_end: bool,
    /// A look whether everything below this is a hole is under way.
    hole_until: Option<LogOffset>,
    /// The latest time a record had: a broker's clock may go back, the log's time may not.
    latest: Timestamp,
}

impl Worker {
    fn run(mut self) {
        let action = format!("read the log of partition {}", self.shared.partition);
        let ended = match self.client.consumer() {
            Ok(consumer) => self.serve(&consumer),
            Err(error) => Err(error),
        };
        let mut state = self.shared.state();
        state.has_ended = true;
        state.failure = ended.err().map(|error| port_error(action, error));
        drop(state);
        self.shared.news.notify_waiters();
    }

    /// Serves until nobody watches any more, or the consumer is of no more use.
    fn serve(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let end = loop {
            match self.marks(consumer) {
                Ok((_, end)) => break end,
                Err(error) if tail::is_passing(&error) && self.is_watched() => {}
                Err(error) => return Err(error),
            }
        };
        let has_seek = {
            let mut state = self.shared.state();
            if state.seek.is_none() {
                (state.base, state.position) = (end, end);
            }
            state.seek.is_some()
        };
        self.shared.end.send_replace(end);
        self.shared.news.notify_waiters();
        if !has_seek {
            self.assign(consumer, end)?;
        }
        let mut idle_rounds = 0;
        while idle_rounds < IDLE_ROUNDS_MAX {
            idle_rounds = if self.is_watched() { 0 } else { idle_rounds + 1 };
            self.follow(consumer)?;
            if self.is_full() {
                self.wait_for_room();
            } else if self.poll(consumer)? == 0 {
                self.look_at_the_end(consumer)?;
            }
        }
        Ok(())
    }

    /// Where the log begins, and where it ends.
    fn marks(&self, consumer: &Consumer) -> KafkaResult<(LogOffset, LogOffset)> {
        let topic = &self.client.names().commands;
        let (start, end) = tail::marks(&self.client, consumer, topic, self.shared.partition)?;
        let offset = |position| self.client.config().command_offset(position);
        Ok((offset(start), offset(end)))
    }

    /// Reads on from an offset of this log.
    fn assign(&self, consumer: &Consumer, from: LogOffset) -> KafkaResult<()> {
        tail::assign(consumer, &self.client.names().commands, self.shared.partition, from.position())
    }

    fn is_watched(&self) -> bool {
        self.shared.end.receiver_count() > 0
    }

    /// Goes where the owner wants to read.
    fn follow(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let Some(from) = self.shared.state().seek else { return Ok(()) };
        let (start, end) = self.marks(consumer)?;
        let refusal = match from {
            _ if from < start => Some(format!(
                "the log begins at offset {start}: what must be read again is gone; raise \
                 kafka.command_retention_ms, and expect what lay there to be lost"
            )),
            _ if from > end => {
                Some(format!("the log ends at offset {end}: it is not the log that was there"))
            }
            _ => None,
        };
        if let Some(reason) = refusal {
            let action = format!("read the log of partition {} from offset {from}", self.shared.partition);
            let mut state = self.shared.state();
            state.seek = None;
            state.failure = Some(PortError::new(ErrorClass::Fatal, action, reason));
        } else {
            self.assign(consumer, from)?;
            (self.is_at_end, self.hole_until, self.latest) = (false, None, Timestamp::MIN);
            let mut state = self.shared.state();
            if state.seek == Some(from) {
                state.seek = None;
            }
        }
        self.shared.news.notify_waiters();
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.shared.state().bytes >= self.client.config().read_ahead_bytes_max
    }

    fn wait_for_room(&self) {
        let state = self.shared.state();
        drop(self.shared.drained.wait_timeout(state, POLL));
    }

    /// Takes what has arrived; answers how many records.
    fn poll(&mut self, consumer: &Consumer) -> KafkaResult<usize> {
        let mut records = Vec::new();
        let mut wait = POLL;
        while records.len() < BATCH_MAX {
            match consumer.poll(wait) {
                Some(Ok(message)) => records.push(self.record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.is_at_end = true;
                    break;
                }
                Some(Err(error)) if tail::is_passing(&error) => break,
                Some(Err(error)) => return Err(error),
                None => break,
            }
            wait = Duration::ZERO;
            if records.len() == 1 {
                self.is_at_end = false;
            }
        }
        let count = records.len();
        self.deliver(records);
        Ok(count)
    }

    fn deliver(&mut self, records: Vec<LogRecord>) {
        let mut state = self.shared.state();
        if state.seek.is_some() {
            return;
        }
        let before = state.position;
        for record in records {
            // After a seek the library may still hand out what it had fetched.
            if record.offset >= state.position {
                state.position = record.offset.next();
                state.bytes += record.payload.len() + RECORD_BYTES;
                state.records.push_back(record);
            }
        }
        if self.is_at_end
            && let Some(until) = self.hole_until.take()
        {
            state.position = state.position.max(until);
        }
        let position = state.position;
        drop(state);
        if position > before {
            self.shared.end.send_if_modified(|end| std::mem::replace(end, (*end).max(position)) < position);
            self.shared.news.notify_waiters();
        }
    }

    /// At the end of the partition: whether only holes are left, and whether somebody waits to hear that it is the end.
    fn look_at_the_end(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let (position, asked, is_asked) = {
            let state = self.shared.state();
            (state.position, state.asked, state.asked > state.confirmed && state.seek.is_none())
        };
        if !(self.is_at_end || is_asked) || self.hole_until.is_some() {
            return Ok(());
        }
        let end = match self.marks(consumer) {
            Ok((_, end)) => end,
            Err(error) if tail::is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if end > position {
            // Fetching anew from here ends in a record, or in the partition's end: then the rest was holes.
            self.hole_until = Some(end);
            self.is_at_end = false;
            return self.assign(consumer, position);
        }
        self.is_at_end = false;
        if is_asked {
            self.shared.state().confirmed = asked;
            self.shared.news.notify_waiters();
        }
        Ok(())
    }

    fn record(&mut self, message: &BorrowedMessage<'_>) -> LogRecord {
        let at = message.timestamp().to_millis().map_or(Timestamp::MIN, Timestamp::from_millis);
        self.latest = self.latest.max(at);
        let offset = self.client.config().command_offset(message.offset().max(0) as u64);
        incoming::record(message, self.shared.partition, offset, self.latest)
    }
}
