//! How much work a search may do.

use minutehand_model::limits::{REQUEST_SEARCH_STEPS_MAX, SEARCH_STEPS_MAX};

/// The work that a search, or all searches of one request together, may do. It is counted in steps
/// of a few nanoseconds each, so a bound on it is a bound on time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchBudget {
    steps_left: u64,
}

/// The budget was used up before there was an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the exclusions are too involved: the search for the next time was given up")]
pub struct SearchExhausted;

impl SearchBudget {
    /// For the search for one time.
    #[must_use]
    pub fn of_one_time() -> SearchBudget {
        SearchBudget::of_steps(SEARCH_STEPS_MAX)
    }

    /// For all the times that one request asks for.
    #[must_use]
    pub fn of_one_request() -> SearchBudget {
        SearchBudget::of_steps(REQUEST_SEARCH_STEPS_MAX)
    }

    /// Of so many steps.
    #[must_use]
    pub fn of_steps(steps: u64) -> SearchBudget {
        SearchBudget { steps_left: steps }
    }

    /// The steps that are left.
    #[must_use]
    pub fn steps_left(&self) -> u64 {
        self.steps_left
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), SearchExhausted> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                self.steps_left = 0;
                Err(SearchExhausted)
            }
        }
    }
}
