//! The world: everything there is in a run, the loop over its events, and how an engine is driven.

use minutehand_engine::{Config, Input};
use minutehand_model::Timestamp;

use super::coordinator::Coordinator;
use super::event::{Event, Fault, OwnerId};
use super::network::Network;
use super::node::{Node, Owner};
use super::speaker::Speaker;
use crate::faults::{FaultCounts, FaultModel};
use crate::options;
use crate::queue::EventQueue;
use crate::rng::Rng;
use crate::setup::Setup;
use crate::store::{LogStore, SinkStore, Stores};
use crate::trace::{Trace, Who};
use crate::workload::{Producer, Worker};

/// An owner that is driven this often in one millisecond goes round in circles.
const DRIVES_PER_MS_MAX: u32 = 20_000;
/// After so many events the memory of an owner is counted anew.
const RECOUNTED_EVENTS: u64 = 64;

/// A whole run.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) now_ms: i64,
    pub(crate) queue: EventQueue<Event>,
    /// Chance on the wire and in the stores.
    pub(crate) rng: Rng,
    /// Chance of the faults that strike nodes and stores.
    pub(crate) fault_rng: Rng,
    /// The rates in force: those of the setup, until everything is healed.
    pub(crate) model: FaultModel,
    pub(crate) counts: FaultCounts,
    pub(crate) trace: Trace,
    pub(crate) stores: Stores,
    pub(crate) coordinator: Coordinator,
    /// `None` where no other region could adopt this one.
    pub(crate) speaker: Option<Speaker>,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) instances: u64,
    pub(crate) producer: Producer,
    pub(crate) worker: Worker,
    pub(crate) events: u64,
    pub(crate) clock_error_ms: i64,
    pub(crate) misconduct: Misconduct,
}

/// What owners did that they may not do, in words.
#[derive(Debug, Default)]
pub(crate) struct Misconduct {
    /// One went round in circles.
    pub(crate) standstill: Option<String>,
    /// They stopped for good.
    pub(crate) fatal_stops: Vec<String>,
    /// They took more memory than they may, or counted it wrong.
    pub(crate) memory_overruns: Vec<String>,
    /// Their hand-overs took too long.
    pub(crate) slow_hand_overs: Vec<String>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> World {
        let (nodes, partitions) = (setup.nodes, setup.partitions);
        let mut rng = Rng::fork(setup.seed, 1);
        let skew_ms = setup.model.clock_skew_ms_max;
        let skewed = |rng: &mut Rng| {
            if skew_ms == 0 {
                0
            } else {
                rng.range(-skew_ms, skew_ms)
            }
        };
        let mut world = World {
            now_ms: setup.begin_ms,
            queue: EventQueue::new(),
            fault_rng: Rng::fork(setup.seed, 2),
            model: setup.model.clone(),
            counts: FaultCounts::default(),
            trace: Trace::new(setup.trace, setup.begin_ms),
            stores: Stores::of(
                partitions,
                || LogStore::in_cluster(setup.log_generation, setup.model.log_clock_ms_max),
                || SinkStore::receiving(setup.reception),
            ),
            coordinator: Coordinator::new(nodes, partitions, setup.engine.lease_ttl_ms),
            speaker: setup
                .engine
                .has_other_regions
                .then(|| Speaker::new(setup.begin_ms)),
            network: Network::new(nodes),
            nodes: (0..nodes)
                .map(|_| Node::new(partitions, skewed(&mut rng)))
                .collect(),
            instances: 0,
            producer: Producer::new(&setup),
            worker: Worker::new(&setup),
            events: 0,
            clock_error_ms: skew_ms.max(setup.model.log_clock_ms_max),
            misconduct: Misconduct::default(),
            rng,
            setup,
        };
        world.plant();
        world.begin();
        world
    }

    fn plant(&mut self) {
        let Some(flaw) = self.setup.flaw else { return };
        for sink in &mut self.stores.sinks {
            flaw.plant_in_sink(sink);
        }
        for timetable in &mut self.stores.timetables {
            flaw.plant_in_timetable(&mut timetable.flaws);
        }
        self.coordinator.epochs_reused = flaw.reuses_epochs();
        if let Some(speaker) = &mut self.speaker {
            speaker.register.epochs_ignored = flaw.ignores_region_epochs();
        }
    }

    fn begin(&mut self) {
        let setup = self.setup.clone();
        self.note(Who::World, "setup", [setup.seed, 0], || {
            format!(
                "{:?}, {:?}, markers {}",
                setup.engine, setup.mix, setup.log_has_markers
            )
        });
        for node in 0..self.nodes.len() {
            self.queue.push(
                self.now_ms + 10 * node as i64,
                Event::Renew {
                    node,
                    incarnation: 0,
                },
            );
        }
        self.queue.push(self.now_ms + 500, Event::Produce);
        self.queue.push(self.now_ms + 600, Event::ChangeSchedule);
        if self.speaker.is_some() {
            self.queue.push(self.now_ms, Event::ExtendHorizon);
        }
        for (at_ms, partition) in setup.logs_begin {
            self.queue.push(at_ms, Event::LogBegins { partition });
        }
        self.begin_faults();
        self.queue
            .push(self.setup.faults_end_ms, Event::Fault(Fault::Heal));
    }

    /// Runs until a true time.
    pub(crate) fn run_until(&mut self, until_ms: i64) {
        while let Some((at_ms, event)) = self.queue.pop_until(until_ms) {
            self.now_ms = at_ms;
            if let Some(node) = event.node() {
                let paused_until_ms = self.nodes[node].paused_until_ms;
                if paused_until_ms > at_ms {
                    self.queue.push(paused_until_ms, event);
                    continue;
                }
            }
            self.events += 1;
            self.dispatch(event);
            if self.misconduct.standstill.is_some() {
                return;
            }
        }
        self.now_ms = until_ms;
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Wake { owner } => self.wake(owner),
            Event::Answer { owner, answer } => self.answered(owner, *answer),
            Event::Land(request) => self.land(*request),
            Event::LogGrew { owner } => self.log_grew(owner),
            Event::Renew { node, incarnation } => self.renew(node, incarnation),
            Event::RenewLands {
                node,
                incarnation,
                lease,
                clock_ms,
            } => {
                self.renew_lands(node, incarnation, lease, clock_ms);
            }
            Event::RenewAnswered {
                node,
                incarnation,
                lease,
                clock_ms,
                granted,
            } => {
                self.renew_answered(node, incarnation, lease, clock_ms, granted);
            }
            Event::LeaseEnds { node, lease } => self.lease_ends(node, lease),
            Event::Reconcile { node, incarnation } => self.reconcile(node, incarnation),
            Event::AcquireLands {
                node,
                incarnation,
                partition,
                lease,
            } => {
                self.acquire_lands(node, incarnation, partition, lease);
            }
            Event::AcquireAnswered {
                node,
                incarnation,
                partition,
                lease,
                epoch,
            } => {
                self.acquire_answered(node, incarnation, partition, lease, epoch);
            }
            Event::ReleaseLands {
                node,
                partition,
                epoch,
            } => self.release_lands(node, partition, epoch),
            Event::ExtendHorizon => self.extend_horizon(),
            Event::ExtensionLands(extension) => self.extension_lands(extension),
            Event::ExtensionAnswered(extension, is_applied) => {
                self.extension_answered(extension, is_applied);
            }
            Event::HorizonHeard { node, until_ms } => self.horizon_heard(node, until_ms),
            Event::LogBegins { partition } => self.log_begins(partition),
            Event::Produce => self.produce(),
            Event::ChangeSchedule => self.change_schedule(),
            Event::RunEnds {
                partition,
                key,
                number,
            } => self.run_ends(partition, key, number),
            Event::Append { partition, command } => self.append_from_worker(partition, *command),
            Event::Fault(fault) => self.strike(fault),
        }
    }

    fn log_begins(&mut self, partition: usize) {
        self.stores.logs[partition].begin_generation();
        let end = self.stores.logs[partition].end();
        self.note(Who::Store(partition), "log begins", [end.bits(), 0], || {
            format!("it goes on at {end}")
        });
        self.tell_of_growth(partition);
    }

    /// The owner, if it is still the same one.
    pub(crate) fn owner_mut(&mut self, id: OwnerId) -> Option<&mut Owner> {
        let node = &mut self.nodes[id.node];
        if !node.is_up || node.incarnation != id.incarnation {
            return None;
        }
        node.owners[id.partition]
            .as_mut()
            .filter(|owner| owner.instance == id.instance)
    }

    pub(crate) fn owner_id(&self, node: usize, partition: usize) -> Option<OwnerId> {
        let incarnation = self.nodes[node].incarnation;
        let instance = self.nodes[node].owners[partition].as_ref()?.instance;
        Some(OwnerId {
            node,
            incarnation,
            partition,
            instance,
        })
    }

    /// Gives an owner an input; the caller drives it afterwards.
    pub(crate) fn handle(&mut self, id: OwnerId, input: Input) {
        let now = self.nodes[id.node].moment(self.now_ms);
        if let Some(owner) = self.owner_mut(id) {
            owner.engine.handle(now, input);
        }
    }

    /// Lets an owner decide, carries out what it wants, and sets its alarm.
    pub(crate) fn drive(&mut self, id: OwnerId) {
        let now_ms = self.now_ms;
        let moment = self.nodes[id.node].moment(now_ms);
        let clock = moment.wall;
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        if owner.driven_at_ms != now_ms {
            (owner.driven_at_ms, owner.drives) = (now_ms, 0);
        }
        owner.drives += 1;
        if owner.drives > DRIVES_PER_MS_MAX {
            let wants = owner.engine.poll_timeout();
            self.misconduct.standstill = Some(format!(
                "the owner of partition {} on node {} wants to be woken without end at {clock}: {wants:?}",
                id.partition, id.node
            ));
            return;
        }
        owner.engine.advance(moment);
        self.look_at_memory(id);
        while let Some(effect) = self
            .owner_mut(id)
            .and_then(|owner| owner.engine.poll_effect())
        {
            self.carry(id, effect);
        }
        self.set_alarm(id);
    }

    /// Holds the memory that an owner takes against its budget, and now and then against a count of
    /// its own.
    fn look_at_memory(&mut self, id: OwnerId) {
        if !self.misconduct.memory_overruns.is_empty() {
            return;
        }
        let far_max = self.setup.far_bytes_max();
        let is_counted = self.events.is_multiple_of(RECOUNTED_EVENTS);
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        let memory = owner.engine.memory();
        let counted = if is_counted {
            owner.engine.memory_counted_anew()
        } else {
            memory
        };
        let OwnerId {
            node, partition, ..
        } = id;
        let far = memory.busy.saturating_sub(memory.near);
        if far > far_max {
            self.misconduct.memory_overruns.push(format!(
                "partition {partition} on node {node} takes {far} bytes for what is not near; at most {far_max} are allowed"
            ));
        } else if memory != counted {
            self.misconduct.memory_overruns.push(format!(
                "partition {partition} on node {node} says that it takes {memory:?}; it takes {counted:?}"
            ));
        }
    }

    fn set_alarm(&mut self, id: OwnerId) {
        let now_ms = self.now_ms;
        let offset_ms = self.nodes[id.node].clock_offset_ms;
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        let Some((at, _)) = owner.engine.poll_timeout() else {
            return;
        };
        let at_ms = at.as_millis().saturating_sub(offset_ms).max(now_ms);
        if at_ms < Timestamp::END_OF_YEAR_9999.as_millis()
            && owner.wakes_at_ms.is_none_or(|set| at_ms < set)
        {
            owner.wakes_at_ms = Some(at_ms);
            self.queue.push(at_ms, Event::Wake { owner: id });
        }
    }

    fn wake(&mut self, id: OwnerId) {
        let now_ms = self.now_ms;
        let Some(owner) = self.owner_mut(id) else {
            return;
        };
        if owner.wakes_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            owner.wakes_at_ms = None;
            self.drive(id);
        }
    }

    /// The engine settings of the next owner.
    pub(crate) fn engine_config(&mut self) -> Config {
        let mut config = self.setup.engine.clone();
        if self.rng.chance(self.model.changed_settings) {
            self.counts.changed_settings += 1;
            options::draw_catching_up(&mut self.rng, &mut config);
        }
        config
    }

    pub(crate) fn note(
        &mut self,
        who: Who,
        what: &'static str,
        figures: [u64; 2],
        detail: impl FnOnce() -> String,
    ) {
        self.trace.note(self.now_ms, who, what, figures, detail);
    }
}
