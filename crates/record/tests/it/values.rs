//! Random values of everything that is stored, from a seed.

use bytes::Bytes;
use minutehand_model::*;
use minutehand_record::publication::BatchHeader;

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Values(pub(crate) u64);

impl Values {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Of any log.
    pub(crate) fn offset(&mut self) -> LogOffset {
        LogOffset::from_bits(self.number() >> 1).unwrap()
    }

    /// Of any region.
    pub(crate) fn partition(&mut self) -> PartitionId {
        PartitionId::from_bits(self.number() as u32 >> 1).unwrap()
    }

    /// Numbers of every magnitude, the ends of the range included.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            _ => {
                let bits = self.below(64);
                self.next() >> bits
            }
        }
    }

    pub(crate) fn any_time(&mut self) -> Timestamp {
        match self.below(6) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            _ => Timestamp::from_millis(self.number() as i64),
        }
    }

    pub(crate) fn civil_time(&mut self) -> Timestamp {
        match self.below(6) {
            0 => Timestamp::END_OF_YEAR_9999,
            1 => Timestamp::from_millis(-62_167_219_200_000),
            _ => Timestamp::from_millis(1_700_000_000_000 + self.below(1 << 40) as i64 - (1 << 39)),
        }
    }

    pub(crate) fn text(&mut self, characters: &str, length_max: u64) -> String {
        let characters: Vec<char> = characters.chars().collect();
        let length = 1 + self.below(length_max);
        (0..length)
            .map(|_| characters[self.below(characters.len() as u64) as usize])
            .collect()
    }

    pub(crate) fn prose(&mut self) -> String {
        if self.flag() {
            String::new()
        } else {
            self.text("a z9\"\\äß漢🦀\n\0", 40)
        }
    }

    pub(crate) fn bytes(&mut self, length_max: u64) -> Bytes {
        let length = self.below(length_max + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn optional<T>(&mut self, make: impl FnOnce(&mut Values) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    pub(crate) fn several<T>(
        &mut self,
        most: u64,
        mut make: impl FnMut(&mut Values) -> T,
    ) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }

    pub(crate) fn key(&mut self) -> TaskKey {
        TaskKey(u128::from(self.next()) << 64 | u128::from(self.next()))
    }

    /// A text that is a name: `.` and `..` are none.
    fn name(&mut self, characters: &str, length_max: u64) -> String {
        let text = self.text(characters, length_max);
        if matches!(&*text, "." | "..") {
            text.replace('.', "a")
        } else {
            text
        }
    }

    pub(crate) fn namespace(&mut self) -> Namespace {
        Namespace::parse(&self.name("abcXYZ019._-", 64)).unwrap()
    }

    pub(crate) fn queue(&mut self) -> QueueName {
        QueueName::parse(&self.name("abcXYZ019._-", 64)).unwrap()
    }

    pub(crate) fn schedule_id(&mut self) -> ScheduleId {
        ScheduleId::parse(&self.name("abcXYZ019._-:@+=~/", 160)).unwrap()
    }

    pub(crate) fn retry(&mut self) -> RetryPolicy {
        let base_ms = 1 + self.below(1_000_000) as i64;
        let fixed = Backoff::Fixed {
            delay_ms: 1 + self.below(1_000) as i64,
        };
        match self.below(3) {
            0 => RetryPolicy::default(),
            1 => RetryPolicy::NEVER,
            _ => RetryPolicy {
                backoff: self.one_of(&[
                    Backoff::None,
                    Backoff::Immediate,
                    Backoff::Exponential,
                    fixed,
                ]),
                base_ms,
                cap_ms: base_ms + self.below(1_000_000) as i64,
                attempts_max: 1 + self.below(1_000) as u32,
                age_ms_max: self.optional(|values| 1 + values.below(1_000_000) as i64),
            },
        }
    }

    pub(crate) fn headers(&mut self) -> Vec<(String, String)> {
        self.several(4, |values| (values.text("abc-é", 20), values.prose()))
    }

    pub(crate) fn task(&mut self) -> Task {
        let due = self.civil_time();
        self.task_due(due)
    }

    pub(crate) fn task_due(&mut self, due: Timestamp) -> Task {
        Task {
            namespace: self.namespace(),
            id: TaskId::parse(&self.name("abcXYZ019._-:@+=~/", 200)).unwrap(),
            order_key: None,
            queue: self.queue(),
            due,
            payload: self.bytes(64),
            headers: self.headers(),
            retry: self.retry(),
            guarantee: self.one_of(Guarantee::ALL),
            precision: self.one_of(Precision::ALL),
            priority: Priority::default(),
            attempt: if self.flag() {
                1
            } else {
                1 + self.below(u64::from(u32::MAX)) as u32
            },
            first_due: if self.flag() { due } else { self.civil_time() },
            replay_of: self.optional(Values::civil_time),
            origin: self.optional(|values| Origin {
                schedule: values.schedule_id(),
                nominal: values.civil_time(),
                completion_wanted: values.flag(),
            }),
            group: None,
            chain: Chain::default(),
            verbatim: None,
        }
    }

    /// Of so many levels at most.
    fn chain(&mut self, levels: u64) -> Chain {
        if levels == 0 {
            return Chain::default();
        }
        let next = |values: &mut Values| {
            Box::new(ChainedTask {
                queue: values.queue(),
                delay_ms: values.below(1 << 34) as i64,
                payload: values.bytes(30),
                headers: values.headers(),
                retry: values.retry(),
                guarantee: values.one_of(Guarantee::ALL),
                precision: values.one_of(Precision::ALL),
                chain: values.chain(levels - 1),
            })
        };
        Chain {
            on_success: self.optional(next),
            on_failure: self.optional(next),
        }
    }

    /// What a Kafka record may have had, for a task or an action with these headers: those it names
    /// become empty texts.
    fn verbatim(&mut self, headers: &mut [(String, String)]) -> Option<Box<Verbatim>> {
        let mut header_values = Vec::new();
        for (place, (_, text)) in headers.iter_mut().enumerate() {
            if self.flag() {
                text.clear();
                let raw = self.optional(|values| [&[0xff], &values.bytes(12)[..]].concat().into());
                header_values.push((place, raw));
            }
        }
        let key = match self.below(3) {
            0 => RecordKey::TaskId,
            1 => RecordKey::Null,
            _ => RecordKey::Bytes(self.bytes(12)),
        };
        Verbatim {
            key,
            value_is_null: self.flag(),
            header_values,
        }
        .boxed()
    }

    /// A task that came as a Kafka record.
    pub(crate) fn verbatim_task(&mut self) -> Task {
        let mut task = self.task();
        task.verbatim = self.verbatim(&mut task.headers);
        if task
            .verbatim
            .as_ref()
            .is_some_and(|verbatim| verbatim.value_is_null)
        {
            task.payload = Bytes::new();
        }
        task
    }

    /// A task with a key.
    pub(crate) fn keyed_task(&mut self) -> Task {
        Task {
            order_key: Some(self.order_key()),
            ..self.task()
        }
    }

    pub(crate) fn order_key(&mut self) -> OrderKey {
        OrderKey::parse(&self.name("abcXYZ019._-:@+=~/", 200)).unwrap()
    }

    /// A task with a priority of its own.
    pub(crate) fn urgent_task(&mut self) -> Task {
        Task {
            priority: self.priority(),
            ..self.task()
        }
    }

    /// A task that is one worker group's alone.
    pub(crate) fn grouped_task(&mut self) -> Task {
        let group = self.text("abc-é ", 60);
        Task {
            group: GroupName::parse(&group).ok(),
            ..self.chained_task()
        }
    }

    fn priority(&mut self) -> Priority {
        Priority::of_level(self.below(10)).unwrap()
    }

    /// A schedule whose runs have a key and a priority of their own.
    pub(crate) fn ordered_revision(&mut self) -> RevisionEntry {
        let mut entry = self.revision_entry();
        if let Some(definition) = &mut entry.revision.definition {
            definition.action.order_key = self.optional(Values::order_key);
            definition.action.priority = self.priority();
        }
        entry
    }

    /// A task that is followed by others.
    pub(crate) fn chained_task(&mut self) -> Task {
        let task = self.verbatim_task();
        Task {
            chain: self.chain(3),
            ..task
        }
    }

    /// A schedule that came as a Kafka record.
    pub(crate) fn verbatim_revision(&mut self) -> RevisionEntry {
        let mut entry = self.revision_entry();
        if let Some(definition) = &mut entry.revision.definition {
            let action = &mut definition.action;
            action.verbatim = self.verbatim(&mut action.headers);
            if action
                .verbatim
                .as_ref()
                .is_some_and(|verbatim| verbatim.value_is_null)
            {
                action.payload = Bytes::new();
            }
        }
        entry
    }

    pub(crate) fn record(&mut self) -> TaskRecord {
        minutehand_record::task::record(&self.task())
    }

    pub(crate) fn command(&mut self) -> Command {
        let (due, task) = (self.civil_time(), self.record());
        let (namespace, schedule, key) = (self.namespace(), self.schedule_id(), task.key);
        match self.below(11) {
            0 => Command::Create(task),
            1 => Command::Cancel { key, due },
            2 => Command::Move { key, due, task },
            3 => Command::Replace { key, due, task },
            4 => Command::Moved { key, due, task },
            5 => Command::Revise(Box::new(self.revision())),
            6 => Command::Trigger {
                namespace,
                schedule,
                overlap: self.optional(|values| values.one_of(OverlapPolicy::ALL)),
            },
            7 => Command::Backfill {
                namespace,
                schedule,
                from: due,
                to: self.civil_time(),
            },
            8 => Command::Completed {
                key,
                due: self.optional(Values::civil_time),
                kind: self.outcome_kind(),
            },
            9 => Command::StopBackfill {
                namespace,
                schedule,
                backfill: self.offset(),
            },
            _ => Command::ForgetRuns {
                namespace,
                schedule,
            },
        }
    }

    pub(crate) fn outcome_kind(&mut self) -> OutcomeKind {
        self.one_of(OutcomeKind::ALL)
    }

    pub(crate) fn revision(&mut self) -> Revision {
        Revision {
            namespace: self.namespace(),
            schedule: self.schedule_id(),
            number: 1 + self.below(u64::MAX),
            definition: self.optional(Values::definition),
            paused: self.flag(),
            note: self.prose(),
            author: self.prose(),
        }
    }

    pub(crate) fn definition(&mut self) -> ScheduleDefinition {
        let recurrence = if self.flag() {
            RecurrenceSpec::Cron {
                expression: self.prose(),
                zone: self.prose(),
                dst: DstRule::Vixie,
            }
        } else {
            let zone = if self.flag() { "UTC" } else { "Asia/Kolkata" }.to_owned();
            RecurrenceSpec::Interval {
                every_ms: 1 + self.below(1 << 40) as i64,
                anchor: self.civil_time(),
                zone,
            }
        };
        ScheduleDefinition {
            recurrence,
            exclude: self.several(3, Values::prose),
            start: self.optional(Values::civil_time),
            end: self.optional(Values::civil_time),
            runs_max: self.optional(Values::number),
            jitter_ms: self.below(86_400_001) as i64,
            misfire: MisfirePolicy {
                rule: self.one_of(MisfireRule::ALL),
                window_ms: self.below(1 << 50) as i64,
                grace_ms: self.below(1 << 50) as i64,
            },
            overlap: self.one_of(OverlapPolicy::ALL),
            pause_on_failure: self.flag(),
            run_timeout_ms: self.optional(|values| 1_000 + values.below(1 << 30) as i64),
            action: ActionTemplate {
                order_key: None,
                queue: self.queue(),
                payload: self.bytes(40),
                headers: self.headers(),
                retry: self.retry(),
                guarantee: self.one_of(Guarantee::ALL),
                precision: self.one_of(Precision::ALL),
                priority: Priority::default(),
                verbatim: None,
            },
        }
    }

    pub(crate) fn revision_entry(&mut self) -> RevisionEntry {
        RevisionEntry {
            offset: self.offset(),
            appended_at: self.any_time(),
            revision: self.revision(),
        }
    }

    pub(crate) fn place(&mut self) -> Place {
        Place {
            due: self.any_time(),
            offset: self.offset(),
        }
    }

    pub(crate) fn checkpoint(&mut self) -> Checkpoint {
        let mut places = self.several(9, Values::place);
        places.push(self.place());
        places.sort();
        let head = places.pop().unwrap();
        let gaps = places
            .chunks_exact(2)
            .map(|pair| Gap {
                after: pair[0],
                through: pair[1],
                from_offset: pair[0].offset,
            })
            .collect::<Vec<_>>();
        let (one, other) = (self.offset(), self.offset());
        Checkpoint {
            epoch: Epoch(self.number()),
            tick: self.number(),
            applied: one.max(other),
            frontier: Frontier {
                head,
                gaps,
                backlog: Vec::new(),
                owed_after: None,
            },
            replay_from: one.min(other),
            remembered_from: self.any_time(),
            // Fixtures of released versions have none; the round trip stands beside the codec.
            minutes: Minutes::START,
        }
    }

    pub(crate) fn ledger_row(&mut self) -> LedgerRow {
        let minute = self.below(1 << 30) as i64;
        let begun = Tally::begin(Timestamp::from_millis(minute * 60_000), self.offset());
        LedgerRow {
            tally: Tally {
                stored: self.sum(),
                due: self.number(),
                withdrawn: self.number(),
                published: self.sum(),
                late: self.number(),
                recurring: self.number(),
                early: self.number(),
                left_out: self.number(),
                closed_by: self.number(),
                ..begun
            },
            found: self.optional(Values::sum),
        }
    }

    fn sum(&mut self) -> Sum {
        Sum {
            count: self.number(),
            digest: self.number(),
        }
    }

    fn run_in_progress(&mut self) -> RunInProgress {
        RunInProgress {
            key: self.key(),
            nominal: self.any_time(),
            cause: self.one_of(RunCause::ALL),
            due: self.any_time(),
            queue: self.queue(),
            started_at: self.any_time(),
            timeout_ms: self.below(1 << 40) as i64,
            deadline: self.any_time(),
            retry_due: self.optional(Values::any_time),
            stop: self.optional(|values| StopAsked {
                kill: values.flag(),
                at: values.any_time(),
                again_at: values.any_time(),
            }),
        }
    }

    pub(crate) fn schedule_state(&mut self) -> ScheduleState {
        const KINDS: [ScheduleEventKind; 17] = [
            ScheduleEventKind::Started,
            ScheduleEventKind::Succeeded,
            ScheduleEventKind::Failed,
            ScheduleEventKind::SkippedOverlap,
            ScheduleEventKind::Buffered,
            ScheduleEventKind::MissedWindow,
            ScheduleEventKind::MissedRule,
            ScheduleEventKind::RunsExhausted,
            ScheduleEventKind::CancelRequested,
            ScheduleEventKind::PausedByFailure,
            ScheduleEventKind::Cancelled,
            ScheduleEventKind::Lost,
            ScheduleEventKind::Expired,
            ScheduleEventKind::TimedOut,
            ScheduleEventKind::Ended,
            ScheduleEventKind::Forgotten,
            ScheduleEventKind::BackfillStopped,
        ];
        ScheduleState {
            runs_started: self.number(),
            skipped: self.number(),
            missed: self.number(),
            running: self.several(3, Values::run_in_progress),
            buffered: self
                .several(3, |values| WaitingRun {
                    nominal: values.any_time(),
                    trigger: values.optional(Values::offset),
                    is_alone: values.flag(),
                })
                .into(),
            backfills: self
                .several(3, |values| Backfill {
                    offset: values.offset(),
                    after: values.any_time(),
                    to: values.any_time(),
                })
                .into(),
            backfilled_at: self.optional(Values::any_time),
            paused_by_failure_at: self.optional(Values::any_time),
            triggered_at: self.optional(Values::any_time),
            switches: self
                .several(3, |values| (values.number(), values.any_time()))
                .into(),
            owed: self
                .several(3, |values| (values.number(), values.any_time()))
                .into(),
            // Fixtures of released versions have none.
            decided_through: None,
            rests: self
                .several(3, |values| Rest {
                    after: values.any_time(),
                    until: values.optional(Values::any_time),
                })
                .into(),
            events: self
                .several(5, |values| ScheduleEvent {
                    kind: values.one_of(&KINDS),
                    nominal: values.any_time(),
                    cause: values.one_of(RunCause::ALL),
                    at: values.any_time(),
                })
                .into(),
        }
    }

    pub(crate) fn outcome(&mut self) -> Outcome {
        Outcome {
            execution: ExecutionId(self.key().0),
            attempt: self.number() as u32,
            kind: self.outcome_kind(),
            detail: self.prose(),
            due: self.any_time(),
            started_at: self.any_time(),
            ended_at: self.any_time(),
            task: None,
        }
    }

    pub(crate) fn named_outcome(&mut self) -> Outcome {
        let outcome = self.outcome();
        Outcome {
            task: Some(Box::new(EndedTask::of(&self.task()))),
            ..outcome
        }
    }

    pub(crate) fn dead_letter(&mut self) -> DeadLetter {
        let task = self.record();
        DeadLetter {
            queue: task.queue,
            partition: self.partition(),
            key: task.key,
            at: self.any_time(),
            attempts: self.number() as u32,
            reason: self.prose(),
            encoded: task.encoded,
        }
    }

    pub(crate) fn last_word(&mut self) -> LastWord {
        let commands = (0..self.below(3))
            .map(|_| (self.partition(), self.bytes(40)))
            .collect();
        LastWord {
            commands,
            outcome: self.flag().then(|| (self.key(), self.outcome())),
        }
    }

    pub(crate) fn queue_rules(&mut self) -> QueueRules {
        let gate = self.flag().then(|| Gate {
            closed_at: self.any_time(),
            closed_by: self.prose(),
            reason: self.prose(),
            until: self.flag().then(|| self.any_time()),
            probe_every_ms: self.flag().then(|| self.number() as i64),
            drain_per_second: self.flag().then(|| self.number() as u32),
            opened: self.flag().then(|| Opening {
                at: self.any_time(),
                by: self.prose(),
            }),
        });
        QueueRules {
            gate,
            purge: self.flag().then(|| Purge {
                through: self.any_time(),
                by: self.prose(),
            }),
            per_second_max: self.flag().then(|| self.number() as u32),
            ..QueueRules::default()
        }
    }

    /// What is said of a queue that namespaces and keys share.
    pub(crate) fn shared_queue_rules(&mut self) -> QueueRules {
        let of_namespaces =
            self.several(3, |values| (values.namespace(), values.namespace_rules()));
        QueueRules {
            per_key_max: self.flag().then(|| self.number() as u32),
            of_each_namespace: self.namespace_rules(),
            breaker: self.optional(|values| Breaker {
                failures_max: values.number() as u32,
                probe_every_ms: values.number() as i64,
                drain_per_second: values.flag().then(|| values.number() as u32),
            }),
            of_namespaces: of_namespaces
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                .into(),
            ..self.queue_rules()
        }
    }

    fn namespace_rules(&mut self) -> NamespaceRules {
        NamespaceRules {
            weight: 1 + self.below(100) as u32,
            per_second_max: self.flag().then(|| self.number() as u32),
        }
    }

    pub(crate) fn set_aside(&mut self) -> SetAside {
        SetAside::new(self.prose(), self.prose(), self.bytes(40))
    }

    pub(crate) fn block(&mut self) -> Block {
        let bucket =
            Timestamp::from_millis(1_700_000_040_000 + 60_000 * self.below(1_000_000) as i64);
        let count = 1 + self.below(20);
        let mut dues: Vec<Timestamp> = (0..count)
            .map(|_| bucket.plus_millis(self.below(60_000) as i64))
            .collect();
        dues.sort();
        let entries: Vec<TimetableEntry> = dues
            .into_iter()
            .map(|due| {
                let task = minutehand_record::task::record(&self.task_due(due));
                TimetableEntry {
                    key: task.key,
                    due,
                    offset: self.offset(),
                    appended_at: self.any_time(),
                    fact: if self.below(4) == 0 {
                        Fact::Void
                    } else {
                        Fact::Runs(task)
                    },
                }
            })
            .collect();
        Block {
            partition: PartitionId::own(7),
            bucket,
            first_offset: entries.iter().map(|entry| entry.offset).min().unwrap(),
            last_offset: entries.iter().map(|entry| entry.offset).max().unwrap(),
            entries,
        }
    }

    pub(crate) fn batch(&mut self) -> (BatchHeader, Vec<Publication>, Vec<StopRequest>) {
        let header = BatchHeader {
            partition: self.partition(),
            epoch: Epoch(self.number()),
            tick: self.number(),
            published_at: self.civil_time(),
            first_sequence: self.number() >> 1,
        };
        let publications = self.several(12, |values| Publication {
            offset: values.offset(),
            task: values.record(),
        });
        let stops = self.several(4, |values| StopRequest {
            queue: values.queue(),
            key: values.key(),
            due: values.civil_time(),
            kill: values.flag(),
        });
        (header, publications, stops)
    }
}
