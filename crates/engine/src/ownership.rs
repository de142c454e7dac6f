//! The ownership of a partition: its phase, its lease, and how it ends.

use minutehand_model::{Epoch, Phase, Timestamp};

use crate::config::Config;
use crate::hand_over::HandOver;
use crate::phase::WakeReason;
use crate::retry::Single;

/// From the acquisition to the end.
#[derive(Debug)]
pub(crate) struct Ownership {
    phase: Phase,
    epoch: Epoch,
    lease_confirmed_at: Timestamp,
    /// Since when the partition is to be given up.
    hand_over_asked_at: Option<Timestamp>,
    pub(crate) opening: Single,
    /// The hand-over that is under way.
    pub(crate) hand_over: Option<HandOver>,
    pub(crate) wake: Option<(Timestamp, WakeReason)>,
}

impl Default for Ownership {
    fn default() -> Ownership {
        Ownership {
            phase: Phase::Waiting,
            epoch: Epoch(0),
            lease_confirmed_at: Timestamp::MIN,
            hand_over_asked_at: None,
            opening: Single::default(),
            hand_over: None,
            wake: None,
        }
    }
}

impl Ownership {
    /// The same ownership opens its partition once more, after a failure that `opening` goes on
    /// from.
    pub(crate) fn anew(&self, opening: Single) -> Ownership {
        let Ownership {
            epoch,
            lease_confirmed_at,
            hand_over_asked_at,
            ..
        } = *self;
        let phase = Phase::Opening;
        Ownership {
            phase,
            epoch,
            lease_confirmed_at,
            hand_over_asked_at,
            opening,
            ..Ownership::default()
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
