//! The region's speaker: it moves the horizon on in the register, and tells the nodes what was
//! acknowledged. It never knows whether it still has the right; the register does.

use minutehand_engine::Input;
use minutehand_model::Timestamp;

use super::event::{Event, Fault};
use crate::planted::Flaw;
use crate::store::RegisterStore;
use crate::trace::Who;

/// How far ahead of the present the horizon is put.
const HORIZON_MS: i64 = 5_000;
/// How often it is moved on.
const EXTEND_EVERY_MS: i64 = 1_000;
/// How long an answer of the register is waited for.
const PATIENCE_MS: i64 = 2_000;
/// The register is far away: at most this long each way.
const FAR_MS_MAX: i64 = 150;

/// What a region has where another one could adopt it.
pub(crate) struct Speaker {
    pub(crate) register: RegisterStore,
    /// The right that it believes to have.
    epoch: Option<u64>,
    /// The horizon that was acknowledged, as the coordinator keeps it for the nodes.
    told_ms: i64,
}

/// The horizon is asked to be moved on, under a right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    epoch: u64,
    until_ms: i64,
}

impl Speaker {
    pub(crate) fn new(now_ms: i64) -> Speaker {
        Speaker {
            register: RegisterStore::new(now_ms + HORIZON_MS),
            epoch: None,
            told_ms: 0,
        }
    }

    /// The horizon as a node finds it in the coordinator: perhaps not the newest one.
    pub(crate) fn told(&self) -> Timestamp {
        Timestamp::from_millis(self.told_ms)
    }
}

impl super::World {
    /// Asks the register to move the horizon on; without a right it looks whether there is one.
    pub(crate) fn extend_horizon(&mut self) {
        let now_ms = self.now_ms;
        self.queue
            .push(now_ms + EXTEND_EVERY_MS, Event::ExtendHorizon);
        if self.setup.flaw == Some(Flaw::HorizonFromClock) {
            self.tell_horizon(now_ms + HORIZON_MS);
        }
        let Some(epoch) = self.look_for_right() else {
            return;
        };
        let extension = Extension {
            epoch,
            until_ms: now_ms + HORIZON_MS,
        };
        if self.rng.chance(self.model.lost_request) {
            return self.extension_in_doubt(extension);
        }
        let lands_ms = now_ms + self.register_way_ms();
        self.queue.push(lands_ms, Event::ExtensionLands(extension));
    }

    /// The right that the speaker believes to have, or finds in the register.
    fn look_for_right(&mut self) -> Option<u64> {
        let speaker = self.speaker.as_mut()?;
        if speaker.epoch.is_none() {
            let (epoch, horizon_ms) = speaker.register.right()?;
            speaker.epoch = Some(epoch);
            self.tell_horizon(horizon_ms);
            return Some(epoch);
        }
        speaker.epoch
    }

    fn register_way_ms(&mut self) -> i64 {
        let slow_ms = self.slow_ms().unwrap_or_default();
        self.rng.range(1, FAR_MS_MAX) + slow_ms
    }

    pub(crate) fn extension_lands(&mut self, extension: Extension) {
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        // Nobody says what became of it; half of the time it was done.
        let is_in_doubt = self.rng.chance(self.model.register_in_doubt);
        if is_in_doubt && self.rng.chance(0.5) {
            return self.extension_in_doubt(extension);
        }
        let is_applied = speaker.register.extend(extension.epoch, extension.until_ms);
        if is_in_doubt {
            return self.extension_in_doubt(extension);
        }
        let at_ms = self.now_ms + self.register_way_ms();
        self.queue
            .push(at_ms, Event::ExtensionAnswered(extension, is_applied));
    }

    /// It is not believed; the next one tells.
    fn extension_in_doubt(&mut self, extension: Extension) {
        self.counts.extensions_in_doubt += 1;
        if self.setup.flaw == Some(Flaw::DoubtBelieved) {
            let at_ms = self.now_ms + PATIENCE_MS;
            self.queue
                .push(at_ms, Event::ExtensionAnswered(extension, true));
        }
    }

    pub(crate) fn extension_answered(&mut self, extension: Extension, is_applied: bool) {
        if is_applied {
            return self.tell_horizon(extension.until_ms);
        }
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        if speaker.epoch == Some(extension.epoch) {
            speaker.epoch = None;
        }
    }

    /// The coordinator keeps it, and whoever can be reached hears of it. Being late with it, or
    /// without it, only makes a node stand earlier.
    fn tell_horizon(&mut self, until_ms: i64) {
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        speaker.told_ms = speaker.told_ms.max(until_ms);
        for node in 0..self.nodes.len() {
            if self.is_cut_off(node) || self.rng.chance(self.model.lost_answer) {
                continue;
            }
            let at_ms = self.now_ms + self.wire_ms();
            self.queue
                .push(at_ms, Event::HorizonHeard { node, until_ms });
        }
    }

    pub(crate) fn horizon_heard(&mut self, node: usize, until_ms: i64) {
        let until = Timestamp::from_millis(until_ms);
        for partition in 0..self.setup.partitions {
            if let Some(id) = self.owner_id(node, partition) {
                self.handle(id, Input::Horizon { until });
                self.drive(id);
            }
        }
    }

    /// Another region adopts this one, whether or not anything is wrong with it, and gives it back
    /// later.
    pub(crate) fn adopted(&mut self) {
        let now_ms = self.now_ms;
        let is_taken = self
            .speaker
            .as_mut()
            .is_some_and(|speaker| speaker.register.adopt(now_ms));
        if !is_taken {
            return;
        }
        self.counts.adoptions += 1;
        let until_ms = self.lasting(self.model.adoption_ms_max);
        self.note_until(Who::World, "adopted", until_ms);
        self.queue.push(until_ms, Event::Fault(Fault::GivenBack));
    }

    pub(crate) fn given_back(&mut self) {
        let now_ms = self.now_ms;
        if let Some(speaker) = &mut self.speaker {
            speaker.register.give_back(now_ms);
        }
    }
}
