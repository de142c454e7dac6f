//! An engine on stores in memory that answer at once: a story is told in commands and times.

use bytes::Bytes;
use minutehand_engine::{
    Config, Effect, Failure, Input, InputRecord, KnownSchedule, Partition, RequestId,
};
use minutehand_model::{
    ActionTemplate, Block, Checkpoint, Command, Epoch, Found, Guarantee, LedgerRow, LogOffset,
    MisfirePolicy, Namespace, OutcomeKind, OverlapPolicy, PartitionId, Precision, QueueName,
    RecurrenceSpec, RetryPolicy, Revision, RevisionEntry, RunCause, ScheduleDefinition,
    ScheduleEventKind, ScheduleId, ScheduleState, SetAside, StopRequest, Tally, Task, TaskId,
    TaskRecord, Timestamp, TimetableEntry, TimetablePage,
};

/// What an entry of a block takes on its way, about.
const ENTRY_BYTES: usize = 250;

/// 2027-01-01T00:00:00Z, the beginning of every story.
pub(crate) const START_MS: i64 = 1_798_761_600_000;

/// Milliseconds after the beginning.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + ms)
}

/// A task of the queue `reports` that is due so many milliseconds after the beginning and is never
/// tried again.
pub(crate) fn task(id: &str, due_ms: i64) -> TaskRecord {
    minutehand_record::task::record(&Task {
        retry: RetryPolicy::NEVER,
        precision: Precision::High,
        ..Task::new(
            namespace(),
            TaskId::parse(id).expect("an id"),
            QueueName::parse("reports").expect("a name"),
            at(due_ms),
        )
    })
}

/// What was published, in the order of publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Nominal time for a schedule's run, due time otherwise; milliseconds after the beginning.
    pub(crate) nominal_ms: i64,
    /// When the tick was built; milliseconds after the beginning.
    pub(crate) at_ms: i64,
    /// The task's id.
    pub(crate) id: String,
}

/// What becomes of blocks that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Nobody answers, and nothing is kept.
    Unanswered,
    /// They are kept.
    Kept,
    /// They are refused for now.
    Refused,
}

/// A partition, its log, its timetable and what its sink took.
pub(crate) struct Story {
    pub(crate) partition: Partition,
    pub(crate) published: Vec<Published>,
    pub(crate) stops: Vec<StopRequest>,
    /// Unanswered at first, so that everything stays in the log.
    pub(crate) writes: Writes,
    /// When blocks were to be written, in milliseconds after the beginning.
    pub(crate) writes_ms: Vec<i64>,
    unanswered_writes: Vec<RequestId>,
    /// What the timetable has.
    pub(crate) blocks: Vec<Block>,
    pub(crate) is_released: bool,
    /// The most memory that an owner took.
    pub(crate) peak_bytes: usize,
    /// Revisions are kept.
    stores_revisions: bool,
    /// What the timetable has of them.
    pub(crate) revisions: Vec<RevisionEntry>,
    /// How many bytes of executions each tick carried.
    pub(crate) tick_bytes: Vec<usize>,
    /// What ticks set aside.
    pub(crate) set_aside: Vec<SetAside>,
    /// Revisions that the store was told to forget.
    pub(crate) forgotten_revisions: Vec<LogOffset>,
    config: Config,
    log: Vec<InputRecord>,
    /// What lies below has been deleted.
    log_begins: u64,
    overtaking: Vec<Command>,
    checkpoint: Option<Checkpoint>,
    states: Vec<(Namespace, ScheduleId, ScheduleState)>,
    epoch: u64,
    now: Timestamp,
    /// Records in an answer to a read of the log, at most; the answer knows of no more than it
    /// holds.
    page: usize,
    /// Reads of the log get no answer; the last of them waits for one.
    is_blind: bool,
    waiting: Option<Effect>,
    /// Answers about tasks in the timetable that are being kept back.
    kept_back: Option<Vec<Input>>,
    /// The log damages what ticks append.
    damages_derived: bool,
    /// Ticks are committed, and their answer is a long time coming.
    is_slow: bool,
    slow_answer: Option<Input>,
    /// Rows of minutes that were to be kept, as often as they were, with what the timetable had.
    pub(crate) kept: Vec<LedgerRow>,
    /// Rows are not acknowledged.
    pub(crate) loses_rows: bool,
    /// The horizon that the register of regions has acknowledged, where there is one.
    horizon: Option<Timestamp>,
}

impl Story {
    pub(crate) fn begin() -> Story {
        Story::begin_with(Config::default())
    }

    /// A partition that keeps no ledger: it commits only what there is to say.
    pub(crate) fn begin_with(config: Config) -> Story {
        Story::begin_counting(Config {
            ledger: false,
            ..config
        })
    }

    /// One that keeps a ledger, if the configuration says so.
    pub(crate) fn begin_counting(config: Config) -> Story {
        let mut story = Story {
            partition: Partition::new(config.clone(), PartitionId::own(0)),
            config,
            published: Vec::new(),
            stops: Vec::new(),
            writes: Writes::Unanswered,
            writes_ms: Vec::new(),
            unanswered_writes: Vec::new(),
            blocks: Vec::new(),
            tick_bytes: Vec::new(),
            is_released: false,
            peak_bytes: 0,
            forgotten_revisions: Vec::new(),
            stores_revisions: false,
            revisions: Vec::new(),
            set_aside: Vec::new(),
            log: Vec::new(),
            log_begins: 0,
            overtaking: Vec::new(),
            checkpoint: None,
            states: Vec::new(),
            epoch: 0,
            now: at(0),
            page: usize::MAX,
            is_blind: false,
            waiting: None,
            kept_back: None,
            damages_derived: false,
            is_slow: false,
            slow_answer: None,
            kept: Vec::new(),
            loses_rows: false,
            horizon: None,
        };
        story.take_over(0);
        story
    }

    /// From now on there is a timetable: what is due beyond the look-ahead goes there, and out of
    /// memory.
    pub(crate) fn with_timetable(mut self) -> Story {
        self.writes = Writes::Kept;
        self
    }

    /// From now on revisions are kept in the timetable as well.
    pub(crate) fn with_stored_revisions(mut self) -> Story {
        self.stores_revisions = true;
        self
    }

    /// The next owner has other settings.
    pub(crate) fn change_settings(&mut self, config: Config) {
        self.config = Config {
            ledger: self.config.ledger,
            ..config
        };
    }

    /// The owner hears of what the log has.
    pub(crate) fn hear(&mut self) {
        self.partition.handle(
            self.now,
            Input::LogGrew {
                end: LogOffset::at(self.log.len() as u64),
            },
        );
        self.settle();
    }

    /// What the timetable knows of a task is asked for and read, but the answer does not arrive
    /// yet.
    pub(crate) fn keep_answers_back(&mut self) {
        self.kept_back = Some(Vec::new());
    }

    /// The answers that were kept back arrive.
    pub(crate) fn let_answers_through(&mut self) {
        for answer in self.kept_back.take().unwrap_or_default() {
            self.partition.handle(self.now, answer);
        }
        self.settle();
    }

    /// The next tasks that are looked for in the timetable cannot be: the store is out.
    pub(crate) fn fail_answers(&mut self) {
        for answer in self.kept_back.take().unwrap_or_default() {
            if let Input::Found { request, .. } = answer {
                self.partition.handle(
                    self.now,
                    Input::Failed {
                        request,
                        failure: Failure::Retry,
                    },
                );
            }
        }
        self.settle();
    }

    /// Writes that nobody answered are answered: they are kept.
    pub(crate) fn let_writes_be_answered(&mut self) {
        for request in std::mem::take(&mut self.unanswered_writes) {
            self.partition.handle(self.now, Input::Done { request });
        }
        self.settle();
    }

    /// The answers that were kept back never arrive; later ones do.
    pub(crate) fn let_answers_be_lost(&mut self) {
        self.kept_back = None;
    }

    /// From now on what ticks append to the log cannot be read.
    pub(crate) fn damage_what_ticks_append(&mut self) {
        self.damages_derived = true;
    }

    /// The owner dies; another one takes over at a time, from checkpoint and log alone.
    pub(crate) fn take_over(&mut self, ms: i64) {
        self.epoch += 1;
        self.partition = Partition::new(self.config.clone(), PartitionId::own(0));
        if let Some(until) = self.horizon {
            self.partition.handle(at(ms), Input::Horizon { until });
        }
        self.partition.handle(
            at(ms),
            Input::Acquired {
                epoch: Epoch(self.epoch),
            },
        );
        self.partition.handle(
            at(ms),
            Input::LogGrew {
                end: LogOffset::at(self.log.len() as u64),
            },
        );
        self.now = at(ms);
        self.settle();
    }

    /// Appends a command at a time and lets the owner apply it.
    pub(crate) fn say(&mut self, ms: i64, command: Command) {
        self.pass(ms);
        self.append(ms, command);
        self.partition.handle(
            self.now,
            Input::LogGrew {
                end: LogOffset::at(self.log.len() as u64),
            },
        );
        self.settle();
    }

    /// The log takes a command, and no owner hears of it.
    pub(crate) fn append(&mut self, ms: i64, command: Command) {
        let offset = self.log.len() as u64;
        self.log.push(InputRecord {
            offset: LogOffset::at(offset),
            appended_at: at(ms),
            command: Ok(command),
        });
    }

    /// A command that the log is to take just before what the next tick derives.
    pub(crate) fn overtake(&mut self, command: Command) {
        self.overtaking.push(command);
    }

    /// From now on reads of the log get no answer.
    pub(crate) fn go_blind(&mut self) {
        self.is_blind = true;
    }

    /// From now on ticks are not answered.
    pub(crate) fn commit_slowly(&mut self) {
        self.is_slow = true;
    }

    /// The tick that waits is answered; the next one waits.
    pub(crate) fn commit_one(&mut self) {
        if let Some(answer) = self.slow_answer.take() {
            self.partition.handle(self.now, answer);
        }
        self.settle();
    }

    /// Ticks are answered again, the one that waits first.
    pub(crate) fn commit_at_once(&mut self) {
        self.is_slow = false;
        if let Some(answer) = self.slow_answer.take() {
            self.partition.handle(self.now, answer);
        }
        self.settle();
    }

    /// Reads of the log are answered again, the one that waits first, with so many records at a
    /// time.
    pub(crate) fn see_in_pages(&mut self, page: usize) {
        (self.is_blind, self.page) = (false, page);
        if let Some(answer) = self
            .waiting
            .take()
            .and_then(|effect| self.carry_out(effect))
        {
            self.partition.handle(self.now, answer);
        }
        self.settle();
    }

    /// Time passes up to a point; the owner is woken whenever it wants to be.
    pub(crate) fn pass(&mut self, ms: i64) {
        let end = at(ms);
        loop {
            let wake = self.partition.poll_timeout().map_or(end, |(time, _)| time);
            self.now = wake.min(end).max(self.now);
            self.partition
                .handle(self.now, Input::LeaseConfirmed { at: self.now });
            self.settle();
            if self.now >= end {
                return;
            }
        }
    }

    /// The owner's clock is set to a time, earlier or later than what it showed.
    pub(crate) fn set_clock(&mut self, ms: i64) {
        self.now = at(ms);
        self.settle();
    }

    /// Deletes what a new owner does not ask the log for; answers how many records that are.
    pub(crate) fn cut_log(&mut self) -> u64 {
        self.log_begins = self
            .checkpoint
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.replay_from.position());
        self.log_begins
    }

    /// The register of regions has acknowledged a horizon: this owner hears of it, and so does every
    /// later one.
    pub(crate) fn acknowledge(&mut self, until_ms: i64) {
        let until = at(until_ms);
        self.horizon = self.horizon.max(Some(until));
        self.partition.handle(self.now, Input::Horizon { until });
        self.settle();
    }

    /// The owner is asked to hand over.
    pub(crate) fn hand_over(&mut self) {
        let asked_at = self.now;
        self.partition
            .handle(self.now, Input::HandOver { asked_at });
        self.settle();
    }

    /// Everything the timetable has.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &TimetableEntry> {
        self.blocks.iter().flat_map(|block| &block.entries)
    }

    /// Time passes while nobody owns the partition.
    pub(crate) fn outage(&mut self, until_ms: i64) {
        self.take_over(until_ms);
        self.pass(until_ms);
    }

    pub(crate) fn schedule(&self) -> KnownSchedule {
        self.partition
            .schedule(&namespace(), &schedule_id())
            .expect("the schedule exists")
    }

    /// The kinds of the schedule's events, oldest first.
    pub(crate) fn events(&self) -> Vec<ScheduleEventKind> {
        self.schedule()
            .state
            .events
            .iter()
            .map(|event| event.kind)
            .collect()
    }

    /// The nominal times published so far.
    pub(crate) fn nominals(&self) -> Vec<i64> {
        self.published
            .iter()
            .map(|published| published.nominal_ms)
            .collect()
    }

    /// The blocks that begin in a stretch of time, in order, and no more of them than fit.
    fn page(&self, from: Timestamp, until: Timestamp, bytes_max: usize) -> TimetablePage {
        let mut asked: Vec<&Block> = self
            .blocks
            .iter()
            .filter(|block| (from..until).contains(&block.first_due()))
            .collect();
        asked.sort_by_key(|block| block.first_due());
        let mut page = TimetablePage {
            complete_until: until,
            ..Default::default()
        };
        let (mut bytes, mut last) = (0, from);
        for block in asked {
            if bytes >= bytes_max && block.first_due() > last {
                page.complete_until = block.first_due();
                break;
            }
            last = block.first_due();
            bytes += block.entries.len() * ENTRY_BYTES;
            page.entries.extend(block.entries.iter().cloned());
        }
        page
    }

    /// A row of the ledger with what the timetable has of its minute.
    fn row(&self, tally: &Tally) -> LedgerRow {
        let mut found = Found::begin(tally);
        let entries: Vec<TimetableEntry> = self.entries().cloned().collect();
        assert!(found.take_in(&entries), "they are few");
        LedgerRow {
            tally: *tally,
            found: found.sum(),
        }
    }

    fn settle(&mut self) {
        loop {
            self.partition.advance(self.now);
            let memory = self.partition.memory();
            assert_eq!(
                memory,
                self.partition.memory_counted_anew(),
                "counted right"
            );
            self.peak_bytes = self.peak_bytes.max(memory.total());
            let mut answers = Vec::new();
            while let Some(effect) = self.partition.poll_effect() {
                answers.extend(self.carry_out(effect));
            }
            if answers.is_empty() {
                return;
            }
            for answer in answers {
                self.partition.handle(self.now, answer);
            }
            self.partition.handle(
                self.now,
                Input::LogGrew {
                    end: LogOffset::at(self.log.len() as u64),
                },
            );
        }
    }

    fn damage_last(&mut self) {
        if self.damages_derived
            && let Some(last) = self.log.last_mut()
        {
            let position = format!("log offset {}", last.offset);
            let reason = "a bit has flipped".to_owned();
            last.command = Err(SetAside::new(position, reason, Bytes::new()));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        Some(match effect {
            Effect::Open { request, .. } => Input::Opened {
                request,
                checkpoint: self.checkpoint.clone().map(Box::new),
                schedule_states: self.states.clone(),
                log_end: LogOffset::at(self.log.len() as u64),
                taken_at: None,
                prepared_from: None,
            },
            Effect::ReadRevisions { request } => Input::Revisions {
                request,
                entries: self.revisions.clone(),
            },
            Effect::ReadTimetable {
                request,
                from,
                until,
                bytes_max,
            } => Input::Page {
                request,
                page: self.page(from, until, bytes_max),
            },
            Effect::FindTask { request, key, due } => {
                let entries = self
                    .entries()
                    .filter(|entry| (entry.key, entry.due) == (key, due))
                    .cloned()
                    .collect();
                let answer = Input::Found { request, entries };
                if let Some(kept_back) = &mut self.kept_back {
                    kept_back.push(answer);
                    return None;
                }
                answer
            }
            Effect::ReadLog { .. } if self.is_blind => {
                self.waiting = Some(effect);
                return None;
            }
            Effect::ReadLog {
                request,
                from,
                bytes_max,
            } => {
                let count_max = self.page.min(bytes_max / ENTRY_BYTES).max(1);
                assert!(
                    from >= LogOffset::at(self.log_begins),
                    "offset {from} has been deleted"
                );
                let records: Vec<InputRecord> = self.log[from.position() as usize..]
                    .iter()
                    .take(count_max)
                    .cloned()
                    .collect();
                let end = from.plus(records.len() as u64);
                Input::Records {
                    request,
                    records,
                    next: end,
                    end,
                }
            }
            Effect::Commit { request, tick, .. } => {
                let bytes = tick.publications.iter().map(|one| one.task.encoded.len());
                self.tick_bytes.push(bytes.sum());
                for publication in &tick.publications {
                    let task = minutehand_record::task::decode(&publication.task.encoded)
                        .expect("it decodes");
                    let nominal = task
                        .origin
                        .as_ref()
                        .map_or(task.due, |origin| origin.nominal);
                    assert!(tick.published_at >= task.due, "{} was early", task.id);
                    self.published.push(Published {
                        nominal_ms: nominal.millis_since(at(0)),
                        at_ms: tick.published_at.millis_since(at(0)),
                        id: task.id.to_string(),
                    });
                }
                for change in &tick.schedule_states {
                    self.states.retain(|(_, id, _)| *id != change.schedule);
                    let state = change.state.clone();
                    self.states.extend(
                        state.map(|state| {
                            (change.namespace.clone(), change.schedule.clone(), state)
                        }),
                    );
                }
                self.stops.extend(tick.stops.iter().cloned());
                self.set_aside.extend(tick.set_aside.iter().cloned());
                let has_derived = !tick.derived.is_empty();
                if has_derived {
                    let overtaking = std::mem::take(&mut self.overtaking);
                    let now_ms = self.now.millis_since(at(0));
                    overtaking
                        .into_iter()
                        .for_each(|command| self.append(now_ms, command));
                    for command in tick.derived {
                        self.append(now_ms, command);
                        self.damage_last();
                    }
                }
                self.checkpoint = Some(tick.checkpoint);
                let derived_end = has_derived.then_some(LogOffset::at(self.log.len() as u64));
                let answer = Input::Committed {
                    request,
                    derived_end,
                    taken_at: None,
                };
                if self.is_slow {
                    self.slow_answer = Some(answer);
                    return None;
                }
                answer
            }
            Effect::KeepMinutes { request, tallies } => {
                let rows: Vec<LedgerRow> = tallies.iter().map(|tally| self.row(tally)).collect();
                self.kept.extend(rows);
                match self.loses_rows {
                    true => Input::Failed {
                        request,
                        failure: Failure::Retry,
                    },
                    false => Input::Done { request },
                }
            }
            Effect::WriteBlocks { request, blocks } => {
                self.writes_ms.push(self.now.millis_since(at(0)));
                match self.writes {
                    Writes::Unanswered => {
                        self.unanswered_writes.push(request);
                        return None;
                    }
                    Writes::Refused => Input::Failed {
                        request,
                        failure: Failure::Retry,
                    },
                    Writes::Kept => {
                        self.blocks.extend(blocks);
                        Input::Done { request }
                    }
                }
            }
            Effect::ForgetRevisions { offsets } => {
                self.forgotten_revisions.extend(offsets);
                return None;
            }
            Effect::Forget {
                timetable_before, ..
            } => {
                self.blocks.retain(|block| block.bucket >= timetable_before);
                return None;
            }
            Effect::WriteRevisions { request, revisions } if self.stores_revisions => {
                self.revisions.extend(revisions);
                Input::Done { request }
            }
            // Never acknowledged, so that they stay in the log.
            Effect::WriteRevisions { .. } => return None,
            Effect::Release { .. } => {
                self.is_released = true;
                return None;
            }
            Effect::Stopped { reason } => panic!("the owner stopped: {reason}"),
        })
    }
}

pub(crate) fn namespace() -> Namespace {
    Namespace::parse("default").expect("a name")
}

pub(crate) fn schedule_id() -> ScheduleId {
    ScheduleId::parse("report").expect("an id")
}

/// Every ten seconds, from the beginning on.
pub(crate) fn every_ten_seconds() -> ScheduleDefinition {
    ScheduleDefinition {
        recurrence: RecurrenceSpec::Interval {
            every_ms: 10_000,
            anchor: at(0),
            zone: "UTC".to_owned(),
        },
        exclude: Vec::new(),
        start: None,
        end: None,
        runs_max: None,
        jitter_ms: 0,
        misfire: MisfirePolicy {
            grace_ms: 1_000,
            ..MisfirePolicy::default()
        },
        overlap: OverlapPolicy::AllowAll,
        pause_on_failure: false,
        run_timeout_ms: None,
        action: ActionTemplate {
            queue: QueueName::parse("reports").expect("a name"),
            payload: Bytes::new(),
            headers: Vec::new(),
            retry: RetryPolicy::NEVER,
            guarantee: Guarantee::AtLeastOnce,
            precision: Precision::High,
            priority: Default::default(),
            order_key: None,
            verbatim: None,
        },
    }
}

/// A revision of the schedule.
pub(crate) fn revision(
    number: u64,
    definition: Option<ScheduleDefinition>,
    paused: bool,
) -> Command {
    Command::Revise(Box::new(Revision {
        namespace: namespace(),
        schedule: schedule_id(),
        number,
        definition,
        paused,
        note: String::new(),
        author: String::new(),
    }))
}

/// A run of the schedule at once.
pub(crate) fn trigger(overlap: Option<OverlapPolicy>) -> Command {
    Command::Trigger {
        namespace: namespace(),
        schedule: schedule_id(),
        overlap,
    }
}

/// Runs of the schedule for a stretch of nominal times.
pub(crate) fn backfill(from_ms: i64, to_ms: i64) -> Command {
    Command::Backfill {
        namespace: namespace(),
        schedule: schedule_id(),
        from: at(from_ms),
        to: at(to_ms),
    }
}

/// The end of the run of a nominal time, whenever it was due.
pub(crate) fn completed(nominal_ms: i64, kind: OutcomeKind) -> Command {
    ended(RunCause::Calendar, nominal_ms, None, kind)
}

/// The end of a run.
pub(crate) fn ended(
    cause: RunCause,
    nominal_ms: i64,
    due_ms: Option<i64>,
    kind: OutcomeKind,
) -> Command {
    let key = cause.task_key(&namespace(), &schedule_id(), at(nominal_ms));
    Command::Completed {
        key,
        due: due_ms.map(at),
        kind,
    }
}
