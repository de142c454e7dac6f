//! File descriptors: how many this process may hold, and who may hold how many of them.
//!
//! The store must never want for one: a database that cannot open its next file closes itself for
//! writes. So it has a reserve, and connections and runs share what is left. Whoever has used its
//! share up waits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The share of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: usize,
}

/// More than this is of no use, and some systems allow a thousand million.
const LIMIT_MAX: usize = 1 << 16;
/// Without this many the process does not start.
const LIMIT_MIN: usize = 128;
/// What the process holds for itself: standard streams, timers, the listener, what it reads at its
/// start.
const OWN: usize = 32;
/// Most that the store makes use of.
const STORE_MAX: usize = 1_024;
/// Most connections to webhooks that are kept for the next request.
const IDLE_MAX: usize = 256;
/// What a run may hold at its worst: a command is given three pipes, with both their ends while it
/// is started.
const PER_RUN: usize = 8;

const _: () = assert!(
    (LIMIT_MIN - OWN) / 4 >= 24,
    "the store can work with its share of the least"
);
const _: () = assert!(
    (LIMIT_MIN - OWN) / 8 * 3 / PER_RUN > 0,
    "at the least, one run at a time"
);

/// A limit that is too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {given} files at once; it needs at least {LIMIT_MIN}: raise the limit (ulimit -Hn, or LimitNOFILE \
     of a systemd unit)"
)]
pub(crate) struct TooFew {
    given: usize,
}

impl Descriptors {
    /// Raises the limit of this process as far as it may, and shares out what that is.
    pub(crate) fn raised() -> Result<Descriptors, TooFew> {
        let limits = getrlimit(Resource::Nofile);
        let wanted = limits.maximum.unwrap_or(u64::MAX).min(LIMIT_MAX as u64);
        let current = limits.current.unwrap_or(u64::MAX);
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limits.maximum,
        };
        let has_more = current < wanted && setrlimit(Resource::Nofile, raised).is_ok();
        let limit = if has_more { wanted } else { current };
        Descriptors::of(usize::try_from(limit).unwrap_or(LIMIT_MAX))
    }

    /// Shares out a limit.
    fn of(limit: usize) -> Result<Descriptors, TooFew> {
        if limit < LIMIT_MIN {
            Err(TooFew { given: limit })
        } else {
            Ok(Descriptors {
                limit: limit.min(LIMIT_MAX),
            })
        }
    }

    /// Descriptors that only the store may use.
    pub(crate) fn for_store(self) -> usize {
        ((self.limit - OWN) / 4).min(STORE_MAX)
    }

    /// Connections of callers that may be open at once; each is one descriptor.
    pub(crate) fn for_connections(self) -> usize {
        self.left() / 2
    }

    /// Runs that may be in progress at once, over all queues.
    pub(crate) fn for_runs(self) -> usize {
        (self.left() - self.for_connections()) / PER_RUN
    }

    /// Connections to webhooks that may be kept for the next request.
    pub(crate) fn for_idle_connections(self) -> usize {
        (self.limit / 16).min(IDLE_MAX)
    }

    /// What connections and runs share.
    fn left(self) -> usize {
        self.limit - OWN - self.for_store() - self.for_idle_connections()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_add_up_to_more_than_the_limit() {
        for limit in (LIMIT_MIN..5_000).chain([LIMIT_MAX - 1, LIMIT_MAX, usize::MAX]) {
            let shares = Descriptors::of(limit).expect("enough");
            let (store, connections, runs) = (
                shares.for_store(),
                shares.for_connections(),
                shares.for_runs(),
            );
            let idle = shares.for_idle_connections();
            assert!(OWN + store + idle + connections + runs * PER_RUN <= limit);
            assert!(
                store >= 24 && connections >= 24 && runs >= 4,
                "{limit}: {store}, {connections}, {runs}"
            );
        }
    }

    #[test]
    fn a_limit_that_is_too_low_is_refused_with_the_remedy() {
        let error = Descriptors::of(LIMIT_MIN - 1).expect_err("too few");
        let words = error.to_string();
        assert!(
            words.contains("127") && words.contains("128") && words.contains("ulimit"),
            "{words}"
        );
    }

    #[test]
    fn the_limit_of_this_process_is_raised() {
        let shares = Descriptors::raised().expect("a usual limit");
        let limits = getrlimit(Resource::Nofile);
        assert!(
            limits
                .current
                .is_none_or(|limit| limit >= shares.limit as u64)
        );
    }
}
