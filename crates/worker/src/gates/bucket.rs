//! What a rate allows now.

use std::time::Duration;

use tokio::time::Instant;

/// Of a rate so much may come at once, in seconds.
const BURST_SECONDS: f64 = 0.1;

/// What of a rate is not used up; below zero when more came than it allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// One that may be used now.
    pub(super) fn one(now: Instant) -> Bucket {
        Bucket {
            tokens: 1.0,
            filled_at: now,
        }
    }

    /// As much as a rate ever allows at once.
    pub(super) fn full(rate: f64, now: Instant) -> Bucket {
        Bucket {
            tokens: most(rate),
            filled_at: now,
        }
    }

    /// Takes in what has come since; how many may be used now.
    pub(super) fn fill(&mut self, rate: f64, now: Instant) -> f64 {
        let passed = now.duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(most(rate));
        self.filled_at = now;
        self.tokens
    }

    /// One is used.
    pub(super) fn spend(&mut self) {
        self.tokens -= 1.0;
    }

    /// How long it is until there are so many; `None` when there never are.
    pub(super) fn wait(&self, wanted: f64, rate: f64) -> Option<Duration> {
        assert!(rate > 0.0, "a rate of nothing is a pause, and no rate");
        let seconds = ((wanted - self.tokens) / rate).max(0.0);
        (wanted <= most(rate)).then(|| Duration::from_secs_f64(seconds))
    }

    /// Whether nothing of it is used.
    pub(super) fn is_full(mut self, rate: f64, now: Instant) -> bool {
        self.fill(rate, now) >= most(rate)
    }
}

fn most(rate: f64) -> f64 {
    (rate * BURST_SECONDS).max(1.0)
}
