//! The reader of one partition of the command log: a thread that fetches ahead of the owner.
//!
//! What an owner asks for next is usually here already. A read at the end of what is here is
//! answered only after the cluster itself has said where the partition ends, so that "there is no
//! more" can be relied on. Offsets without a record (the ends of transactions, records of
//! transactions that were given up) are holes: librdkafka skips them without a word, so at the end
//! of a partition the reader looks whether only holes are left, and passes them.
//!
//! The thread comes and goes, what it shares with those who read and watch stays: it ends when
//! nobody watches, and begins anew, with a new consumer, after any error and after a panic, as long
//! as somebody does.

mod buffer;
mod standing;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use minutehand_backoff::{Backoff, Pauses};
use minutehand_model::{LogOffset, PartitionId, Timestamp};
use minutehand_ports::{ErrorClass, LogBatch, LogRecord, PortError};
use rdkafka::Message;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use tokio::sync::{Notify, watch};

use self::buffer::Buffer;
use self::standing::Standing;
use crate::client::Client;
use crate::error::{is_damage, port_error};
use crate::incoming;
use crate::listener::Consumer;
use crate::silence::{self, Guard, Patience};
use crate::skips::{Skip, Skips};
use crate::tail;

/// How long a poll waits; also how soon a new request is seen while nothing arrives.
const POLL: Duration = Duration::from_millis(20);
/// Most records that are taken before waiting owners hear of them.
const BATCH_MAX: usize = 4_096;
/// Rounds of polling without a watcher after which a thread ends.
const IDLE_ROUNDS_MAX: u32 = 500;
/// Pauses before a thread begins anew: the first, and the longest.
const PAUSES: Pauses = Pauses::between(Duration::from_millis(50), Duration::from_secs(2));
/// Whoever served for so long begins anew after the first pause again.
const SERVED_WELL: Duration = Duration::from_secs(10);
/// How long a read waits at an open transaction, before it is answered that there is more which
/// cannot be read yet.
const UNDECIDED_MAX: Duration = Duration::from_millis(500);

/// What the thread and the others share; it outlives every thread.
struct Shared {
    partition: PartitionId,
    state: Mutex<State>,
    /// The thread waits here while the owner has enough to do.
    drained: Condvar,
    /// Owners wait here for records, confirmations and failures.
    news: Notify,
    end: watch::Sender<LogOffset>,
}

#[derive(Default)]
struct State {
    buffer: Buffer,
    /// Where the owner wants to read, when it is not where the thread stands.
    seek: Option<LogOffset>,
    /// The thread has found out where the partition ends, once.
    is_placed: bool,
    /// Tickets of reads at the end, and the last one that has been answered.
    asked: u64,
    confirmed: u64,
    failure: Option<PortError>,
    is_running: bool,
    /// R, as the owner said last.
    replay_from: Option<LogOffset>,
    /// What the thread is to die of next.
    #[cfg(test)]
    fault: Option<tests::Fault>,
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
    pub(crate) fn new(client: Arc<Client>, partition: PartitionId) -> Reader {
        let start = client.config().command_offset(0);
        let shared = Shared {
            partition,
            state: Mutex::new(State {
                buffer: Buffer::at(start),
                ..State::default()
            }),
            drained: Condvar::new(),
            news: Notify::new(),
            end: watch::Sender::new(start),
        };
        Reader {
            client,
            shared: Arc::new(shared),
        }
    }

    /// The end of what can be read, kept up to date for as long as somebody looks.
    pub(crate) fn watch_end(&self) -> watch::Receiver<LogOffset> {
        // First the receiver: a thread that ends because nobody watches looks once more, under the
        // same lock.
        let receiver = self.shared.end.subscribe();
        self.run();
        receiver
    }

    /// The owner has said how far a successor must go back.
    pub(crate) fn replays_from(&self, offset: LogOffset) {
        self.shared.state().replay_from = Some(offset);
    }

    /// Makes sure that there is a thread.
    fn run(&self) {
        let mut state = self.shared.state();
        if state.is_running {
            return;
        }
        let worker = Worker::new(&self.client, &self.shared);
        let name = format!("log-{}", self.shared.partition);
        match std::thread::Builder::new()
            .name(name)
            .spawn(move || worker.run())
        {
            Ok(_) => state.is_running = true,
            Err(error) => {
                let action = format!("start the reader of partition {}", self.shared.partition);
                let reason = "the system gives no more threads";
                state.failure =
                    Some(PortError::new(ErrorClass::Retry, action, reason).caused_by(error));
            }
        }
    }

    /// Records from an offset on; none only when the cluster said that there are none.
    pub(crate) async fn read(
        &self,
        from: LogOffset,
        bytes_max: usize,
    ) -> Result<LogBatch, PortError> {
        let action = || {
            format!(
                "read the log of partition {} from offset {from}",
                self.shared.partition
            )
        };
        let log = self.client.config().log_generation;
        let Some(position) = log.position_from(from) else {
            let reason = format!("it is of a later log than the topic holds, which is log {log}");
            return Err(PortError::new(ErrorClass::Fatal, action(), reason));
        };
        let from = self.client.config().command_offset(position);
        let deadline = tokio::time::Instant::now() + self.client.timeout() * 2;
        let mut ticket = None;
        // Reading counts as watching.
        let _watching = self.watch_end();
        loop {
            let news = self.shared.news.notified();
            if let Some(answer) = self.try_read(from, bytes_max, &mut ticket) {
                return answer;
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                let reason = format!(
                    "{} did not answer in time",
                    self.client.config().brokers.join(", ")
                );
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
        if !state.buffer.covers(from) {
            state.buffer = Buffer::at(from);
            (state.seek, state.confirmed) = (Some(from), state.asked);
            *ticket = None;
            self.shared.drained.notify_all();
        }
        let batch = state.buffer.take(from, bytes_max);
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

/// The thread's side.
struct Worker {
    client: Arc<Client>,
    shared: Arc<Shared>,
    standing: Standing,
    /// What an operator wants passed.
    skips: Skips,
    /// The library said that the partition ends here, and nothing has arrived since.
    is_at_end: bool,
    /// A look whether everything below this is a hole is under way.
    hole_until: Option<LogOffset>,
    /// Since when somebody waits at an open transaction.
    undecided_since: Option<Instant>,
    /// The latest time a record had: a broker's clock may go back, the log's time may not.
    latest: Timestamp,
}

/// Whether a thread has anything left to do.
#[derive(PartialEq, Eq)]
enum Served {
    NobodyWatches,
    /// The consumer is to be replaced.
    Stuck,
}

impl Worker {
    fn new(client: &Arc<Client>, shared: &Arc<Shared>) -> Worker {
        Worker {
            client: Arc::clone(client),
            shared: Arc::clone(shared),
            standing: Standing::new(client, shared.partition),
            skips: Skips::default(),
            is_at_end: false,
            hole_until: None,
            undecided_since: None,
            latest: Timestamp::MIN,
        }
    }

    fn run(mut self) {
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let began = Instant::now();
            let served = catch_unwind(AssertUnwindSafe(|| self.serve()));
            let error = match served {
                Ok(Ok(Served::NobodyWatches)) => return,
                // Whoever reads waits on, for the next one.
                Ok(Ok(Served::Stuck)) => continue,
                Ok(Err(error)) => self.explained(error),
                Err(_) => PortError::new(
                    ErrorClass::Retry,
                    self.action(),
                    "its reader panicked; it begins anew",
                ),
            };
            tracing::warn!(partition = %self.shared.partition, %error, "the reader of the log begins anew");
            self.shared.state().failure = Some(error);
            self.shared.news.notify_waiters();
            if self.ends_unwatched() {
                return;
            }
            if began.elapsed() > SERVED_WELL {
                backoff.reset();
            }
            std::thread::sleep(backoff.next_pause());
        }
    }

    fn action(&self) -> String {
        format!("read the log of partition {}", self.shared.partition)
    }

    /// The error for whoever reads. What lies damaged on the brokers' disks does not pass: only an
    /// operator can pass it.
    fn explained(&self, error: KafkaError) -> PortError {
        let partition = self.shared.partition;
        let position = self.shared.state().buffer.position();
        let is_damaged = is_damage(&error);
        let told = port_error(self.action(), error);
        if !is_damaged {
            return told;
        }
        let reason = format!(
            "{}: {}[{partition}] is damaged at or behind offset {position}; if no replica is whole, pass it by \
             `minutehand partition skip {partition} --offset {position} --reason TEXT`",
            told.reason,
            self.topic()
        );
        PortError {
            class: ErrorClass::Fatal,
            reason,
            ..told
        }
    }

    /// Ends the thread when nobody watches; whoever comes later finds it ended, and starts another.
    fn ends_unwatched(&self) -> bool {
        let mut state = self.shared.state();
        let ends = !self.is_watched();
        if ends {
            state.is_running = false;
            self.standing.given_up();
        }
        ends
    }

    /// Serves until nobody watches any more, or the consumer is of no more use.
    fn serve(&mut self) -> KafkaResult<Served> {
        let consumer = self.client.log_reader(&self.standing.queued())?;
        self.place(&consumer)?;
        let mut guard = Guard::new(&self.client, self.topic(), Patience::USUAL);
        let mut idle_rounds = 0;
        loop {
            idle_rounds = if self.is_watched() {
                0
            } else {
                idle_rounds + 1
            };
            if idle_rounds >= IDLE_ROUNDS_MAX && self.ends_unwatched() {
                return Ok(Served::NobodyWatches);
            }
            #[cfg(test)]
            self.meet_fault()?;
            self.follow(&consumer)?;
            self.skip(&consumer)?;
            self.tell_standing(&consumer);
            if self.is_stuck(&mut guard) {
                return Ok(Served::Stuck);
            }
            if self.is_full() {
                guard.hold();
                self.wait_for_room();
            } else if self.poll(&consumer)? == 0 {
                self.look_at_the_end(&consumer)?;
            }
        }
    }

    /// Goes where the last thread stood, or where the owner wants to read, or to the end.
    fn place(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let end = loop {
            match self.marks(consumer) {
                Ok((_, end)) => break end,
                Err(error) if tail::is_passing(&error) && self.is_watched() => {}
                Err(error) => return Err(error),
            }
        };
        self.skips = Skips::read(&self.client, self.shared.partition)?;
        let mut state = self.shared.state();
        if state.seek.is_none() && !state.is_placed {
            state.buffer = Buffer::at(end);
        }
        (state.is_placed, state.failure) = (true, None);
        let (position, has_seek) = (state.buffer.position(), state.seek.is_some());
        drop(state);
        self.tell_end(end);
        (self.is_at_end, self.hole_until) = (false, None);
        match has_seek {
            true => Ok(()),
            false => self.assign(consumer, position),
        }
    }

    /// Where the log begins, and where what can be read of it ends.
    fn marks(&self, consumer: &Consumer) -> KafkaResult<(LogOffset, LogOffset)> {
        let (start, end) =
            tail::marks(&self.client, consumer, self.topic(), self.shared.partition)?;
        Ok((self.offset(start), self.offset(end)))
    }

    fn assign(&self, consumer: &Consumer, from: LogOffset) -> KafkaResult<()> {
        tail::assign(
            consumer,
            self.topic(),
            self.shared.partition,
            from.position(),
        )
    }

    /// The offset of a position in the topic.
    fn offset(&self, position: u64) -> LogOffset {
        self.client.config().command_offset(position)
    }

    fn topic(&self) -> &str {
        &self.client.names().commands
    }

    fn is_watched(&self) -> bool {
        self.shared.end.receiver_count() > 0
    }

    /// Goes where the owner wants to read.
    fn follow(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let Some(from) = self.shared.state().seek else {
            return Ok(());
        };
        let (start, end) = match self.marks(consumer) {
            Ok(marks) => marks,
            // It is still wanted, and tried again.
            Err(error) if tail::is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let refusal = match from {
            _ if from < start => Some(format!(
                "the log begins at offset {start}: what must be read again is gone; raise \
                 kafka.command_retention_ms, and expect what lay there to be lost"
            )),
            _ if from > end => Some(format!(
                "the log ends at offset {end}: it is not the log that was there"
            )),
            _ => None,
        };
        if let Some(reason) = refusal {
            let action = format!(
                "read the log of partition {} from offset {from}",
                self.shared.partition
            );
            let mut state = self.shared.state();
            state.seek = None;
            state.failure = Some(PortError::new(ErrorClass::Fatal, action, reason));
        } else {
            self.skips = Skips::read(&self.client, self.shared.partition)?;
            self.assign(consumer, from)?;
            (self.is_at_end, self.hole_until, self.latest) = (false, None, Timestamp::MIN);
            self.standing.begin_anew();
            let mut state = self.shared.state();
            if state.seek == Some(from) {
                state.seek = None;
            }
        }
        self.shared.news.notify_waiters();
        Ok(())
    }

    /// Passes what an operator wants passed, without asking the broker for it: in its place stands
    /// a refusal that says so.
    fn skip(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let position = {
            let state = self.shared.state();
            if state.seek.is_some() {
                return Ok(());
            }
            state.buffer.position()
        };
        let first = position.position();
        let Some(Skip { offsets, reason }) = self.skips.at(first).cloned() else {
            return Ok(());
        };
        let (_, end) = self.marks(consumer)?;
        let next = offsets.end().saturating_add(1).min(end.position());
        if next <= first {
            return Ok(());
        }
        tracing::warn!(partition = %self.shared.partition, from = first, to = next - 1, reason, "passing over records");
        let passed = (first..next)
            .map(|offset| LogRecord::passed_over(self.offset(offset), self.latest, &reason));
        self.deliver(passed.collect());
        self.assign(consumer, self.offset(next))
    }

    fn is_full(&self) -> bool {
        self.shared.state().buffer.bytes() >= self.client.config().read_ahead().buffer_bytes
    }

    fn wait_for_room(&self) {
        let state = self.shared.state();
        drop(self.shared.drained.wait_timeout(state, POLL));
    }

    /// Takes what has arrived; answers how many records.
    fn poll(&mut self, consumer: &Consumer) -> KafkaResult<usize> {
        let mut records = Vec::new();
        let mut wait = POLL;
        let mut failure = None;
        while records.len() < BATCH_MAX {
            match consumer.poll(wait) {
                Some(Ok(message)) => records.push(self.record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.is_at_end = true;
                    break;
                }
                Some(Err(error)) if tail::is_passing(&error) => break,
                Some(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
            if records.len() == 1 {
                self.is_at_end = false;
            }
        }
        let count = records.len();
        // What arrived before an error is whole, and the error lies behind it.
        self.deliver(records);
        failure.map_or(Ok(count), Err)
    }

    fn deliver(&mut self, records: Vec<LogRecord>) {
        let mut state = self.shared.state();
        if state.seek.is_some() {
            return;
        }
        let before = state.buffer.position();
        state.buffer.extend(records);
        if self.is_at_end
            && let Some(until) = self.hole_until.take()
        {
            state.buffer.pass(until);
        }
        let position = state.buffer.position();
        debug_assert!(position >= before, "reading goes on, and never back");
        drop(state);
        if position > before {
            self.tell_end(position);
        }
    }

    /// At the end of the partition: whether only holes are left, and whether somebody waits to hear
    /// that it is the end.
    fn look_at_the_end(&mut self, consumer: &Consumer) -> KafkaResult<()> {
        let (position, asked, is_asked) = {
            let state = self.shared.state();
            (
                state.buffer.position(),
                state.asked,
                state.asked > state.confirmed && state.seek.is_none(),
            )
        };
        if self.hole_until.is_some() {
            return Ok(());
        }
        if !(self.is_at_end || is_asked) {
            return Ok(());
        }
        let end = match self.marks(consumer) {
            Ok((_, end)) => end,
            Err(error) if tail::is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if end > position {
            // Fetching anew from here ends in a record, or in the partition's end: then the rest
            // was holes.
            (self.hole_until, self.is_at_end) = (Some(end), false);
            return self.assign(consumer, position);
        }
        self.is_at_end = false;
        if is_asked {
            self.confirm(position, asked);
        }
        Ok(())
    }

    /// Whether the consumer has stopped without a word. What was found out on the way, that there
    /// is nothing but holes, counts whether the consumer says so or not.
    fn is_stuck(&mut self, guard: &mut Guard) -> bool {
        let (position, is_elsewhere) = {
            let state = self.shared.state();
            (state.buffer.position(), state.seek.is_some())
        };
        if is_elsewhere {
            guard.hold();
            return false;
        }
        let partition = self.shared.partition.number();
        if let Some(stuck) = guard.look(|| [(partition, position.position())]) {
            silence::tell(self.topic(), stuck);
            return true;
        }
        if let Some(until) = guard.empty_from(partition, position.position()) {
            self.pass_holes(position, self.offset(until));
        }
        false
    }

    fn pass_holes(&mut self, from: LogOffset, until: LogOffset) {
        let mut state = self.shared.state();
        // The owner may want to read elsewhere since.
        if state.seek.is_some() || state.buffer.position() != from {
            return;
        }
        state.buffer.pass(until);
        drop(state);
        self.hole_until = None;
        self.tell_end(until);
    }

    fn tell_end(&self, position: LogOffset) {
        self.shared
            .end
            .send_if_modified(|end| std::mem::replace(end, (*end).max(position)) < position);
        self.shared.news.notify_waiters();
    }

    /// Says that there is no more to read. Behind an open transaction there may be more, which
    /// somebody was told is durable: whoever asks hears of it, after a moment in which most
    /// transactions end.
    fn confirm(&mut self, position: LogOffset, asked: u64) {
        let true_end = match self.client.bounds(self.topic(), self.shared.partition) {
            Ok((_, end)) => self.offset(end),
            // Asked again in the next round.
            Err(_) => return,
        };
        if true_end > position {
            let since = *self.undecided_since.get_or_insert_with(Instant::now);
            if since.elapsed() < UNDECIDED_MAX {
                return;
            }
        }
        self.undecided_since = None;
        let mut state = self.shared.state();
        state.buffer.ends_at(true_end);
        debug_assert!(asked <= state.asked, "only what was asked is answered");
        state.confirmed = asked;
        drop(state);
        self.shared.news.notify_waiters();
    }

    /// Brings the figures about this log up to date, now and then.
    fn tell_standing(&mut self, consumer: &Consumer) {
        if !self.standing.is_due() {
            return;
        }
        self.standing.holds(self.shared.state().buffer.bytes());
        let partition = self.shared.partition;
        let stable = tail::marks_once(consumer, self.topic(), partition);
        let bounds = self.client.bounds_once(self.topic(), partition);
        if let (Ok((_, stable_end)), Ok((start, end))) = (stable, bounds) {
            let replay_from = self.shared.state().replay_from;
            let log = self.client.config().log_generation;
            let replay_from = replay_from.and_then(|offset| log.position_from(offset));
            self.standing.tell(start..end, stable_end, replay_from);
        }
    }

    fn record(&mut self, message: &BorrowedMessage<'_>) -> LogRecord {
        let at = message
            .timestamp()
            .to_millis()
            .map_or(Timestamp::MIN, Timestamp::from_millis);
        self.latest = self.latest.max(at);
        let position = message.offset().max(0) as u64;
        self.standing.passed(position, at);
        match self.skips.at(position) {
            Some(skip) => LogRecord::passed_over(self.offset(position), self.latest, &skip.reason),
            None => incoming::record(
                message,
                self.shared.partition,
                self.offset(position),
                at,
                self.latest,
            ),
        }
    }
}
