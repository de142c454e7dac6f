//! What strikes nodes, connections, stores and clocks, and when it ends.

use super::event::{Event, Fault};
use super::network::Store;
use crate::trace::Who;

impl super::World {
    /// Plans the first of every kind of fault; each plans the next of its kind when it strikes.
    pub(crate) fn begin_faults(&mut self) {
        for fault in [
            Fault::Crash,
            Fault::Pause,
            Fault::Cut,
            Fault::Outage,
            Fault::ClockJump,
            Fault::Drain,
            Fault::ReaderDies,
            Fault::TransactionHangs,
            Fault::Adopted,
        ] {
            self.plan(fault);
        }
    }

    fn plan(&mut self, fault: Fault) {
        let per_minute = match fault {
            Fault::Crash => self.model.crashes_per_minute,
            Fault::Pause => self.model.pauses_per_minute,
            Fault::Cut => self.model.cuts_per_minute,
            Fault::Outage => self.model.outages_per_minute,
            Fault::ClockJump => self.model.clock_jumps_per_minute,
            Fault::Drain => self.model.drains_per_minute,
            Fault::ReaderDies => self.model.reader_deaths_per_minute,
            Fault::TransactionHangs => self.model.hanging_per_minute,
            Fault::Adopted if self.speaker.is_some() => self.model.adoptions_per_minute,
            Fault::Adopted
            | Fault::GivenBack
            | Fault::DrainEnds { .. }
            | Fault::Restart { .. }
            | Fault::Heal => return,
        };
        if per_minute <= 0.0 {
            return;
        }
        let mean_ms = (60_000.0 / per_minute).min(1e9) as i64;
        let at_ms = self.now_ms + self.fault_rng.around(mean_ms) + 1;
        if at_ms < self.setup.faults_end_ms {
            self.queue.push(at_ms, Event::Fault(fault));
        }
    }

    /// How long a fault lasts: never beyond the end of all faults.
    pub(crate) fn lasting(&mut self, ms_max: i64) -> i64 {
        (self.now_ms + self.fault_rng.range(1, ms_max.max(1))).min(self.setup.faults_end_ms)
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        self.plan(fault);
        let node = self.fault_rng.below(self.nodes.len() as u64) as usize;
        match fault {
            Fault::Crash => self.crash(node),
            Fault::Pause => {
                self.counts.pauses += 1;
                let until_ms = self.lasting(self.model.pause_ms_max);
                let paused_until_ms = &mut self.nodes[node].paused_until_ms;
                *paused_until_ms = until_ms.max(*paused_until_ms);
                self.note_until(Who::Node(node), "pause", until_ms);
            }
            Fault::Cut => self.cut(node),
            Fault::Outage => {
                self.counts.outages += 1;
                let store = self.fault_rng.pick(&Store::ALL);
                let until_ms = self.lasting(self.model.outage_ms_max);
                self.network.take_out(store, until_ms);
                let lasts_ms = until_ms - self.now_ms;
                self.note(
                    Who::World,
                    "outage",
                    [store as u64, lasts_ms as u64],
                    || format!("the {} for {lasts_ms} ms", store.as_str()),
                );
            }
            Fault::ClockJump => {
                self.counts.clock_jumps += 1;
                let jump_ms = self.model.clock_jump_ms_max;
                let offset_ms = self.fault_rng.range(-jump_ms, jump_ms);
                self.set_clock(node, offset_ms);
            }
            Fault::Drain => {
                self.counts.drains += 1;
                self.drain(node, true);
                let ends_ms = self.lasting(30_000);
                self.queue
                    .push(ends_ms, Event::Fault(Fault::DrainEnds { node }));
            }
            Fault::DrainEnds { node } => self.drain(node, false),
            Fault::ReaderDies => self.reader_dies(node),
            Fault::TransactionHangs => self.transaction_hangs(),
            Fault::Adopted => self.adopted(),
            Fault::GivenBack => self.given_back(),
            Fault::Restart { node } => self.restart(node),
            Fault::Heal => self.heal(),
        }
    }

    pub(crate) fn note_until(&mut self, who: Who, what: &'static str, until_ms: i64) {
        let lasts_ms = until_ms - self.now_ms;
        self.note(who, what, [lasts_ms as u64, 0], || {
            format!("for {lasts_ms} ms")
        });
    }

    fn crash(&mut self, node: usize) {
        if !self.nodes[node].is_up {
            return;
        }
        self.counts.crashes += 1;
        let until_ms = self.lasting(self.model.restart_ms_max);
        let crashed = &mut self.nodes[node];
        crashed.is_up = false;
        crashed.incarnation += 1;
        crashed.paused_until_ms = i64::MIN;
        crashed.lose_lease();
        self.note_until(Who::Node(node), "crash", until_ms);
        self.queue
            .push(until_ms, Event::Fault(Fault::Restart { node }));
    }

    /// A node's process ends because its clock is off. Whoever starts it again may have set the
    /// clock right.
    pub(crate) fn end_for_its_clock(&mut self, node: usize) {
        self.crash(node);
        if self.fault_rng.chance(0.5) {
            self.set_clock(node, 0);
        }
    }

    fn restart(&mut self, node: usize) {
        self.nodes[node].is_up = true;
        let incarnation = self.nodes[node].incarnation;
        self.note(
            Who::Node(node),
            "restart",
            [u64::from(incarnation), 0],
            String::new,
        );
        self.queue
            .push(self.now_ms, Event::Renew { node, incarnation });
    }

    fn cut(&mut self, node: usize) {
        self.counts.cuts += 1;
        let until_ms = self.lasting(self.model.cut_ms_max);
        let lasts_ms = until_ms - self.now_ms;
        // A third of the cuts leave only one store behind, a third all, and a third cut off one.
        let first = self.fault_rng.pick(&Store::ALL);
        let shape = self.fault_rng.below(3);
        for store in Store::ALL {
            let is_cut = match shape {
                0 => store == first,
                1 => store != first,
                _ => true,
            };
            if is_cut {
                self.network.cut(node, store, until_ms);
                self.note(
                    Who::Node(node),
                    "cut",
                    [store as u64, lasts_ms as u64],
                    || format!("from the {} for {lasts_ms} ms", store.as_str()),
                );
            }
        }
    }

    fn set_clock(&mut self, node: usize, offset_ms: i64) {
        self.clock_error_ms = self.clock_error_ms.max(offset_ms.abs());
        let now_ms = self.now_ms;
        let struck = &mut self.nodes[node];
        if offset_ms < struck.clock_offset_ms {
            struck.set_back = Some((now_ms, struck.latest_clock_ms(now_ms)));
        }
        struck.clock_offset_ms = offset_ms;
        struck.clock_set_at_ms = now_ms;
        self.note(Who::Node(node), "clock", [offset_ms as u64, 0], || {
            format!("{offset_ms} ms off")
        });
        for partition in 0..self.setup.partitions {
            if let Some(id) = self.owner_id(node, partition) {
                // Not driven here: the node may stand still at the moment.
                if let Some(owner) = self.owner_mut(id) {
                    owner.wakes_at_ms = Some(i64::MIN);
                    self.queue.push(self.now_ms, Event::Wake { owner: id });
                }
            }
        }
    }

    fn reader_dies(&mut self, node: usize) {
        let partition = self.fault_rng.below(self.setup.partitions as u64) as usize;
        let Some(owner) = self.nodes[node].owners[partition].as_mut() else {
            return;
        };
        owner.is_deaf = true;
        self.counts.reader_deaths += 1;
        self.note(
            Who::Owner(node, partition),
            "reader dies",
            [0, 0],
            String::new,
        );
    }

    /// Readers get nothing of what comes until it ends. The log's end is not hidden by that.
    fn transaction_hangs(&mut self) {
        self.counts.hanging_transactions += 1;
        let partition = self.fault_rng.below(self.setup.partitions as u64) as usize;
        let until_ms = self.lasting(self.model.hanging_ms_max);
        self.stores.logs[partition].hang(until_ms);
        self.note_until(Who::Store(partition), "hangs", until_ms);
    }

    fn drain(&mut self, node: usize, drained: bool) {
        self.note(Who::Node(node), "drain", [u64::from(drained), 0], || {
            drained.to_string()
        });
        self.coordinator.drain(node, drained);
        self.members_changed();
    }

    fn heal(&mut self) {
        self.note(Who::World, "heal", [0, 0], || "no more faults".to_owned());
        self.model = crate::faults::FaultModel::healthy();
        for node in 0..self.nodes.len() {
            if self.nodes[node].clock_offset_ms.abs() > 200 {
                self.set_clock(node, 0);
            }
        }
    }
}
