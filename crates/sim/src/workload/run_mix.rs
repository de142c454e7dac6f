//! How runs of schedules go.

use crate::rng::Rng;

/// How runs of schedules go, as a seed draws it; all of a thousand.
#[derive(Clone, Debug)]
pub(crate) struct RunMix {
    /// Attempts of which nothing is ever heard.
    pub(crate) unheard: u64,
    /// Attempts that take long.
    pub(crate) long: u64,
    /// Attempts that fail.
    pub(crate) failing: u64,
    /// Failures that are tried again.
    pub(crate) retried: u64,
    /// Retries that somebody cancels while they wait.
    pub(crate) cancelled: u64,
    /// Requests to stop that reach nobody.
    pub(crate) stops_lost: u64,
}

impl RunMix {
    pub(crate) fn draw(rng: &mut Rng) -> RunMix {
        RunMix {
            unheard: rng.pick(&[0, 0, 20, 150]),
            long: rng.pick(&[50, 50, 200]),
            failing: rng.pick(&[100, 100, 400]),
            retried: rng.pick(&[0, 300, 800]),
            cancelled: rng.pick(&[0, 100, 500]),
            stops_lost: rng.pick(&[0, 0, 200, 700]),
        }
    }
}
