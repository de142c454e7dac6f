//! Stop requests that came before the run they mean.

use std::collections::{HashSet, VecDeque};

use minutehand_model::{Task, TaskKey, Timestamp};
use minutehand_ports::Stop;

/// Requests remembered; the oldest is forgotten first.
const STOPS_MAX: usize = 10_000;

/// Requests for tasks that are not running here (yet).
#[derive(Default)]
pub(crate) struct EarlyStops {
    known: HashSet<(TaskKey, Timestamp)>,
    order: VecDeque<(TaskKey, Timestamp)>,
}

impl EarlyStops {
    /// Remembers a request.
    pub(crate) fn remember(&mut self, stop: Stop) {
        if self.known.insert((stop.key, stop.due)) {
            self.order.push_back((stop.key, stop.due));
        }
        if self.order.len() > STOPS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        assert_eq!(
            self.known.len(),
            self.order.len(),
            "what is remembered is forgotten in its turn"
        );
    }

    /// Whether this attempt was asked not to run.
    pub(crate) fn has(&self, key: TaskKey, task: &Task) -> bool {
        self.known.contains(&(key, task.first_due))
    }
}

/// Whether a request for a due time means this attempt: it names that of the first attempt.
pub(crate) fn is_meant(due: Timestamp, task: &Task) -> bool {
    due == task.first_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_only_so_many() {
        let mut stops = EarlyStops::default();
        for number in 0..STOPS_MAX as u128 + 5 {
            stops.remember(Stop {
                key: TaskKey(number),
                due: Timestamp::from_millis(1),
                kill: false,
            });
        }
        assert_eq!(
            (stops.known.len(), stops.order.len()),
            (STOPS_MAX, STOPS_MAX)
        );
        assert!(
            !stops
                .known
                .contains(&(TaskKey(0), Timestamp::from_millis(1)))
        );
    }
}
