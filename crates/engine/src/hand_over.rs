//! Giving a partition up: what waits for its block is written, a last tick says where everything
//! stands, and the partition goes back.
//!
//! A hand-over waits for nothing that its successor can do as well. What is due, what is not
//! written and what has not been read yet is the successor's by the checkpoint. So a hand-over ends
//! in its time, whatever is due and whichever store is away; until its last tick tasks fire and
//! commands are applied as before.

use minutehand_model::{Phase, Timestamp};

use crate::effect::Effect;
use crate::ownership::HandOver;
use crate::partition::Partition;
use crate::planted::PlantedBug;
use crate::rules::Rules;

/// What is to be done about a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Tasks fire as before, while writes are waited for.
    Tick,
    /// The last tick is to be sent.
    LastTick,
    /// A tick is under way.
    Wait,
    /// The partition goes back.
    Release,
}

impl<R: Rules> Partition<R> {
    /// Begins a hand-over that was asked for. An owner that has not come to fire anything has
    /// nothing to write down.
    pub(crate) fn begin_hand_over(&mut self, asked_at: Timestamp) {
        if self.phase() == Phase::Owning {
            self.ownership.enter(Phase::HandingOver);
            self.ownership.hand_over = Some(HandOver::begin(self.now, asked_at, &self.config));
            self.flush();
        } else {
            self.release();
        }
    }

    /// Whether more blocks may be sent as far as a hand-over is concerned.
    pub(crate) fn hand_over_sends_blocks(&self) -> bool {
        self.ownership
            .hand_over
            .is_none_or(|hand_over| !hand_over.has_sent_blocks)
    }

    /// What waited for its block has been sent.
    pub(crate) fn blocks_sent_for_hand_over(&mut self) {
        if let Some(hand_over) = &mut self.ownership.hand_over {
            hand_over.has_sent_blocks = true;
        }
    }

    /// Whether only the answer to the last tick is waited for: nothing is applied any more.
    pub(crate) fn has_sent_last_tick(&self) -> bool {
        self.ownership
            .hand_over
            .is_some_and(|hand_over| hand_over.has_sent_last_tick)
    }

    /// Takes the next step of a hand-over.
    pub(crate) fn act_on_hand_over(&mut self) {
        let Some(hand_over) = self.ownership.hand_over else {
            return;
        };
        match self.next_step(hand_over) {
            Step::Tick => self.tick(),
            Step::LastTick => {
                self.ownership.hand_over = Some(HandOver {
                    has_sent_last_tick: true,
                    ..hand_over
                });
                self.build_tick(true);
            }
            Step::Wait => {}
            Step::Release => self.release(),
        }
    }

    fn next_step(&self, hand_over: HandOver) -> Step {
        if !hand_over.has_sent_last_tick && !self.may_send_last_tick(hand_over) {
            return Step::Tick;
        }
        match self.ticker.is_sending() {
            false if !hand_over.has_sent_last_tick && self.may_fire() => Step::LastTick,
            true if self.now < hand_over.ticks_until => Step::Wait,
            _ => Step::Release,
        }
    }

    fn may_send_last_tick(&self, hand_over: HandOver) -> bool {
        if self.breaks(PlantedBug::HandOverDrains)
            && self.due_at().is_some_and(|due| due <= self.now)
        {
            return false;
        }
        let is_written = hand_over.has_sent_blocks && self.writes.unacknowledged() == 0;
        let has_waited =
            self.now >= hand_over.writes_until && !self.breaks(PlantedBug::HandOverWaits);
        is_written || has_waited || self.breaks(PlantedBug::HandOverUnflushed)
    }

    /// When a hand-over has waited long enough for what it waits for.
    pub(crate) fn hand_over_at(&self) -> Option<Timestamp> {
        let HandOver {
            writes_until,
            ticks_until,
            ..
        } = self.ownership.hand_over?;
        [writes_until, ticks_until]
            .into_iter()
            .find(|until| *until > self.now)
    }

    /// The partition goes back. What is under way and what only memory knows is lost: the successor
    /// begins at the checkpoint, and fences what is still on its way.
    pub(crate) fn release(&mut self) {
        self.ownership.end();
        self.effects.push(Effect::Release {
            epoch: self.ownership.epoch(),
        });
    }
}
