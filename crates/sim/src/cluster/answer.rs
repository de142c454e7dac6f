//! What reaches an owner: answers, and news of the log.

use minutehand_engine::{Input, Phase};

use super::event::{Answer, Event, OwnerId};
use super::network::Store;
use crate::planted::Flaw;

impl super::World {
    pub(crate) fn answered(&mut self, id: OwnerId, answer: Answer) {
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        if let (Some(session), false) = (answer.session, answer.is_stray) {
            owner.session = session;
        }
        let was_opening = self.is_opening(id);
        let prepared_from = match &answer.input {
            Input::Opened { prepared_from, .. } => *prepared_from,
            _ => None,
        };
        self.handle(id, self.as_planted(answer.input));
        if was_opening && !self.is_opening(id) {
            self.begin_prepared(id, prepared_from);
        }
        self.drive(id);
    }

    fn is_opening(&self, id: OwnerId) -> bool {
        let owner = self.nodes[id.node].owners[id.partition].as_ref();
        owner.is_some_and(|owner| owner.engine.phase() == Phase::Opening)
    }

    /// Planted: what was read beforehand is gone by, and the log is not read from that far back.
    fn as_planted(&self, input: Input) -> Input {
        match input {
            Input::Opened {
                request,
                checkpoint,
                schedule_states,
                log_end,
                taken_at,
                prepared_from: Some(_),
            } if self.setup.flaw == Some(Flaw::PreparedLate) => Input::Opened {
                request,
                checkpoint,
                schedule_states,
                log_end,
                taken_at,
                prepared_from: None,
            },
            input => input,
        }
    }

    /// Lets everybody who owns the partition, or believes so, know that its log has grown.
    pub(crate) fn tell_of_growth(&mut self, partition: usize) {
        for node in 0..self.nodes.len() {
            let Some(id) = self.owner_id(node, partition) else {
                continue;
            };
            let Some(owner) = self.owner_mut(id) else {
                continue;
            };
            if owner.is_deaf {
                continue;
            }
            if !owner.growth_is_coming {
                if self.rng.chance(self.model.lost_growth) {
                    self.counts.lost_growth += 1;
                    continue;
                }
                let Some(owner) = self.owner_mut(id) else {
                    continue;
                };
                owner.growth_is_coming = true;
                let at_ms = self.now_ms + self.wire_ms();
                self.queue.push(at_ms, Event::LogGrew { owner: id });
            }
        }
    }

    pub(crate) fn log_grew(&mut self, id: OwnerId) {
        if let Some(until_ms) = self.network.cut_until(id.node, Store::Log, self.now_ms) {
            self.queue.push(until_ms, Event::LogGrew { owner: id });
            return;
        }
        let end = self.stores.logs[id.partition].end();
        if let Some(owner) = self.owner_mut(id) {
            owner.growth_is_coming = false;
            self.handle(id, Input::LogGrew { end });
            self.drive(id);
        }
    }
}
