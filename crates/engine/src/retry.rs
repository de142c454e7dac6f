//! What is under way, and how long it waits before it is tried again: twice as long after each
//! failure in a row.

use minutehand_model::{RevisionEntry, Timestamp};

use crate::config::Config;
use crate::input::RequestId;
use crate::task_store::TaskIndex;

impl Config {
    /// The pause after so many failures in a row.
    pub(crate) fn retry_pause_ms(&self, failures: u32) -> i64 {
        let doubled = 1_i64 << failures.saturating_sub(1).min(32);
        self.retry_delay_ms
            .saturating_mul(doubled)
            .min(self.retry_delay_ms_max.max(self.retry_delay_ms))
    }
}

/// An operation that is under way at most once at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Single {
    pub(crate) request: Option<RequestId>,
    /// When it may be started; not while it is under way.
    pub(crate) not_before: Option<Timestamp>,
    /// Failures since it last succeeded.
    failures: u32,
}

impl Single {
    /// Whether it may be started.
    pub(crate) fn is_free(&self, now: Timestamp) -> bool {
        self.request.is_none() && self.not_before.is_none_or(|time| time <= now)
    }

    pub(crate) fn start(&mut self, request: RequestId) {
        (self.request, self.not_before) = (Some(request), None);
    }

    /// It has succeeded, if this is what was awaited.
    pub(crate) fn answers(&mut self, request: RequestId) -> bool {
        let is_awaited = self.request == Some(request);
        if is_awaited {
            *self = Single::default();
        }
        is_awaited
    }

    /// It has failed, if this is what was awaited.
    pub(crate) fn fails(&mut self, request: RequestId, now: Timestamp, config: &Config) -> bool {
        let is_awaited = self.request == Some(request);
        if is_awaited {
            let failures = self.failures.saturating_add(1);
            let not_before = Some(now.plus_millis(config.retry_pause_ms(failures)));
            *self = Single {
                request: None,
                not_before,
                failures,
            };
        }
        is_awaited
    }
}

/// What a write carries.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Blocks of these facts.
    Blocks(Vec<TaskIndex>),
    /// Revisions.
    Revisions(Vec<RevisionEntry>),
}

/// A write that is under way, or waits to be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) content: Content,
    /// When it may be sent again.
    pub(crate) not_before: Timestamp,
    failures: u32,
}

impl Write {
    pub(crate) fn new(content: Content) -> Write {
        Write {
            content,
            not_before: Timestamp::MIN,
            failures: 0,
        }
    }

    /// The facts in it, if it is one of blocks.
    pub(crate) fn facts(&self) -> impl ExactSizeIterator<Item = TaskIndex> {
        let facts: &[TaskIndex] = match &self.content {
            Content::Blocks(facts) => facts,
            Content::Revisions(_) => &[],
        };
        facts.iter().copied()
    }

    /// It is to be sent again after a pause.
    pub(crate) fn failed(self, now: Timestamp, config: &Config) -> Write {
        let failures = self.failures.saturating_add(1);
        Write {
            failures,
            not_before: now.plus_millis(config.retry_pause_ms(failures)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_pause_up_to_a_limit() {
        let config = Config {
            retry_delay_ms: 50,
            retry_delay_ms_max: 2_000,
            ..Config::default()
        };
        let pauses: Vec<i64> = (1..=8)
            .map(|failures| config.retry_pause_ms(failures))
            .collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(config.retry_pause_ms(u32::MAX), 2_000);
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let config = Config::default();
        let (mut single, start) = (Single::default(), Timestamp::from_millis(0));
        let fail = |single: &mut Single, number| {
            single.start(RequestId(number));
            assert!(
                !single.fails(RequestId(number + 100), start, &config),
                "nobody waits for it"
            );
            assert!(single.fails(RequestId(number), start, &config));
            single.not_before.expect("it waits").millis_since(start)
        };
        assert_eq!([fail(&mut single, 1), fail(&mut single, 2)], [50, 100]);
        single.start(RequestId(3));
        assert!(single.answers(RequestId(3)));
        assert_eq!(fail(&mut single, 4), 50);
    }
}
