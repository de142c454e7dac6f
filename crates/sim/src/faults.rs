//! Everything that may go wrong, as one struct of named rates; every seed draws its own (swarm
//! testing).

use std::fmt;

use crate::rng::Rng;

macro_rules! fault_model {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ty = $range:expr,)+) => {
        /// What may go wrong during a run, and how badly. `*_per_minute`: events a minute over the
        /// whole cluster; `*_ms_max`: the longest they last, in milliseconds; the others are
        /// probabilities per operation.
        #[derive(Clone, Debug, PartialEq)]
        pub struct FaultModel { $($(#[doc = $doc])+ pub $field: $kind,)+ }

        impl FaultModel {
            /// Nothing goes wrong.
            pub fn healthy() -> FaultModel {
                FaultModel { $($field: <$kind>::default(),)+ }
            }

            /// The rates of a seed: about half of the faults are switched off, the others drawn
            /// from their ranges. `later`: for those that were thought of later, so that a seed's
            /// other choices do not depend on them.
            pub(crate) fn draw(rng: &mut Rng, later: &mut Rng) -> FaultModel {
                FaultModel { $($field: Draw::draw($range, rng, later),)+ }
            }

            /// Every rate with its name, in order.
            pub fn rates(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($field), self.$field as f64),)+]
            }
        }
    };
}

/// How a field of the fault model is drawn.
trait Draw {
    type Value;
    fn draw(self, rng: &mut Rng, later: &mut Rng) -> Self::Value;
}

/// A probability or rate: zero in half of the seeds.
struct Rate(f64);
/// A length of time in milliseconds, from a thirtieth of this to this.
struct UpTo(i64);
/// A length of time in milliseconds, up to this; zero in three of four seeds.
struct Seldom(i64);
/// One that is drawn apart.
struct Later<D>(D);

impl Draw for Rate {
    type Value = f64;
    fn draw(self, rng: &mut Rng, _: &mut Rng) -> f64 {
        let share = rng.below(1_001) as f64 / 1_000.0;
        if rng.chance(0.5) {
            0.0
        } else {
            self.0 * share * share
        }
    }
}

impl Draw for UpTo {
    type Value = i64;
    fn draw(self, rng: &mut Rng, _: &mut Rng) -> i64 {
        rng.range(self.0 / 30, self.0)
    }
}

impl Draw for Seldom {
    type Value = i64;
    fn draw(self, rng: &mut Rng, _: &mut Rng) -> i64 {
        if rng.chance(0.75) {
            0
        } else {
            rng.range(0, self.0)
        }
    }
}

impl<D: Draw> Draw for Later<D> {
    type Value = D::Value;
    fn draw(self, _: &mut Rng, later: &mut Rng) -> D::Value {
        self.0.draw(later, &mut Rng::new(0))
    }
}

fault_model! {
    /// Nodes that lose their memory.
    crashes_per_minute: f64 = Rate(8.0),
    /// How long a crashed node stays away.
    restart_ms_max: i64 = UpTo(30_000),
    /// A request that was on its way when its node crashed gets lost.
    crash_loses_request: f64 = Rate(1.0),
    /// Nodes that stand still and then go on as if nothing had been.
    pauses_per_minute: f64 = Rate(6.0),
    /// How long they do.
    pause_ms_max: i64 = UpTo(30_000),
    /// Connections between one node and one store that are cut.
    cuts_per_minute: f64 = Rate(8.0),
    /// How long they are.
    cut_ms_max: i64 = UpTo(60_000),
    /// Stores that refuse everything.
    outages_per_minute: f64 = Rate(4.0),
    /// How long they do.
    outage_ms_max: i64 = UpTo(20_000),
    /// Node clocks that are set forward or back.
    clock_jumps_per_minute: f64 = Rate(2.0),
    /// How far.
    clock_jump_ms_max: i64 = UpTo(3 * 3_600_000),
    /// How far a node's clock is off from the beginning.
    clock_skew_ms_max: i64 = UpTo(100),
    /// Planned changes: a node hands over everything, and is given work again later.
    drains_per_minute: f64 = Rate(4.0),
    /// Requests that take long.
    slow_request: f64 = Rate(0.1),
    /// How long.
    slow_request_ms_max: i64 = UpTo(20_000),
    /// Requests that never arrive.
    lost_request: f64 = Rate(0.03),
    /// Answers that never arrive.
    lost_answer: f64 = Rate(0.03),
    /// Writes that arrive a second time, perhaps much later.
    duplicate_write: f64 = Rate(0.1),
    /// How much later.
    duplicate_write_ms_max: i64 = UpTo(60_000),
    /// Answers that arrive again, after they were given up or given.
    repeated_answer: f64 = Rate(0.05),
    /// Commits that end in doubt: half of them had their effect.
    commit_in_doubt: f64 = Rate(0.05),
    /// Records of the log in which a bit flips.
    corrupt_record: f64 = Rate(0.01),
    /// Blocks in which a bit flips.
    corrupt_block: f64 = Rate(0.03),
    /// Commands that their producer sends twice.
    duplicate_command: f64 = Rate(0.1),
    /// News of a log's growth that never arrive.
    lost_growth: f64 = Rate(0.5),
    /// Readers that die: their owner hears of no more growth.
    reader_deaths_per_minute: f64 = Rate(3.0),
    /// Transactions in a log that hang: what was appended since is not handed out until they end.
    hanging_per_minute: f64 = Later(Rate(4.0)),
    /// How long they do.
    hanging_ms_max: i64 = Later(UpTo(20_000)),
    /// How far the log's clock goes back when another machine leads it.
    log_clock_ms_max: i64 = Later(Seldom(1_000)),
    /// Other regions that adopt this one, whether or not anything is wrong with it.
    adoptions_per_minute: f64 = Later(Rate(6.0)),
    /// How long they keep it.
    adoption_ms_max: i64 = Later(UpTo(40_000)),
    /// Extensions of the horizon of which nobody says what became: half of them had their effect.
    register_in_doubt: f64 = Later(Rate(0.3)),
    /// Owners that begin with other settings of what is left behind than those before them.
    changed_settings: f64 = Later(Rate(0.7)),
}

impl FaultModel {
    /// Whether anything can go wrong at all.
    pub fn is_healthy(&self) -> bool {
        *self == FaultModel::healthy()
    }
}

impl fmt::Display for FaultModel {
    /// The rates that are not zero, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_healthy() {
            return f.write_str("none");
        }
        let mut first = true;
        for (name, rate) in self.rates().into_iter().filter(|(_, rate)| *rate != 0.0) {
            let space = if first { "" } else { " " };
            first = false;
            if name.ends_with("_ms_max") {
                write!(f, "{space}{name}={rate}")?;
            } else {
                write!(f, "{space}{name}={rate:.4}")?;
            }
        }
        Ok(())
    }
}

macro_rules! fault_counts {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        /// How often each fault happened in a run.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct FaultCounts { $($(#[doc = $doc])+ pub $field: u64,)+ }

        impl FaultCounts {
            /// Every count with its name, in order.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)+]
            }
        }
    };
}

fault_counts! {
    /// Nodes that lost their memory.
    crashes,
    /// Nodes that stood still.
    pauses,
    /// Connections cut.
    cuts,
    /// Stores that refused everything for a while.
    outages,
    /// Clocks set.
    clock_jumps,
    /// Planned hand-overs of a whole node.
    drains,
    /// Requests that took long.
    slow_requests,
    /// Requests or answers that got lost.
    lost_messages,
    /// Requests refused by a store that was out.
    refused_requests,
    /// Writes that arrived twice.
    duplicate_writes,
    /// Answers that arrived twice or too late.
    repeated_answers,
    /// Commits that ended in doubt.
    commits_in_doubt,
    /// Commits refused because a later owner was there.
    fenced_commits,
    /// Log records damaged.
    corrupt_records,
    /// Blocks damaged.
    corrupt_blocks,
    /// Commands sent twice.
    duplicate_commands,
    /// Owners that gave up because their clock was off.
    clocks_refused,
    /// News of a log's growth that got lost.
    lost_growth,
    /// Readers that died.
    reader_deaths,
    /// Transactions that hung.
    hanging_transactions,
    /// Adoptions by other regions.
    adoptions,
    /// Extensions of the horizon that ended in doubt.
    extensions_in_doubt,
    /// Leases that ran out.
    expired_leases,
    /// Owners that began.
    take_overs,
    /// Owners that began with other settings.
    changed_settings,
    /// Owners that gave their partition back.
    hand_overs,
    /// Executions published before their time by true time, because their owner's clock was ahead.
    early_by_true_time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_drawn_by_some_seed_and_left_out_by_another() {
        let drawn: Vec<FaultModel> = (0..64)
            .map(|seed| FaultModel::draw(&mut Rng::new(seed), &mut Rng::fork(seed, 1)))
            .collect();
        for (index, (name, _)) in drawn[0].rates().iter().enumerate() {
            assert!(
                drawn.iter().any(|model| model.rates()[index].1 > 0.0),
                "{name} is never drawn"
            );
            let always = name.ends_with("_ms_max");
            assert!(
                always || drawn.iter().any(|model| model.rates()[index].1 == 0.0),
                "{name} is always on"
            );
        }
    }

    #[test]
    fn a_model_prints_what_can_happen() {
        let model = FaultModel {
            lost_answer: 0.25,
            cut_ms_max: 40,
            ..FaultModel::healthy()
        };
        assert_eq!(model.to_string(), "cut_ms_max=40 lost_answer=0.2500");
        assert_eq!(FaultModel::healthy().to_string(), "none");
    }
}
