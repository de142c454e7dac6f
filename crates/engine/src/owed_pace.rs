//! How fast what schedules owe is decided, and whose turn it is.

use minutehand_model::{Place, Timestamp};

/// Whose turn it is of the schedules that are behind: a long backlog of one does not hold up another
/// that has missed little, nor the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The one that owes what was due first.
    #[default]
    Oldest,
    /// The one that is the least behind.
    Newest,
}

impl Turn {
    pub(crate) fn next(self) -> Turn {
        match self {
            Turn::Oldest => Turn::Newest,
            Turn::Newest => Turn::Oldest,
        }
    }
}

/// How late the oldest that schedules owe may be: the rate of catching up bounds what makes that
/// less, and not what keeps pace with the clock. They name more meanwhile, perhaps more than the rate
/// allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwedPace {
    /// The oldest place that is owed, as it was seen last.
    oldest: Place,
    late_ms: i64,
}

impl OwedPace {
    pub(crate) fn begin(oldest: Place, now: Timestamp) -> OwedPace {
        let late_ms = now.millis_since(oldest.due);
        OwedPace { oldest, late_ms }
    }

    /// The oldest is this one, without a decision: an older one was left behind or read late, or the
    /// oldest is owed no more.
    pub(crate) fn seen(self, oldest: Place, now: Timestamp) -> OwedPace {
        match oldest < self.oldest {
            true => OwedPace {
                oldest,
                late_ms: self.late_ms.max(now.millis_since(oldest.due)),
            },
            false => self.gained(oldest),
        }
    }

    /// The oldest is this one by a decision for which the rate was used, or by one after which its
    /// schedule is no longer behind.
    pub(crate) fn gained(self, oldest: Place) -> OwedPace {
        let gained_ms = oldest.due.millis_since(self.oldest.due).max(0);
        OwedPace {
            oldest,
            late_ms: self.late_ms - gained_ms,
        }
    }

    /// The oldest is this one by a decision that only kept pace.
    pub(crate) fn kept(self, oldest: Place) -> OwedPace {
        OwedPace { oldest, ..self }
    }

    /// Whether it is later than it may be.
    pub(crate) fn falls_back(self, now: Timestamp) -> bool {
        now.millis_since(self.oldest.due) > self.late_ms
    }
}

#[cfg(test)]
mod tests {
    use minutehand_model::LogOffset;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn place(due_ms: i64) -> Place {
        Place {
            due: at(due_ms),
            offset: LogOffset::at(1),
        }
    }

    #[test]
    fn what_keeps_pace_makes_nothing_less_late() {
        let pace = OwedPace::begin(place(1_000), at(5_000));
        assert!(!pace.falls_back(at(5_000)));
        assert!(pace.falls_back(at(5_001)));
        let kept = pace.kept(place(2_000));
        assert!(!kept.falls_back(at(6_000)));
        assert!(kept.falls_back(at(6_001)), "it may be four seconds late");
    }

    #[test]
    fn what_the_rate_allowed_is_not_lost_again() {
        let pace = OwedPace::begin(place(1_000), at(5_000)).gained(place(2_000));
        assert!(!pace.falls_back(at(5_000)));
        assert!(pace.falls_back(at(5_001)), "it may be three seconds late");
    }

    #[test]
    fn an_older_one_is_not_made_up_for_beyond_the_rate() {
        let pace = OwedPace::begin(place(4_000), at(5_000)).seen(place(1_000), at(5_000));
        assert!(!pace.falls_back(at(5_000)));
        let gone = pace.seen(place(4_000), at(5_000));
        assert!(gone.falls_back(at(5_001)), "one second late, as before");
    }
}
