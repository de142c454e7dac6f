//! What a successor reads before it owns a partition, while somebody else still fires: the
//! revisions, the timetable that will be wanted and the log. So little is left to read once nobody
//! fires.
//!
//! It is right for the same reason as any take-over: what a checkpoint does not say, the timetable
//! read at any later time and the log from the checkpoint's R on say together. So an owner that goes
//! by what was read under an older checkpoint goes back in the log as far as that one's R (the
//! simulator's successors prepare themselves too; its planted bug `prepared-late` leaves that out).

use std::collections::VecDeque;

use minutehand_engine::{Config, Effect, Input, InputRecord, Partition, Phase, RequestId};
use minutehand_model::{
    Checkpoint, Epoch, LogOffset, PartitionId, RevisionEntry, Timestamp, TimetablePage,
};
use minutehand_ports::PortError;
use tokio::sync::watch;

use super::{OwnerStores, Surroundings, carry};

/// The most memory that the rehearsal takes, and that records of the log may take, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The bytes of log that are read at a time.
const LOG_READ_BYTES: usize = 1024 * 1024;

/// A part of the timetable as it was read.
struct Part {
    from: Timestamp,
    page: TimetablePage,
}

/// A part of the log as it was read: the records from one offset to the next.
struct Stretch {
    from: LogOffset,
    records: Vec<InputRecord>,
    next: LogOffset,
    end: LogOffset,
}

/// What was read beforehand.
pub(crate) struct Prepared {
    /// R of the checkpoint that it was read under.
    replay_from: LogOffset,
    has_begun: bool,
    revisions: Option<Vec<RevisionEntry>>,
    parts: Vec<Part>,
    log: VecDeque<Stretch>,
    /// Keeps the reader of the log at work until the owner has its own.
    _watching: watch::Receiver<LogOffset>,
}

impl Prepared {
    /// Reads what an owner would want now. `None` where the sink does not say where it stands, or
    /// the partition has never been owned.
    ///
    /// # Errors
    /// When a store does not answer.
    pub(crate) async fn read(
        config: &Config,
        id: PartitionId,
        surroundings: &Surroundings,
    ) -> Result<Option<Prepared>, PortError> {
        let OwnerStores { log, sink, .. } = &surroundings.stores;
        let _watching = log.watch_end(id);
        let Some(checkpoint) = sink.peek(id).await? else {
            return Ok(None);
        };
        let mut prepared = Prepared {
            replay_from: checkpoint.replay_from,
            has_begun: false,
            revisions: None,
            parts: Vec::new(),
            log: VecDeque::new(),
            _watching,
        };
        prepared
            .rehearse(config, id, surroundings, checkpoint)
            .await?;
        prepared.read_log(id, surroundings).await?;
        prepared.read_ahead(config, id, surroundings).await?;
        Ok(Some(prepared))
    }

    /// An engine that is thrown away again asks for what the owner will ask for.
    async fn rehearse(
        &mut self,
        config: &Config,
        id: PartitionId,
        surroundings: &Surroundings,
        checkpoint: Checkpoint,
    ) -> Result<(), PortError> {
        let config = Config {
            memory_bytes_max: config.memory_bytes_max.min(BYTES_MAX),
            ..config.clone()
        };
        let timetable = &surroundings.stores.timetable;
        let mut engine = Partition::new(config, id);
        let moment = || surroundings.clock.moment();
        engine.handle(moment(), Input::Acquired { epoch: Epoch(1) });
        engine.handle(moment(), Input::LeaseConfirmed { at: moment().wall });
        loop {
            engine.advance(moment());
            if engine.status().phase > Phase::Loading {
                return Ok(());
            }
            let Some(effect) = engine.poll_effect() else {
                // It waits for a clock, or for room: what it has read so far is good.
                return Ok(());
            };
            let answer = match effect {
                Effect::Open { request, .. } => Input::Opened {
                    request,
                    checkpoint: Some(Box::new(checkpoint.clone())),
                    schedule_states: Vec::new(),
                    log_end: checkpoint.applied,
                    taken_at: None,
                    prepared_from: None,
                },
                Effect::ReadRevisions { request } => {
                    let entries = timetable.read_revisions(id).await?;
                    self.revisions = Some(entries.clone());
                    Input::Revisions { request, entries }
                }
                Effect::ReadTimetable {
                    request,
                    from,
                    until,
                    bytes_max,
                } => {
                    let page = timetable.read(id.range(from, until), bytes_max).await?;
                    carry::prepare_queues(&*surroundings.stores.sink, &page);
                    self.parts.push(Part {
                        from,
                        page: page.clone(),
                    });
                    Input::Page { request, page }
                }
                _ => continue,
            };
            engine.handle(moment(), answer);
        }
    }

    /// Time has passed meanwhile: what has come into the look-ahead.
    async fn read_ahead(
        &mut self,
        config: &Config,
        id: PartitionId,
        surroundings: &Surroundings,
    ) -> Result<(), PortError> {
        let until = surroundings.clock.now().plus_millis(config.look_ahead_ms);
        let Some(from) = self.parts.last().map(|part| part.page.complete_until) else {
            return Ok(());
        };
        if from < until {
            let timetable = &surroundings.stores.timetable;
            let page = timetable
                .read(id.range(from, until), config.page_bytes_max)
                .await?;
            self.parts.push(Part { from, page });
        }
        Ok(())
    }

    async fn read_log(
        &mut self,
        id: PartitionId,
        surroundings: &Surroundings,
    ) -> Result<(), PortError> {
        let OwnerStores { log, sink, .. } = &surroundings.stores;
        let (mut from, mut bytes) = (self.replay_from, 0);
        while bytes < BYTES_MAX {
            let batch = log.read(id, from, LOG_READ_BYTES).await?;
            let count = batch.records.len();
            bytes += batch
                .records
                .iter()
                .map(|one| one.payload.len())
                .sum::<usize>();
            let (next, end) = (batch.next, batch.end);
            if count > 0 {
                let records = carry::decoded(batch, &**sink);
                self.log.push_back(Stretch {
                    from,
                    records,
                    next,
                    end,
                });
            }
            if count == 0 || next >= end {
                return Ok(());
            }
            from = next;
        }
        Ok(())
    }

    /// The owner begins under the checkpoint that the sink says now: from where it must read the
    /// log. `None` when what was read beforehand is of no use: it belongs to another log, R has
    /// gone beyond what was read of the log, or the owner begins for the second time.
    pub(crate) fn begins(&mut self, checkpoint: Option<&Checkpoint>) -> Option<LogOffset> {
        let replay_from = checkpoint?.replay_from;
        let log_read = self.log.back().map_or(self.replay_from, |last| last.next);
        let goes_on =
            replay_from.generation() == self.replay_from.generation() && replay_from <= log_read;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        (goes_on && is_first).then_some(self.replay_from)
    }

    /// The owner has come to a phase. One that has begun to write goes by the timetable itself: what
    /// it has written must be in what it reads. One that fires needs nothing more.
    pub(crate) fn entered(&mut self, phase: Phase) -> bool {
        if phase > Phase::Loading {
            self.parts.clear();
        }
        phase < Phase::Owning
    }

    /// The answer to an effect, if it was read beforehand.
    pub(crate) fn answer(&mut self, effect: &Effect) -> Option<Input> {
        if !self.has_begun {
            return None;
        }
        match effect {
            Effect::ReadRevisions { request } => Some(Input::Revisions {
                request: *request,
                entries: self.revisions.take()?,
            }),
            Effect::ReadTimetable {
                request,
                from,
                until,
                ..
            } => Some(Input::Page {
                request: *request,
                page: self.page(*from, *until)?,
            }),
            Effect::ReadLog { request, from, .. } => self.records(*request, *from),
            _ => None,
        }
    }

    /// What is known from a time on. The first read begins at a minute, and no block reaches from
    /// one minute into the next, so that what is due from then on is what the blocks from then on
    /// hold; each later one begins where the last ended.
    fn page(&mut self, from: Timestamp, until: Timestamp) -> Option<TimetablePage> {
        let is_known = |part: &Part| {
            let page = &part.page;
            let begins = part.from == from || from == from.floor_to_minute();
            part.from <= from
                && begins
                && from < page.complete_until
                && page.complete_until <= until
        };
        let index = self.parts.iter().position(is_known)?;
        let Part { mut page, .. } = self.parts.swap_remove(index);
        page.entries.retain(|entry| entry.due >= from);
        Some(page)
    }

    fn records(&mut self, request: RequestId, from: LogOffset) -> Option<Input> {
        let stretch = self.log.pop_front_if(|stretch| stretch.from == from)?;
        Some(Input::Records {
            request,
            records: stretch.records,
            next: stretch.next,
            end: stretch.end,
        })
    }
}
