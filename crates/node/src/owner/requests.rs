//! What owners ask of stores, as metrics tell it: one place for every store, whatever it stands on.

use std::sync::Arc;
use std::time::Duration;

use minutehand_metrics::RequestMetrics;
use minutehand_ports::{ErrorClass, PortError};

use super::troubles::Operation;

/// A handle for each operation.
#[derive(Clone)]
pub(super) struct Requests(Arc<[RequestMetrics]>);

impl Default for Requests {
    fn default() -> Requests {
        let handle = |operation: &Operation| {
            let (store, word) = operation.words();
            RequestMetrics::new(store, word)
        };
        Requests(Operation::ALL.iter().map(handle).collect())
    }
}

impl Requests {
    /// An operation was answered after some time.
    pub(super) fn answered<T>(
        &self,
        operation: Operation,
        answer: &Result<T, PortError>,
        took: Duration,
    ) {
        let word = match answer {
            Ok(_) => "ok",
            Err(error) => match error.class {
                ErrorClass::Retry => "retry",
                ErrorClass::Fenced => "fenced",
                ErrorClass::Fatal => "fatal",
            },
        };
        self.0[operation as usize].answered(word, took.as_secs_f64());
    }
}
