//! Effects on their way to the stores: how long they take, what gets lost, what arrives twice.

use minutehand_engine::{Effect, Failure, Input, StopReason};
use minutehand_model::LogOffset;

use super::event::{Answer, Envelope, Event, OwnerId, Request, RequestKind};
use crate::trace::Who;

/// How long a sender waits for an answer, in milliseconds.
const PATIENCE_MS: i64 = 2_000;
/// The longest hand-over: what is waited for, and a tick before and after it.
const HAND_OVER_MS_MAX: i64 = 5_000 + 2 * PATIENCE_MS + 100;

impl super::World {
    /// Sends an effect on its way.
    pub(crate) fn carry(&mut self, id: OwnerId, effect: Effect) {
        let (request, kind) = match effect {
            Effect::Open { request, epoch } => (request, RequestKind::Open { epoch }),
            Effect::ReadRevisions { request } => (request, RequestKind::ReadRevisions),
            Effect::ReadTimetable {
                request,
                from,
                until,
                bytes_max,
            } => (
                request,
                RequestKind::ReadTimetable {
                    from,
                    until,
                    bytes_max,
                },
            ),
            Effect::FindTask { request, key, due } => (request, RequestKind::FindTask { key, due }),
            Effect::ReadLog {
                request,
                from,
                bytes_max,
            } => (request, RequestKind::ReadLog { from, bytes_max }),
            Effect::WriteBlocks { request, blocks } => {
                (request, RequestKind::WriteBlocks { blocks })
            }
            Effect::WriteRevisions { request, revisions } => {
                (request, RequestKind::WriteRevisions { revisions })
            }
            Effect::KeepMinutes { request, tallies } => {
                (request, RequestKind::KeepMinutes { tallies })
            }
            Effect::Commit { request, tick, .. } => (request, RequestKind::Commit { tick }),
            Effect::Forget {
                log_below,
                timetable_before,
            } => {
                self.send_forget(id, log_below, timetable_before);
                return;
            }
            Effect::ForgetRevisions { offsets } => {
                self.stores.timetables[id.partition].forget_revisions(&offsets);
                return;
            }
            Effect::Release { epoch } => {
                self.let_go(id, epoch);
                return;
            }
            Effect::Stopped { reason } => {
                self.stopped(id, reason);
                return;
            }
        };
        let session = self.owner_mut(id).map_or(0, |owner| owner.session);
        let clock_ms = self.nodes[id.node].clock(self.now_ms).as_millis();
        let latest_clock_ms = self.nodes[id.node].latest_clock_ms(self.now_ms);
        let gives_up_ms = self.now_ms + PATIENCE_MS;
        let store = kind.store();
        let envelope = Envelope {
            owner: id,
            request,
            store,
            gives_up_ms,
            is_stray: false,
            session,
            clock_ms,
            latest_clock_ms,
        };
        self.send(Request { envelope, kind });
    }

    fn send(&mut self, mut request: Request) {
        let Envelope {
            owner,
            store,
            gives_up_ms,
            ..
        } = request.envelope;
        let is_cut = self
            .network
            .cut_until(owner.node, store, self.now_ms)
            .is_some();
        if is_cut || self.rng.chance(self.model.lost_request) {
            self.counts.lost_messages += 1;
            self.give_up(request.envelope);
            return;
        }
        let mut delay_ms = self.wire_ms();
        if let Some(slow_ms) = self.slow_ms() {
            self.counts.slow_requests += 1;
            delay_ms += slow_ms;
        }
        if request.kind.is_write() && self.rng.chance(self.model.duplicate_write) {
            self.counts.duplicate_writes += 1;
            let later_ms = delay_ms + self.rng.range(0, self.model.duplicate_write_ms_max.max(1));
            let mut duplicate = request.clone();
            duplicate.envelope.is_stray = true;
            self.queue
                .push(self.now_ms + later_ms, Event::Land(Box::new(duplicate)));
        }
        let lands_ms = self.now_ms + delay_ms;
        if lands_ms >= gives_up_ms {
            self.give_up(request.envelope);
            request.envelope.is_stray = true;
        }
        self.queue.push(lands_ms, Event::Land(Box::new(request)));
    }

    /// Time on the wire, one way.
    pub(crate) fn wire_ms(&mut self) -> i64 {
        self.rng.range(1, 4)
    }

    /// How much longer a request takes that is a slow one.
    pub(crate) fn slow_ms(&mut self) -> Option<i64> {
        let is_slow = self.rng.chance(self.model.slow_request);
        is_slow.then(|| self.rng.range(1, self.model.slow_request_ms_max.max(1)))
    }

    /// The sender hears nothing and gives up in time.
    pub(crate) fn give_up(&mut self, envelope: Envelope) {
        let input = Input::Failed {
            request: envelope.request,
            failure: Failure::Retry,
        };
        let answer = Box::new(Answer {
            input,
            session: None,
            is_stray: false,
        });
        let at_ms = envelope.gives_up_ms.max(self.now_ms);
        self.queue.push(
            at_ms,
            Event::Answer {
                owner: envelope.owner,
                answer,
            },
        );
    }

    fn send_forget(
        &mut self,
        id: OwnerId,
        log_below: LogOffset,
        timetable_before: minutehand_model::Timestamp,
    ) {
        let kind = RequestKind::Forget {
            log_below,
            timetable_before,
        };
        if self
            .network
            .cut_until(id.node, kind.store(), self.now_ms)
            .is_some()
        {
            return;
        }
        let envelope = Envelope {
            owner: id,
            request: minutehand_engine::RequestId(0),
            store: kind.store(),
            gives_up_ms: self.now_ms,
            is_stray: true,
            session: 0,
            clock_ms: 0,
            latest_clock_ms: 0,
        };
        let request = Request { envelope, kind };
        let lands_ms = self.now_ms + self.wire_ms();
        self.queue.push(lands_ms, Event::Land(Box::new(request)));
    }

    fn let_go(&mut self, id: OwnerId, epoch: minutehand_model::Epoch) {
        self.counts.hand_overs += 1;
        self.note_slow_hand_over(id);
        self.nodes[id.node].owners[id.partition] = None;
        self.note(
            Who::Owner(id.node, id.partition),
            "release",
            [epoch.0, 0],
            || format!("epoch {epoch}"),
        );
        let lands_ms = self.now_ms + self.wire_ms();
        self.queue.push(
            lands_ms,
            Event::ReleaseLands {
                node: id.node,
                partition: id.partition,
                epoch,
            },
        );
    }

    /// Takes note of a hand-over that has taken longer than it may. One whose node stood still, or
    /// was shown other times, had no way to know.
    pub(crate) fn note_slow_hand_over(&mut self, id: OwnerId) {
        let node = &self.nodes[id.node];
        let Some(since_ms) = node.owners[id.partition]
            .as_ref()
            .and_then(|owner| owner.handing_over_since_ms)
        else {
            return;
        };
        let took_ms = self.now_ms - since_ms;
        let is_disturbed = node.paused_until_ms.max(node.clock_set_at_ms) >= since_ms;
        if took_ms > HAND_OVER_MS_MAX && !is_disturbed {
            let OwnerId {
                node, partition, ..
            } = id;
            self.misconduct.slow_hand_overs.push(format!(
                "node {node} needed {took_ms} ms to hand over partition {partition}; at most {HAND_OVER_MS_MAX} are allowed"
            ));
        }
    }

    fn stopped(&mut self, id: OwnerId, reason: StopReason) {
        self.note(Who::Owner(id.node, id.partition), "stopped", [0, 0], || {
            reason.to_string()
        });
        let Some(owner) = self.nodes[id.node].owners[id.partition].take() else {
            return;
        };
        // A stale owner may well find that its successor has let the log forget what it wants to
        // read.
        let is_current = self.stores.sinks[id.partition].opened() == owner.epoch;
        if matches!(reason, StopReason::ClockOff { .. }) {
            self.counts.clocks_refused += 1;
            self.end_for_its_clock(id.node);
            return;
        }
        if reason != StopReason::Fenced && is_current {
            let stop = format!("partition {} epoch {}: {reason}", id.partition, owner.epoch);
            self.misconduct.fatal_stops.push(stop);
        }
        let lands_ms = self.now_ms + self.wire_ms();
        let release = Event::ReleaseLands {
            node: id.node,
            partition: id.partition,
            epoch: owner.epoch,
        };
        self.queue.push(lands_ms, release);
        self.queue.push(
            lands_ms + 200,
            Event::Reconcile {
                node: id.node,
                incarnation: self.nodes[id.node].incarnation,
            },
        );
    }
}
