//! The decision: given where reading stands, what the time is and what brokers say, whether a
//! consumer is kept. Nothing is asked here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long silence is borne.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A partition of which nothing came for so long is asked about, and again after twice as long,
    pub(crate) silent: Duration,
    /// but never later than this.
    pub(crate) silent_max: Duration,
    /// A consumer has so long to bring a record that is known to be there.
    pub(crate) owed: Duration,
}

impl Patience {
    /// That of consumers of which there are few.
    pub(crate) const USUAL: Patience = Patience {
        silent: Duration::from_secs(5),
        silent_max: Duration::from_secs(5),
        owed: Duration::from_secs(5),
    };
    /// That of consumers of which there may be thousands, most of them idle.
    pub(crate) const OF_MANY: Patience = Patience {
        silent_max: Duration::from_secs(40),
        ..Patience::USUAL
    };

    /// How long the silence lasts that is asked about, when it was asked about so often before.
    fn silence(self, asked: u32) -> Duration {
        let doubled = self.silent.saturating_mul(1 << asked.min(16));
        doubled.min(self.silent_max)
    }
}

/// What brokers say of a partition from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The first record that can be read has this offset.
    Record(u64),
    /// Nothing below this offset can be read, and never will be.
    NothingBelow(u64),
    /// They did not answer.
    Unknown,
}

/// A consumer that does not bring what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) partition: u32,
    /// From here on nothing was delivered.
    pub(crate) position: u64,
    /// Where there is a record.
    pub(crate) record: u64,
}

/// What looking at the positions has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing is to be done.
    Fine,
    /// The brokers should be asked what these partitions hold from these offsets on.
    Doubtful(Vec<(u32, u64)>),
    /// The consumer is to be replaced.
    Stuck(Stuck),
}

/// One partition as it was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    position: u64,
    /// Since when nothing came, or when the brokers were asked last.
    quiet_since: Instant,
    /// How often they were asked since something came.
    asked: u32,
    /// Below this there is nothing to be read from the position on.
    empty_below: u64,
    /// A record that is there, and since when that is known.
    owed: Option<(u64, Instant)>,
}

impl Seen {
    fn at(position: u64, now: Instant) -> Seen {
        Seen {
            position,
            quiet_since: now,
            asked: 0,
            empty_below: position,
            owed: None,
        }
    }
}

/// What is known of the partitions of one consumer.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Patience,
    seen: BTreeMap<u32, Seen>,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Watch {
        Watch {
            patience,
            seen: BTreeMap::new(),
        }
    }

    /// Looks at where reading stands in every partition that is followed: others are forgotten.
    pub(super) fn look(
        &mut self,
        positions: impl IntoIterator<Item = (u32, u64)>,
        now: Instant,
    ) -> Finding {
        let mut before = std::mem::take(&mut self.seen);
        let mut doubtful = Vec::new();
        let mut stuck = None;
        for (partition, position) in positions {
            let mut seen = match before.remove(&partition) {
                Some(seen) if seen.position == position => seen,
                _ => Seen::at(position, now),
            };
            if let Some((record, since)) = seen.owed
                && now - since >= self.patience.owed
            {
                stuck = stuck.or(Some(Stuck {
                    partition,
                    position,
                    record,
                }));
            }
            let silence = self.patience.silence(seen.asked);
            if seen.owed.is_none() && now - seen.quiet_since >= silence {
                (seen.quiet_since, seen.asked) = (now, seen.asked + 1);
                doubtful.push((partition, seen.empty_below));
            }
            debug_assert!(seen.empty_below >= position, "what was read is read");
            self.seen.insert(partition, seen);
        }
        match stuck {
            Some(stuck) => Finding::Stuck(stuck),
            None if doubtful.is_empty() => Finding::Fine,
            None => Finding::Doubtful(doubtful),
        }
    }

    /// Takes what brokers said of a partition from an offset on. It says nothing of a reader that
    /// has gone back behind that offset meanwhile.
    pub(super) fn hear(&mut self, (partition, from): (u32, u64), answer: Answer, now: Instant) {
        let Some(seen) = self.seen.get_mut(&partition) else {
            return;
        };
        if from > seen.empty_below {
            return;
        }
        match answer {
            // Delivered meanwhile: the next look finds another position.
            Answer::Record(record) if record >= seen.position => {
                seen.owed.get_or_insert((record, now));
            }
            Answer::NothingBelow(end) => seen.empty_below = seen.empty_below.max(end),
            Answer::Record(_) | Answer::Unknown => {}
        }
        debug_assert!(
            seen.owed.is_none_or(|(record, _)| record >= seen.position),
            "what is owed has not been read"
        );
    }

    /// What was seen says nothing any more.
    pub(super) fn begin_anew(&mut self) {
        self.seen.clear();
    }

    /// Up to where a partition holds nothing to be read from a position on, where that was found
    /// out of this very position: what is known of another one says nothing of it.
    pub(super) fn empty_from(&self, partition: u32, position: u64) -> Option<u64> {
        let seen = self.seen.get(&partition)?;
        let is_known = seen.position == position && seen.empty_below > position;
        is_known.then_some(seen.empty_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch, and a clock that is set by the test.
    struct Story {
        watch: Watch,
        now: Instant,
    }

    impl Story {
        fn new() -> Story {
            Story::of(Patience::USUAL)
        }

        fn of(patience: Patience) -> Story {
            Story {
                watch: Watch::new(patience),
                now: Instant::now(),
            }
        }

        /// Looks once, so many seconds later.
        fn after(&mut self, seconds: u64, positions: &[(u32, u64)]) -> Finding {
            self.now += Duration::from_secs(seconds);
            self.watch.look(positions.iter().copied(), self.now)
        }

        fn hears(&mut self, from: u64, answer: Answer) {
            self.watch.hear((3, from), answer, self.now);
        }
    }

    const STUCK: Finding = Finding::Stuck(Stuck {
        partition: 3,
        position: 7,
        record: 9,
    });

    fn doubtful(partition: u32, from: u64) -> Finding {
        Finding::Doubtful(vec![(partition, from)])
    }

    #[test]
    fn who_does_not_bring_what_is_there_is_replaced() {
        let mut story = Story::new();
        assert_eq!(story.after(0, &[(3, 7)]), Finding::Fine);
        assert_eq!(story.after(4, &[(3, 7)]), Finding::Fine);
        assert_eq!(story.after(1, &[(3, 7)]), doubtful(3, 7));
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(4, &[(3, 7)]), Finding::Fine, "it may be coming");
        assert_eq!(story.after(1, &[(3, 7)]), STUCK);
    }

    #[test]
    fn ends_of_transactions_behind_the_last_record_are_no_sign() {
        let mut story = Story::new();
        story.after(0, &[(3, 7)]);
        assert_eq!(story.after(5, &[(3, 7)]), doubtful(3, 7));
        story.hears(7, Answer::NothingBelow(12));
        assert_eq!(
            story.after(5, &[(3, 7)]),
            doubtful(3, 12),
            "what was looked at is not looked at again"
        );
        story.hears(12, Answer::NothingBelow(12));
        assert_eq!(story.after(600, &[(3, 7)]), doubtful(3, 12));
        assert_eq!(story.watch.empty_from(3, 7), Some(12));
        assert_eq!(story.watch.empty_from(3, 2), None, "it went back");
        assert_eq!(story.watch.empty_from(3, 8), None, "it went on");
    }

    #[test]
    fn whoever_brings_the_record_in_time_is_kept() {
        let mut story = Story::new();
        story.after(0, &[(3, 7)]);
        story.after(5, &[(3, 7)]);
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(4, &[(3, 10)]), Finding::Fine);
        assert_eq!(story.after(4, &[(3, 10)]), Finding::Fine);
        // The answer was under way while the record came.
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(1, &[(3, 10)]), doubtful(3, 10));
        assert_eq!(story.after(9, &[(3, 10)]), doubtful(3, 10));
    }

    #[test]
    fn brokers_that_do_not_answer_say_nothing_of_the_consumer() {
        let mut story = Story::new();
        story.after(0, &[(3, 7)]);
        for _ in 0..20 {
            assert_eq!(story.after(5, &[(3, 7)]), doubtful(3, 7));
            story.hears(7, Answer::Unknown);
        }
    }

    #[test]
    fn one_silent_partition_among_busy_ones_is_found() {
        let mut story = Story::new();
        for round in 0..5 {
            assert_eq!(story.after(1, &[(2, round), (3, 7)]), Finding::Fine);
        }
        assert_eq!(story.after(1, &[(2, 50), (3, 7)]), doubtful(3, 7));
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(5, &[(2, 60), (3, 7)]), STUCK);
    }

    #[test]
    fn idle_partitions_are_asked_about_ever_more_rarely() {
        let mut story = Story::of(Patience::OF_MANY);
        story.after(0, &[(3, 7)]);
        for silence in [5, 10, 20, 40, 40] {
            assert_eq!(story.after(silence - 1, &[(3, 7)]), Finding::Fine);
            assert_eq!(story.after(1, &[(3, 7)]), doubtful(3, 7));
        }
        assert_eq!(story.after(1, &[(3, 8)]), Finding::Fine);
        assert_eq!(story.after(5, &[(3, 8)]), doubtful(3, 8), "it was not idle");
    }

    #[test]
    fn an_answer_says_nothing_of_a_reader_that_went_back() {
        let mut story = Story::new();
        story.after(0, &[(3, 7)]);
        assert_eq!(story.after(5, &[(3, 7)]), doubtful(3, 7));
        story.after(1, &[(3, 2)]);
        story.hears(7, Answer::NothingBelow(12));
        assert_eq!(story.watch.empty_from(3, 2), None);
        story.hears(7, Answer::Record(20));
        assert_eq!(story.after(5, &[(3, 2)]), doubtful(3, 2));
    }

    #[test]
    fn what_was_held_back_or_taken_away_begins_anew() {
        let mut story = Story::new();
        story.after(0, &[(3, 7)]);
        story.after(5, &[(3, 7)]);
        story.hears(7, Answer::Record(9));
        story.watch.begin_anew();
        assert_eq!(story.after(5, &[(3, 7)]), Finding::Fine);
        story.after(5, &[(3, 7)]);
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(1, &[]), Finding::Fine);
        story.hears(7, Answer::Record(9));
        assert_eq!(story.after(5, &[(3, 7)]), Finding::Fine);
    }
}
