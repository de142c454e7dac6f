//! The owner's clock, held against the sink's: an owner goes by its own only while the two agree.
//!
//! Each answer to an opening or a tick says when the sink took it. Between two answers the steady
//! clock tells how far the sink's must have come since. Where the wall clock shows another time, it
//! may have been set, or the machine may have slept; nothing is fired until a tick without content
//! has told which. An owner whose clock is off gives the partition up.

use minutehand_model::Timestamp;

use crate::config::Config;
use crate::effect::StopReason;
use crate::input::Moment;

/// What is known of the sink's clock, and the steady one that it is followed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SinkClock {
    /// What the owner's steady clock shows, which never goes back.
    steady_ms: i64,
    /// What it shows is at least what the steady clock shows, and this much more. `None`: it has
    /// not been seen.
    ahead_of_steady_ms: Option<i64>,
    /// When the question under way was sent.
    asked_at: Option<Moment>,
}

impl Default for SinkClock {
    fn default() -> SinkClock {
        SinkClock {
            steady_ms: i64::MIN,
            ahead_of_steady_ms: None,
            asked_at: None,
        }
    }
}

impl SinkClock {
    /// Takes note of what the owner's steady clock shows.
    pub(crate) fn tell(&mut self, steady_ms: i64) {
        self.steady_ms = self.steady_ms.max(steady_ms);
    }

    /// The present by both of the owner's clocks.
    pub(crate) fn moment(&self, wall: Timestamp) -> Moment {
        Moment {
            wall,
            steady_ms: self.steady_ms,
        }
    }

    /// A question is sent whose answer will say when the sink took it.
    pub(crate) fn asked(&mut self, now: Moment) {
        self.asked_at = Some(now);
    }

    /// The sink took it at a time, and the answer is here. An error when the owner's clock is too
    /// far off.
    pub(crate) fn answered(
        &mut self,
        taken_at: Option<Timestamp>,
        now: Moment,
        config: &Config,
    ) -> Result<(), StopReason> {
        let (Some(taken_at), Some(asked_at)) = (taken_at, self.asked_at.take()) else {
            return Ok(());
        };
        let least_ms = taken_at.as_millis().saturating_sub(now.steady_ms);
        let most_ms = taken_at.as_millis().saturating_sub(asked_at.steady_ms);
        let known_ms = self.ahead_of_steady_ms.unwrap_or(least_ms);
        // The sink's clock itself may have been set back: then what was known of it is too much.
        let still_known_ms = if known_ms > most_ms {
            least_ms
        } else {
            known_ms.max(least_ms)
        };
        self.ahead_of_steady_ms = Some(still_known_ms);
        // It was taken after it was sent, and before the answer came.
        let ahead_ms = asked_at.wall.millis_since(taken_at);
        let behind_ms = taken_at.millis_since(now.wall);
        let limit_ms = config.clock_skew_ms_max;
        match (ahead_ms > limit_ms, behind_ms > limit_ms) {
            (true, _) => Err(StopReason::ClockOff {
                ms: ahead_ms,
                way: "ahead of",
                limit_ms,
            }),
            (_, true) => Err(StopReason::ClockOff {
                ms: behind_ms,
                way: "behind",
                limit_ms,
            }),
            _ => Ok(()),
        }
    }

    /// Whether the wall clock shows what the sink's must show by now, to within the limit. One that
    /// was never seen is the owner's own.
    pub(crate) fn agrees(&self, now: Moment, config: &Config) -> bool {
        self.ahead_of_steady_ms.is_none_or(|ahead_ms| {
            let sink_ms = now.steady_ms.saturating_add(ahead_ms);
            now.wall.as_millis().saturating_sub(sink_ms).abs() <= config.clock_skew_ms_max
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_MS: i64 = 5_000;

    fn config() -> Config {
        Config {
            clock_skew_ms_max: LIMIT_MS,
            ..Config::default()
        }
    }

    fn at(wall_ms: i64, steady_ms: i64) -> Moment {
        Moment {
            wall: Timestamp::from_millis(wall_ms),
            steady_ms,
        }
    }

    /// A question at one moment that the sink took at a time, answered at another moment.
    fn compare(
        clock: &mut SinkClock,
        asked: Moment,
        taken_ms: i64,
        answered: Moment,
    ) -> Result<(), StopReason> {
        clock.asked(asked);
        clock.answered(Some(Timestamp::from_millis(taken_ms)), answered, &config())
    }

    #[test]
    fn a_clock_that_is_off_is_refused_whichever_way() {
        for (taken_ms, is_fine) in [
            (95_000, true),
            (94_999, false),
            (106_000, true),
            (106_001, false),
        ] {
            let mut clock = SinkClock::default();
            let compared = compare(&mut clock, at(100_000, 0), taken_ms, at(101_000, 1_000));
            assert_eq!(compared.is_ok(), is_fine, "{taken_ms}");
        }
    }

    #[test]
    fn between_two_comparisons_the_steady_clock_tells_of_a_jump() {
        let mut clock = SinkClock::default();
        assert!(
            clock.agrees(at(900_000, 0), &config()),
            "nothing to compare with"
        );
        assert_eq!(
            compare(&mut clock, at(100_000, 0), 100_100, at(100_200, 200)),
            Ok(())
        );
        let cases = [
            (160_000, true),
            (164_900, true),
            (164_901, false),
            (154_900, true),
            (154_899, false),
        ];
        for (wall_ms, agrees) in cases {
            assert_eq!(
                clock.agrees(at(wall_ms, 60_000), &config()),
                agrees,
                "{wall_ms}"
            );
        }
    }

    #[test]
    fn a_slow_answer_does_not_take_away_what_is_known() {
        let mut clock = SinkClock::default();
        assert_eq!(
            compare(&mut clock, at(100_000, 0), 100_010, at(100_020, 20)),
            Ok(())
        );
        assert_eq!(
            compare(&mut clock, at(101_000, 1_000), 101_010, at(120_000, 20_000)),
            Ok(())
        );
        assert!(clock.agrees(at(120_001, 20_001), &config()));
    }

    #[test]
    fn after_a_sleep_a_comparison_agrees_again() {
        let mut clock = SinkClock::default();
        assert_eq!(
            compare(&mut clock, at(100_000, 0), 100_010, at(100_020, 20)),
            Ok(())
        );
        let woken = at(3_700_020, 30);
        assert!(!clock.agrees(woken, &config()));
        assert_eq!(
            compare(&mut clock, woken, 3_700_030, at(3_700_040, 50)),
            Ok(())
        );
        assert!(clock.agrees(at(3_700_040, 50), &config()));
    }

    #[test]
    fn a_sink_whose_clock_is_set_back_is_believed() {
        let mut clock = SinkClock::default();
        assert_eq!(
            compare(&mut clock, at(100_000, 0), 104_000, at(100_020, 20)),
            Ok(())
        );
        assert_eq!(
            compare(&mut clock, at(101_000, 1_000), 101_010, at(101_020, 1_020)),
            Ok(())
        );
        assert!(!clock.agrees(at(107_000, 1_030), &config()));
    }
}
