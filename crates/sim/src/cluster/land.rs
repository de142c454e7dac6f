//! Requests that reach a store: what it does, and what it answers.

use minutehand_engine::{Failure, Input};
use minutehand_model::{Block, Epoch, Found, LedgerRow, LogOffset, Tally, Tick, Timestamp};

use super::event::{Answer, Envelope, Event, OwnerId, Request, RequestKind};
use crate::planted::Flaw;
use crate::store::{Appends, CommitAt, ReadRecords};
use crate::trace::Who;

impl super::World {
    pub(crate) fn land(&mut self, request: Request) {
        let Request { envelope, kind } = request;
        let id = envelope.owner;
        let sender_is_gone = self.nodes[id.node].incarnation != id.incarnation;
        if sender_is_gone && self.rng.chance(self.model.crash_loses_request) {
            return;
        }
        if self.network.is_out(envelope.store, self.now_ms) {
            self.counts.refused_requests += 1;
            let what = kind.as_str();
            self.note(owner(id), "refused", [envelope.store as u64, 0], || {
                what.to_owned()
            });
            self.reply(envelope, failed(envelope, Failure::Retry), None);
            return;
        }
        match kind {
            RequestKind::Open { epoch } => self.land_open(envelope, epoch),
            RequestKind::ReadRevisions => {
                let entries = self.timetable_of(id).revisions();
                let request = envelope.request;
                self.reply(envelope, Input::Revisions { request, entries }, None);
            }
            RequestKind::ReadTimetable {
                from,
                until,
                bytes_max,
            } => {
                let mut page = self.timetable_of(id).read(from, until, bytes_max);
                self.spoil_rows(&mut page.entries);
                let (entries, complete) = (page.entries.len(), page.complete_until);
                self.note(owner(id), "timetable", [entries as u64, 0], || {
                    format!("{from} .. {until}: {entries} entries, complete until {complete}")
                });
                self.reply(
                    envelope,
                    Input::Page {
                        request: envelope.request,
                        page,
                    },
                    None,
                );
            }
            RequestKind::FindTask { key, due } => {
                let mut entries = self.stores.timetables[id.partition].find_due(key, due);
                self.spoil_found(&mut entries);
                let count = entries.len() as u64;
                self.note(owner(id), "find task", [key.low(), count], || {
                    format!("{:016x} due {due}: {count} entries", key.low())
                });
                let request = envelope.request;
                self.reply(envelope, Input::Found { request, entries }, None);
            }
            RequestKind::ReadLog { from, bytes_max } => {
                self.land_read_log(envelope, from, bytes_max)
            }
            RequestKind::WriteBlocks { blocks } => self.land_blocks(envelope, blocks),
            RequestKind::WriteRevisions { revisions } => {
                for revision in revisions {
                    let is_lost =
                        self.setup.flaw == Some(Flaw::RevisionsLost) && self.rng.chance(0.5);
                    if !is_lost && !self.write_is_lost() {
                        self.stores.timetables[id.partition].write_revision(revision);
                    }
                }
                self.done(envelope);
            }
            RequestKind::KeepMinutes { tallies } => self.land_minutes(envelope, &tallies),
            RequestKind::Commit { tick } => self.land_commit(envelope, *tick),
            RequestKind::Forget {
                log_below,
                timetable_before,
            } => {
                let flaw = self.setup.flaw;
                let below = log_below.plus(flaw.map_or(0, |flaw| flaw.truncates_too_far()));
                let before = timetable_before
                    .plus_millis(flaw.map_or(0, |flaw| flaw.expires_too_early_ms()));
                self.note(
                    owner(id),
                    "forget",
                    [below.bits(), before.as_millis() as u64],
                    || format!("log below {below}, timetable before {before}"),
                );
                if !self.setup.log_keeps_all {
                    self.stores.logs[id.partition].truncate(below);
                }
                self.stores.timetables[id.partition].expire(before);
            }
        }
    }

    fn land_open(&mut self, envelope: Envelope, epoch: Epoch) {
        let (id, partition) = (envelope.owner, envelope.owner.partition);
        let Ok(session) = self.stores.sinks[partition].open(epoch) else {
            self.note(owner(id), "open refused", [epoch.0, 0], || {
                format!("epoch {epoch}")
            });
            self.reply(envelope, failed(envelope, Failure::Fenced), None);
            return;
        };
        let checkpoint = self.spoil_checkpoint(partition);
        let prepared_from = self.prepared_from(id, checkpoint.as_ref());
        let sink = &self.stores.sinks[partition];
        let tick = sink.checkpoint().map_or(0, |checkpoint| checkpoint.tick);
        let log_end = self.stores.logs[partition].end();
        let input = Input::Opened {
            request: envelope.request,
            checkpoint: checkpoint.map(Box::new),
            schedule_states: sink.states(),
            log_end,
            taken_at: self.taken_at(),
            prepared_from,
        };
        self.note(owner(id), "open", [epoch.0, tick], || {
            format!("epoch {epoch}, last tick {tick}, log ends at {log_end}")
        });
        self.reply(envelope, input, Some(session));
    }

    /// The time as a sink tells it that has a clock of its own.
    fn taken_at(&self) -> Option<Timestamp> {
        self.setup
            .sinks_tell_the_time
            .then(|| Timestamp::from_millis(self.now_ms))
    }

    fn land_read_log(&mut self, envelope: Envelope, from: LogOffset, bytes_max: usize) {
        let (id, partition) = (envelope.owner, envelope.owner.partition);
        if let Some(kept_ms) = self.setup.flaw.and_then(|flaw| flaw.forgets_after_ms()) {
            self.stores.logs[partition].forget_before(self.now_ms - kept_ms);
        }
        let prepared = self
            .log_of(id)
            .filter(|log| from < log.end())
            .and_then(|log| log.read(from, bytes_max));
        let read = match prepared {
            Some(read) => Some(read),
            None => self.stores.logs[partition].read_stable(from, bytes_max, self.now_ms),
        };
        let input = match read {
            Some(mut read) => {
                self.spoil_records(from, &mut read);
                self.clamp_times(id, from, &mut read);
                let (count, next, end) = (read.records.len(), read.next, read.end);
                self.note(owner(id), "read log", [from.bits(), count as u64], || {
                    format!(
                        "{from} .. {next} of {end}: {count} records, {} bytes",
                        read.payloads_bytes
                    )
                });
                Input::Records {
                    request: envelope.request,
                    records: read.records,
                    next,
                    end,
                }
            }
            None => {
                let start = self.stores.logs[partition].start();
                self.note(
                    owner(id),
                    "log is gone",
                    [from.bits(), start.bits()],
                    || format!("{from} was asked for, the log begins at {start}"),
                );
                failed(envelope, Failure::Fatal)
            }
        };
        self.reply(envelope, input, None);
    }

    /// A reader that goes on where it was never shows a time that lies before one that it has
    /// shown.
    fn clamp_times(&mut self, id: OwnerId, from: LogOffset, read: &mut ReadRecords) {
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        let (reads_on_at, mut latest) = owner.reader;
        if from != reads_on_at {
            latest = Timestamp::MIN;
        }
        for record in &mut read.records {
            latest = latest.max(record.appended_at);
            record.appended_at = latest;
        }
        owner.reader = (read.next, latest);
    }

    /// Planted: an acknowledged write is not there.
    fn write_is_lost(&mut self) -> bool {
        self.setup.flaw.is_some_and(|flaw| flaw.loses_writes()) && self.rng.chance(0.05)
    }

    fn land_blocks(&mut self, envelope: Envelope, blocks: Vec<Block>) {
        let (id, partition) = (envelope.owner, envelope.owner.partition);
        let entries = blocks
            .iter()
            .map(|block| block.entries.len())
            .sum::<usize>();
        self.note(
            owner(id),
            "blocks",
            [blocks.len() as u64, entries as u64],
            || {
                let names = blocks.iter().map(block_in_words).collect::<Vec<_>>();
                format!(
                    "{}{}",
                    names.join(", "),
                    if envelope.is_stray { " (stray)" } else { "" }
                )
            },
        );
        for block in blocks {
            let flip = self
                .rng
                .chance(self.model.corrupt_block)
                .then(|| self.rng.next());
            self.counts.corrupt_blocks += u64::from(flip.is_some());
            if !self.write_is_lost() {
                self.stores.timetables[partition].write_block(block, flip);
            }
        }
        self.done(envelope);
    }

    /// Keeps rows of the ledger, each with what the timetable itself holds.
    fn land_minutes(&mut self, envelope: Envelope, tallies: &[Tally]) {
        let (id, partition) = (envelope.owner, envelope.owner.partition);
        for tally in tallies {
            let mut found = Found::begin(tally);
            let page =
                self.stores.timetables[partition].read(tally.minute, tally.end(), usize::MAX);
            found.take_in(&page.entries);
            let row = LedgerRow {
                tally: *tally,
                found: found.sum(),
            };
            self.note(
                owner(id),
                "minute",
                [tally.closed_by, tally.published.count],
                || format!("{row:?}"),
            );
            self.stores.ledgers[partition].write(row);
        }
        let request = envelope.request;
        self.reply(envelope, Input::Done { request }, None);
    }

    fn land_commit(&mut self, envelope: Envelope, mut tick: Tick) {
        self.spoil_tick(&mut tick);
        let doubtful = self.rng.chance(self.model.commit_in_doubt);
        self.counts.commits_in_doubt += u64::from(doubtful);
        let Envelope {
            clock_ms,
            latest_clock_ms,
            session,
            ..
        } = envelope;
        let at = CommitAt {
            now_ms: self.now_ms,
            clock_ms,
            latest_clock_ms,
            session: Some(session),
        };
        if self.stores.sinks[tick.partition.index()]
            .reception
            .refuses_tick(&tick.publications)
        {
            self.reply(envelope, failed(envelope, Failure::Fatal), None);
            return;
        }
        if doubtful && self.rng.chance(0.5) || self.tear(&tick, at) {
            self.reply(envelope, failed(envelope, Failure::Retry), None);
            return;
        }
        let input = match self.commit(envelope.owner, tick, at) {
            None => failed(envelope, Failure::Fenced),
            Some(_) if doubtful => failed(envelope, Failure::Retry),
            Some(derived_end) => Input::Committed {
                request: envelope.request,
                derived_end,
                taken_at: self.taken_at(),
            },
        };
        self.reply(envelope, input, None);
    }

    /// Planted: the transaction is torn. True when the sender is to hear of a failure.
    fn tear(&mut self, tick: &Tick, at: CommitAt) -> bool {
        let Some(flaw) = self.setup.flaw else {
            return false;
        };
        let partition = tick.partition.index();
        if flaw.splits_transactions() && !tick.publications.is_empty() && self.rng.chance(0.02) {
            self.stores.sinks[partition].commit_torn(tick.clone(), at, false);
            return true;
        }
        if flaw.tears_ticks() && tick.publications.len() > 1 && self.rng.chance(0.02) {
            self.stores.sinks[partition].commit_torn(tick.clone(), at, true);
            return true;
        }
        false
    }

    /// Commits a tick, unless it is refused; answers the end of what it appended to the log, if it
    /// appended anything.
    fn commit(&mut self, id: OwnerId, tick: Tick, at: CommitAt) -> Option<Option<LogOffset>> {
        let partition = id.partition;
        let (number, epoch, published) = (
            tick.checkpoint.tick,
            tick.checkpoint.epoch,
            tick.publications.len(),
        );
        let checkpoint = tick.checkpoint.clone();
        let asked = if self.trace.has_text() {
            asked_in_words(&tick)
        } else {
            String::new()
        };
        let first_publication = self.stores.sinks[partition].publications.len();
        let first_stop = self.stores.sinks[partition].stops.len();
        let Ok(Appends { derived, others }) = self.stores.sinks[partition].commit(tick, at) else {
            self.counts.fenced_commits += 1;
            self.note(owner(id), "commit refused", [epoch.0, number], || {
                format!("epoch {epoch} tick {number}")
            });
            return None;
        };
        self.note(owner(id), "commit", [number, published as u64], || {
            let (head, behind) = (checkpoint.frontier.head, checkpoint.frontier.backlog.len());
            let owed = checkpoint.frontier.owed_after.map_or(String::new(), |after| {
                format!(" owed after ({}, {})", after.due, after.offset)
            });
            format!(
                "epoch {epoch} tick {number}: {published} published, A {} F ({}, {}) {behind} behind{owed} R {}{asked}",
                checkpoint.applied, head.due, head.offset, checkpoint.replay_from
            )
        });
        self.note_publications(partition, first_publication);
        let loses_derived = self.setup.flaw.is_some_and(|flaw| flaw.loses_derived());
        let has_derived = !derived.is_empty();
        let derived = derived.into_iter().filter(|_| !loses_derived);
        let appended: Vec<_> = derived.chain(others).collect();
        let has_grown = has_derived || !appended.is_empty();
        for command in appended {
            self.stores.logs[partition].append_command(self.now_ms, command);
        }
        if has_grown {
            self.tell_of_growth(partition);
        }
        let derived_end = has_derived.then(|| self.stores.logs[partition].end());
        let derived_end = derived_end.map(|end| self.told_by(Flaw::GenerationOfDerived, end));
        if self.setup.log_has_markers {
            self.stores.logs[partition].leave_hole(1);
        }
        self.executions_published(partition, first_publication, first_stop);
        Some(derived_end)
    }

    fn note_publications(&mut self, partition: usize, first: usize) {
        for index in first..self.stores.sinks[partition].publications.len() {
            let published = &self.stores.sinks[partition].publications[index];
            let (key, due, offset) = (published.key, published.due, published.offset);
            let is_early = due.as_millis() > self.now_ms;
            self.counts.early_by_true_time += u64::from(is_early);
            self.trace.note(
                self.now_ms,
                Who::Store(partition),
                "publish",
                [key.low(), due.as_millis() as u64],
                || format!("{:016x} due {due} offset {offset}", key.low()),
            );
        }
    }

    /// Answers that it is done.
    fn done(&mut self, envelope: Envelope) {
        let request = envelope.request;
        self.reply(envelope, Input::Done { request }, None);
    }

    /// Sends an answer on its way back; it may get lost, come too late, or come twice.
    pub(crate) fn reply(&mut self, envelope: Envelope, input: Input, session: Option<u64>) {
        let Envelope {
            owner,
            store,
            gives_up_ms,
            is_stray,
            ..
        } = envelope;
        let mut answers_ms = self.now_ms + self.wire_ms();
        let repeats = self.rng.chance(self.model.repeated_answer);
        let stray = repeats.then(|| {
            Box::new(Answer {
                input: input.clone(),
                session: None,
                is_stray: true,
            })
        });
        if !is_stray {
            let is_cut = self
                .network
                .cut_until(owner.node, store, self.now_ms)
                .is_some();
            if is_cut || self.rng.chance(self.model.lost_answer) || answers_ms > gives_up_ms {
                self.counts.lost_messages += 1;
                self.give_up(envelope);
            } else {
                let answer = Box::new(Answer {
                    input,
                    session,
                    is_stray: false,
                });
                self.queue.push(answers_ms, Event::Answer { owner, answer });
                answers_ms += self.rng.range(0, 3_000);
            }
        }
        if let Some(answer) = stray {
            self.counts.repeated_answers += 1;
            self.queue.push(answers_ms, Event::Answer { owner, answer });
        }
    }
}

fn owner(id: OwnerId) -> Who {
    Who::Owner(id.node, id.partition)
}

fn failed(envelope: Envelope, failure: Failure) -> Input {
    Input::Failed {
        request: envelope.request,
        failure,
    }
}

fn block_in_words(block: &Block) -> String {
    format!(
        "{}/{}-{} ({})",
        block.bucket,
        block.first_offset,
        block.last_offset,
        block.entries.len()
    )
}

/// What a tick asks of workers, and what it appends to the log.
fn asked_in_words(tick: &Tick) -> String {
    let stops = tick.stops.iter().map(|stop| {
        let what = if stop.kill { "kill" } else { "stop" };
        format!("; {what} {:016x} due {}", stop.key.low(), stop.due)
    });
    let derived = tick.derived.iter().map(|command| format!("; {command:?}"));
    stops.chain(derived).collect()
}
