//! The ownership of a partition: its phase, its lease, and how it ends.

use minutehand_model::{Epoch, Phase, Timestamp};

use crate::config::Config;
use crate::horizon::Horizon;
use crate::phase::WakeReason;
use crate::retry::Single;

/// The longest time that a hand-over waits for writes, in milliseconds. A successor reads from the
/// log what is not written.
const WRITES_AWAITED_MS_MAX: i64 = 5_000;
/// The shortest time that it waits for them, however long a successor had to be waited for.
const WRITES_AWAITED_MS_MIN: i64 = 500;

/// From the acquisition to the end.
#[derive(Debug)]
pub(crate) struct Ownership {
    phase: Phase,
    epoch: Epoch,
    lease_confirmed_at: Timestamp,
    /// How far F may go so that another region could adopt the partition.
    pub(crate) horizon: Horizon,
    /// Since when the partition is to be given up.
    hand_over_asked_at: Option<Timestamp>,
    pub(crate) opening: Single,
    /// The hand-over that is under way.
    pub(crate) hand_over: Option<HandOver>,
    pub(crate) wake: Option<(Timestamp, WakeReason)>,
}

impl Ownership {
    /// A partition that waits to be acquired.
    pub(crate) fn waiting(has_other_regions: bool) -> Ownership {
        Ownership {
            phase: Phase::Waiting,
            epoch: Epoch(0),
            lease_confirmed_at: Timestamp::MIN,
            horizon: Horizon::unknown(has_other_regions),
            hand_over_asked_at: None,
            opening: Single::default(),
            hand_over: None,
            wake: None,
        }
    }

    /// The same ownership opens its partition once more, after a failure that `opening` goes on
    /// from.
    pub(crate) fn anew(&self, opening: Single) -> Ownership {
        let Ownership {
            epoch,
            lease_confirmed_at,
            horizon,
            hand_over_asked_at,
            ..
        } = *self;
        let phase = Phase::Opening;
        Ownership {
            phase,
            epoch,
            lease_confirmed_at,
            horizon,
            hand_over_asked_at,
            opening,
            hand_over: None,
            wake: None,
        }
    }

    /// The coordinator has given the partition to this node.
    pub(crate) fn acquired(&mut self, epoch: Epoch, now: Timestamp) {
        if self.phase == Phase::Waiting {
            (self.epoch, self.lease_confirmed_at) = (epoch, now);
            self.enter(Phase::Opening);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The next phase.
    pub(crate) fn enter(&mut self, phase: Phase) {
        assert!(
            phase > self.phase,
            "an ownership goes from {:?} to {phase:?}",
            self.phase
        );
        self.phase = phase;
    }

    /// Nothing more happens.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Stopped;
        self.wake = None;
    }

    /// A hand-over was asked for.
    pub(crate) fn ask_for_hand_over(&mut self, asked_at: Timestamp) {
        self.hand_over_asked_at.get_or_insert(asked_at);
    }

    /// Since when a hand-over that has not begun has been asked for.
    pub(crate) fn hand_over_to_begin(&self) -> Option<Timestamp> {
        self.hand_over_asked_at.filter(|_| {
            matches!(
                self.phase,
                Phase::Opening | Phase::Loading | Phase::Replaying | Phase::Owning
            )
        })
    }

    pub(crate) fn lease_confirmed(&mut self, at: Timestamp) {
        self.lease_confirmed_at = self.lease_confirmed_at.max(at);
    }

    /// A node that has not heard from the coordinator for two thirds of its lease's time to live
    /// may have a successor.
    pub(crate) fn has_fresh_lease(&self, now: Timestamp, config: &Config) -> bool {
        now.millis_since(self.lease_confirmed_at) < config.lease_ttl_ms * 2 / 3
    }

    pub(crate) fn clock_went_back(&mut self, now: Timestamp, config: &Config) {
        self.lease_confirmed_at = self.lease_confirmed_at.min(now);
        if let Some(hand_over) = &mut self.hand_over {
            hand_over.clock_went_back(now, config);
        }
    }

    /// What holds after every step.
    pub(crate) fn assert_invariants(&self) {
        assert_eq!(
            self.phase == Phase::HandingOver,
            self.hand_over.is_some() && self.phase != Phase::Stopped
        );
        assert!(
            self.wake.is_none()
                || !matches!(self.phase, Phase::Waiting | Phase::Stopped | Phase::Unowned),
            "{:?}",
            self.phase
        );
    }
}

impl Config {
    /// How long a hand-over waits for writes, from when it was asked for.
    fn writes_awaited_ms(&self) -> i64 {
        WRITES_AWAITED_MS_MAX.min(self.lease_ttl_ms)
    }
}

/// How far a hand-over has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandOver {
    /// When writes are waited for no longer.
    pub(crate) writes_until: Timestamp,
    /// When the answer to a tick is waited for no longer.
    pub(crate) ticks_until: Timestamp,
    /// What waited for its block has been sent; what comes from then on is left to the successor.
    pub(crate) has_sent_blocks: bool,
    pub(crate) has_sent_last_tick: bool,
}

impl HandOver {
    pub(crate) fn begin(now: Timestamp, asked_at: Timestamp, config: &Config) -> HandOver {
        let writes_until = asked_at
            .min(now)
            .plus_millis(config.writes_awaited_ms())
            .max(now.plus_millis(WRITES_AWAITED_MS_MIN));
        let ticks_until = writes_until.plus_millis(config.lease_ttl_ms);
        HandOver {
            writes_until,
            ticks_until,
            has_sent_blocks: false,
            has_sent_last_tick: false,
        }
    }

    /// The clock has gone back: nothing is waited for longer than from now on.
    fn clock_went_back(&mut self, now: Timestamp, config: &Config) {
        let anew = HandOver::begin(now, now, config);
        self.writes_until = self.writes_until.min(anew.writes_until);
        self.ticks_until = self.ticks_until.min(anew.ticks_until);
    }
}
