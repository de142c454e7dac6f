//! A worker group on a queue, as long as somebody leases from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutehand_model::{GroupName, QueueName};
use minutehand_ports::StopReceiver;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::table::LaneName;
use crate::attempt::Ticket;
use crate::gates::Seat;
use crate::run::Run;
use crate::settings::Settings;
use crate::stops::EarlyStops;

/// What is taken for the size of an execution of which nothing is known yet, in bytes.
const BYTES_GUESSED: usize = 1_024;

/// A run that is out on lease.
pub(crate) struct LeasedRun {
    pub(crate) lane: Arc<LeaseLane>,
    pub(crate) ticket: Ticket,
    pub(crate) run: Run,
}

/// A worker group on a queue.
pub(crate) struct LeaseLane {
    pub(crate) name: Arc<LaneName>,
    pub(crate) settings: Settings,
    pub(crate) seat: Option<Seat>,
    pub(crate) stops: Mutex<EarlyStops>,
    /// About how many bytes an execution has.
    bytes_average: AtomicUsize,
    used_at: Mutex<Instant>,
    listener: Mutex<Option<AbortHandle>>,
}

impl LeaseLane {
    pub(crate) fn new(name: LaneName, settings: Settings) -> LeaseLane {
        LeaseLane {
            seat: settings.gates.seat(&settings, &name.queue),
            name: Arc::new(name),
            settings,
            stops: Mutex::default(),
            bytes_average: AtomicUsize::new(BYTES_GUESSED),
            used_at: Mutex::new(Instant::now()),
            listener: Mutex::new(None),
        }
    }

    pub(crate) fn stops(&self) -> MutexGuard<'_, EarlyStops> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody leases from it, or has answered.
    pub(crate) fn is_used_now(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        self.used_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    pub(crate) fn bytes_average(&self) -> usize {
        self.bytes_average.load(Ordering::Relaxed)
    }

    /// Executions came that are so large together.
    pub(crate) fn came(&self, count: usize, bytes: usize) {
        if let Some(each) = bytes.checked_div(count) {
            // What is large is believed at once, what is small bit by bit.
            let before = self.bytes_average();
            let average = if each > before {
                each
            } else {
                (3 * before + each) / 4
            };
            self.bytes_average.store(average.max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn let_go(&self, ids: Vec<minutehand_ports::DeliveryId>) {
        if !ids.is_empty() {
            self.settings
                .port
                .let_go(&self.name.queue, self.name.group.as_str(), ids);
        }
    }

    fn hold(&self, listener: AbortHandle) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }
}

impl Drop for LeaseLane {
    fn drop(&mut self) {
        let listener = self
            .listener
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        listener.into_iter().for_each(|listener| listener.abort());
    }
}

/// The lanes of a process. Their names are anybody's to make up, so there are only so many.
pub(crate) struct Lanes {
    known: Mutex<BTreeMap<LaneName, Arc<LeaseLane>>>,
    lanes_max: usize,
    idle_max: Duration,
}

impl Lanes {
    pub(crate) fn new(lanes_max: usize, idle_max: Duration) -> Lanes {
        Lanes {
            known: Mutex::default(),
            lanes_max,
            idle_max,
        }
    }

    pub(crate) fn lanes_max(&self) -> usize {
        self.lanes_max
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<LaneName, Arc<LeaseLane>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody leases from a queue here, or has lately.
    pub(crate) fn serves(&self, queue: &QueueName) -> bool {
        self.known().keys().any(|name| name.queue == *queue)
    }

    /// The queues that are leased from here, or have been lately, and for which groups.
    pub(crate) fn served(&self) -> Vec<(QueueName, GroupName)> {
        let known = self.known();
        let names = known.keys();
        names
            .map(|name| (name.queue.clone(), name.group.clone()))
            .collect()
    }

    /// The lane of that name; `None` when there are too many. One that is new listens for stops,
    /// which `listen` is to hear.
    pub(crate) fn lane(
        &self,
        name: LaneName,
        settings: &Settings,
        listen: impl FnOnce(&Arc<LeaseLane>, StopReceiver) -> AbortHandle,
    ) -> Option<Arc<LeaseLane>> {
        let mut known = self.known();
        if let Some(lane) = known.get(&name) {
            lane.is_used_now();
            return Some(Arc::clone(lane));
        }
        if known.len() >= self.lanes_max {
            return None;
        }
        let settings = Settings {
            group: name.group.clone(),
            ..settings.clone()
        };
        let stops = settings.port.stops(&name.queue);
        let lane = Arc::new(LeaseLane::new(name.clone(), settings));
        lane.hold(listen(&lane, stops));
        known.insert(name, Arc::clone(&lane));
        Some(lane)
    }

    /// Forgets lanes from which nobody has leased for long and of which nothing is out; the
    /// forgotten ones.
    pub(crate) fn forget_idle(&self) -> Vec<Arc<LeaseLane>> {
        let mut known = self.known();
        // A lane that is out on a lease, or that somebody waits for, is held elsewhere as well.
        let is_idle =
            |lane: &Arc<LeaseLane>| Arc::strong_count(lane) == 1 && lane.idle_for() > self.idle_max;
        let idle: Vec<LaneName> = known
            .iter()
            .filter(|(_, lane)| is_idle(lane))
            .map(|(name, _)| name.clone())
            .collect();
        idle.iter().filter_map(|name| known.remove(name)).collect()
    }
}
