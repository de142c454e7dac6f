//! When the driver tries again by itself. Every statement here may be repeated, so what failed for
//! a passing reason is tried at once, some times; then the caller hears of it, and pauses.

use minutehand_ports::ErrorClass;
use scylla::errors::{DbError, RequestAttemptError};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

use crate::error::Judge;

/// Attempts after the first.
const RETRIES_MAX: u32 = 2;

/// Retries what is idempotent and failed for a passing reason, [`RETRIES_MAX`] times, at the same
/// consistency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundedRetries;

impl RetryPolicy for BoundedRetries {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Session { retries: 0 })
    }
}

struct Session {
    retries: u32,
}

impl RetrySession for Session {
    fn decide_should_retry(&mut self, request: RequestInfo<'_>) -> RetryDecision {
        decide(&mut self.retries, request.error, request.is_idempotent)
    }

    fn reset(&mut self) {
        self.retries = 0;
    }
}

fn decide(retries: &mut u32, error: &RequestAttemptError, is_idempotent: bool) -> RetryDecision {
    if !is_idempotent || *retries >= RETRIES_MAX || error.verdict().class != ErrorClass::Retry {
        return RetryDecision::DontRetry;
    }
    *retries += 1;
    match error {
        // Replicas were slow, not this coordinator: it knows most about them.
        RequestAttemptError::DbError(
            DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. },
            _,
        ) => RetryDecision::RetrySameTarget(None),
        _ => RetryDecision::RetryNextTarget(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_failures_are_retried_a_bounded_number_of_times() {
        let overloaded = RequestAttemptError::DbError(DbError::Overloaded, String::new());
        let mut retries = 0;
        for _ in 0..RETRIES_MAX {
            assert_eq!(
                decide(&mut retries, &overloaded, true),
                RetryDecision::RetryNextTarget(None)
            );
        }
        assert_eq!(
            decide(&mut retries, &overloaded, true),
            RetryDecision::DontRetry
        );
        assert_eq!(decide(&mut 0, &overloaded, false), RetryDecision::DontRetry);
    }

    #[test]
    fn what_will_not_change_is_not_retried() {
        for error in [
            DbError::Invalid,
            DbError::Unauthorized,
            DbError::SyntaxError,
        ] {
            let error = RequestAttemptError::DbError(error, String::new());
            assert_eq!(decide(&mut 0, &error, true), RetryDecision::DontRetry);
        }
    }
}
