//! The wall clock, as something that can be replaced.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use minutehand_engine::Moment;
use minutehand_model::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;

    /// Milliseconds that have passed since some moment; nothing sets it.
    fn steady_ms(&self) -> i64 {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        let passed = BEGIN.get_or_init(Instant::now).elapsed();
        i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
    }

    /// The present by both clocks.
    fn moment(&self) -> Moment {
        Moment {
            wall: self.now(),
            steady_ms: self.steady_ms(),
        }
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp::from_millis(ms)
    }
}
