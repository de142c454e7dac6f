//! What operators have said of a queue: whether it hands out, how fast, and what of it is not to
//! run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::choice;
use crate::name::Namespace;
use crate::time::{DAY_MS, Timestamp};

/// How long what has come to its end is still shown, in milliseconds: a day.
const SHOWN_MS: i64 = DAY_MS;
/// How long a purge is remembered, in milliseconds: longer than stores keep executions by default.
const PURGE_KEPT_MS: i64 = 30 * DAY_MS;

choice!(
    /// Whether a queue hands out its executions.
    QueueState, "state" {
        /// It does.
        Open = "open",
        /// It does not; what is published waits.
        Paused = "paused",
        /// It hands out one execution from time to time; the first that succeeds opens it.
        Probing = "probing",
        /// It was paused, and what has waited since comes out at a rate.
        Draining = "draining",
    }
);

/// Who opened a gate, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// A gate that was closed, and how it opens. While it is closed nothing is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Since when.
    pub closed_at: Timestamp,
    /// Who closed it.
    pub closed_by: String,
    /// Why, in that person's words.
    pub reason: String,
    /// When it opens by itself.
    pub until: Option<Timestamp>,
    /// How often one execution is handed out while it is closed, in milliseconds; the first that
    /// succeeds opens it.
    pub probe_every_ms: Option<i64>,
    /// How many executions a second come out, once it is open, of those that waited.
    pub drain_per_second: Option<u32>,
    /// Somebody opened it.
    pub opened: Option<Opening>,
}

impl Gate {
    /// When it opens, or opened; `None` when nobody knows yet.
    pub fn opens_at(&self) -> Option<Timestamp> {
        let opened = self.opened.as_ref().map(|opened| opened.at);
        match (self.until, opened) {
            (Some(until), Some(opened)) => Some(until.min(opened)),
            (until, opened) => until.or(opened),
        }
    }

    /// Whether it is closed.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.opens_at().is_none_or(|opens_at| now < opens_at)
    }
}

/// What was published up to a time is not to run any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Up to then, by the clocks of those who publish.
    pub through: Timestamp,
    /// Who wanted it.
    pub by: String,
}

/// When a queue is paused by itself: so many attempts in a row have failed at one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// How many.
    pub failures_max: u32,
    /// How often one execution is handed out then, in milliseconds; the first that succeeds opens
    /// it again.
    pub probe_every_ms: i64,
    /// How many executions a second come out, once it is open, of those that waited.
    pub drain_per_second: Option<u32>,
}

/// What of a queue's executions those of one namespace get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRules {
    /// How many are handed out in its turn, while others wait as well.
    pub weight: u32,
    /// How many executions a second a worker group is handed; as many as there are when not given.
    pub per_second_max: Option<u32>,
}

impl Default for NamespaceRules {
    fn default() -> NamespaceRules {
        NamespaceRules {
            weight: 1,
            per_second_max: None,
        }
    }
}

/// What operators have said of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueRules {
    /// The last gate that was closed.
    pub gate: Option<Gate>,
    /// The last purge.
    pub purge: Option<Purge>,
    /// How many executions a second a worker group is handed; as many as there are when not given.
    pub per_second_max: Option<u32>,
    /// How many executions of one key are at work at once in a worker group; without a limit when
    /// not given.
    pub per_key_max: Option<u32>,
    /// What every namespace gets of which nothing else is said.
    pub of_each_namespace: NamespaceRules,
    /// What some get.
    pub of_namespaces: Arc<BTreeMap<Namespace, NamespaceRules>>,
    /// When it is paused by itself; never when not given.
    pub breaker: Option<Breaker>,
}

impl QueueRules {
    /// Whether to keep to it one must know what comes behind the next execution.
    pub fn needs_a_look_ahead(&self) -> bool {
        self.per_key_max.is_some()
            || !self.of_namespaces.is_empty()
            || self.of_each_namespace != NamespaceRules::default()
    }

    /// The gate, while it is closed.
    pub fn closed(&self, now: Timestamp) -> Option<&Gate> {
        self.gate.as_ref().filter(|gate| gate.is_closed(now))
    }

    /// Whether what was published then is not to run.
    pub fn is_purged(&self, published_at: Timestamp) -> bool {
        let purge = self.purge.as_ref();
        purge.is_some_and(|purge| published_at <= purge.through)
    }

    /// How fast what was published then is handed out, in executions a second: the least of what
    /// was said.
    pub fn per_second(&self, published_at: Timestamp) -> Option<u32> {
        let gate = self.gate.as_ref();
        let drain = gate
            .filter(|gate| gate.opens_at().is_some_and(|at| published_at < at))
            .and_then(|gate| gate.drain_per_second);
        [drain, self.per_second_max].into_iter().flatten().min()
    }

    /// What the queue does; `oldest` is when the oldest execution that waits was published.
    pub fn state(&self, now: Timestamp, oldest: Option<Timestamp>) -> QueueState {
        let Some(gate) = &self.gate else {
            return QueueState::Open;
        };
        let drains = gate.drain_per_second.is_some()
            && oldest
                .zip(gate.opens_at())
                .is_some_and(|(oldest, opened)| oldest < opened);
        match (gate.is_closed(now), gate.probe_every_ms) {
            (true, None) => QueueState::Paused,
            (true, Some(_)) => QueueState::Probing,
            (false, _) if drains => QueueState::Draining,
            (false, _) => QueueState::Open,
        }
    }

    /// Whether nothing of it matters any more.
    pub fn is_spent(&self, now: Timestamp) -> bool {
        let is_past = |at: Timestamp, kept_ms: i64| at.plus_millis(kept_ms) < now;
        let gate = self.gate.as_ref().is_none_or(|gate| {
            let opened = gate.opens_at().is_some_and(|at| is_past(at, SHOWN_MS));
            opened && gate.drain_per_second.is_none()
        });
        let purge = self.purge.as_ref();
        let purge = purge.is_none_or(|purge| is_past(purge.through, PURGE_KEPT_MS));
        let limits = self.per_second_max.is_some() || self.needs_a_look_ahead();
        gate && purge && !limits && self.breaker.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn gate() -> Gate {
        Gate {
            closed_at: at(100),
            closed_by: "ops".to_owned(),
            reason: String::new(),
            until: None,
            probe_every_ms: None,
            drain_per_second: None,
            opened: None,
        }
    }

    fn rules(gate: Gate) -> QueueRules {
        QueueRules {
            gate: Some(gate),
            ..QueueRules::default()
        }
    }

    #[test]
    fn a_gate_opens_at_its_time_or_when_somebody_opens_it() {
        assert!(gate().is_closed(at(1 << 50)));
        let until = Gate {
            until: Some(at(500)),
            ..gate()
        };
        assert!(until.is_closed(at(499)) && !until.is_closed(at(500)));
        let by = "ops".to_owned();
        let opened = Gate {
            opened: Some(Opening { at: at(300), by }),
            ..until
        };
        assert!(opened.is_closed(at(299)) && !opened.is_closed(at(300)));
    }

    #[test]
    fn what_waited_drains_and_what_came_later_does_not() {
        let mut drained = rules(Gate {
            until: Some(at(500)),
            drain_per_second: Some(10),
            ..gate()
        });
        assert_eq!(drained.per_second(at(499)), Some(10));
        assert_eq!(drained.per_second(at(500)), None);
        assert_eq!(drained.state(at(400), Some(at(1))), QueueState::Paused);
        assert_eq!(drained.state(at(600), Some(at(1))), QueueState::Draining);
        assert_eq!(drained.state(at(600), Some(at(501))), QueueState::Open);
        assert_eq!(drained.state(at(600), None), QueueState::Open);
        drained.per_second_max = Some(4);
        assert_eq!(drained.per_second(at(1)), Some(4));
        assert_eq!(drained.per_second(at(501)), Some(4));
    }

    #[test]
    fn what_holds_no_more_is_forgotten_after_a_while() {
        let long_after = at(100 * DAY_MS);
        assert!(QueueRules::default().is_spent(at(0)));
        assert!(!rules(gate()).is_spent(long_after), "it is closed");
        let opened = rules(Gate {
            until: Some(at(500)),
            ..gate()
        });
        assert!(!opened.is_spent(at(600)) && opened.is_spent(long_after));
        let purge = Purge {
            through: at(700),
            by: "ops".to_owned(),
        };
        let purged = QueueRules {
            purge: Some(purge),
            ..QueueRules::default()
        };
        assert!(purged.is_purged(at(700)) && !purged.is_purged(at(701)));
        assert!(!purged.is_spent(at(2 * DAY_MS)) && purged.is_spent(long_after));
    }
}
