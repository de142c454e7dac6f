//! What owners ask of one store: how often, how long it took, and what came of it.

use metrics::{Counter, Histogram};

use crate::catalogue::{STORE_REQUEST, STORE_REQUESTS};
use crate::label::ByWord;

/// The handle of one kind of request.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    answers: ByWord<Counter>,
    seconds: Histogram,
}

impl RequestMetrics {
    /// Looks the series of a store's operation up.
    #[must_use]
    pub fn new(store: &str, operation: &str) -> RequestMetrics {
        RequestMetrics {
            answers: ByWord::of(&STORE_REQUESTS, |word| {
                STORE_REQUESTS.counter(&[store, operation, word])
            }),
            seconds: STORE_REQUEST.histogram(&[store, operation]),
        }
    }

    /// An answer came after so many seconds: `ok`, or the class of its failure. What is answered
    /// with `retry` is asked again.
    pub fn answered(&self, answer: &str, seconds: f64) {
        self.answers.get(answer).increment(1);
        self.seconds.record(seconds);
    }
}
