//! A load at a rate: what is created when.

use std::ops::Range;
use std::time::Duration;

use minutehand_model::Timestamp;
use minutehand_node::{Clock, SystemClock};

/// The steps of a load, one after the other.
pub(crate) struct Pace {
    /// The time of the first step.
    pub(crate) start: Timestamp,
    /// Tasks a second.
    pub(crate) rate: u64,
    /// How long it goes on, in milliseconds.
    pub(crate) lasts_ms: i64,
    /// A step's length, in milliseconds.
    pub(crate) step_ms: i64,
}

/// A step whose time has come.
pub(crate) struct Step {
    /// Its time, in milliseconds since the first one's.
    pub(crate) at_ms: i64,
    /// How much later than that it is, in milliseconds.
    pub(crate) lag_ms: i64,
    /// The numbers of the tasks to be created.
    pub(crate) tasks: Range<u64>,
}

impl Pace {
    /// Waits for the time of the step with this number; `None` behind the last.
    pub(crate) async fn step(&self, number: i64) -> Option<Step> {
        let at_ms = number * self.step_ms;
        if at_ms + self.step_ms > self.lasts_ms {
            return None;
        }
        let planned = self.start.plus_millis(at_ms);
        let lag_ms = SystemClock.now().millis_since(planned);
        if lag_ms < 0 {
            tokio::time::sleep(Duration::from_millis(lag_ms.unsigned_abs())).await;
        }
        Some(Step {
            at_ms,
            lag_ms: lag_ms.max(0),
            tasks: self.created_by(at_ms)..self.created_by(at_ms + self.step_ms),
        })
    }

    /// How many are created in the first milliseconds.
    fn created_by(&self, ms: i64) -> u64 {
        self.rate * ms.unsigned_abs() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_steps_of_a_load_make_up_its_rate() {
        let pace = Pace {
            start: Timestamp::from_millis(0),
            rate: 333,
            lasts_ms: 3_005,
            step_ms: 10,
        };
        let (mut number, mut created) = (0, 0);
        while let Some(step) = pace.step(number).await {
            assert_eq!((step.at_ms, step.tasks.start), (number * 10, created));
            (number, created) = (number + 1, step.tasks.end);
        }
        assert_eq!((number, created), (300, 999));
    }
}
