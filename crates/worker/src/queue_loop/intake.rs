//! What the loop of a queue takes: one poll at a time, as much as what runs has an appetite for.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use minutehand_ports::PortError;
use tokio::time::Instant;

use crate::gates::{Handed, Seat};
use crate::settings::{Lane, Settings};

/// What a loop takes from its queue.
pub(super) struct Intake<'a> {
    pub(super) poll: Option<BoxFuture<'a, Result<Vec<Handed>, PortError>>>,
    /// Where what was taken waits for its turn; none once it takes nothing more.
    pub(super) seat: Option<Arc<Seat>>,
    /// Polls in a row that failed, and when the next may come.
    pub(super) poll_failures: u32,
    pub(super) poll_not_before: Option<Instant>,
    /// How many executions to take while runs end as soon as they start; falls back to the lane's
    /// concurrency when one has to wait, so that slow handlers do not hoard.
    pub(super) appetite: usize,
    /// A run has waited since the last poll.
    pub(super) waited: bool,
    /// What has not begun.
    pub(super) taken: VecDeque<Handed>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(settings: &'a Settings, lane: &'a Lane) -> Intake<'a> {
        Intake {
            poll: None,
            seat: settings.gates.seat(settings, &lane.queue).map(Arc::new),
            poll_failures: 0,
            poll_not_before: None,
            appetite: lane.concurrency.min(settings.batch_max),
            waited: false,
            taken: VecDeque::new(),
        }
    }

    /// Whether something was taken, or is being taken.
    pub(super) fn has_any(&self) -> bool {
        self.poll.is_some() || !self.taken.is_empty()
    }

    /// Nothing is taken any more.
    pub(super) fn end(&mut self) {
        (self.poll, self.seat, self.poll_not_before) = (None, None, None);
    }
}
