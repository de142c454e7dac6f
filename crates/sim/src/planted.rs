//! The planted bugs: rules of the protocol and promises of the stores, each broken on purpose to
//! prove that the checkers can see.

use std::fmt;
use std::str::FromStr;

use minutehand_engine::{PlantedBug, Rules};

use crate::store::{ReceptionFlaw, SinkStore, TimetableFlaws};

macro_rules! flaws {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// A promise of a store, or of the coordinator, that is broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flaw { $($(#[doc = $doc])+ $variant,)+ }

        impl Flaw {
            /// Every flaw.
            pub const ALL: &'static [Flaw] = &[$(Flaw::$variant,)+];

            /// The word on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Flaw::$variant => $word,)+ }
            }

            /// What is broken, as a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Flaw::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

flaws! {
    /// A stale owner's commit is accepted.
    Fence = "fence",
    /// Publication and checkpoint are two steps, and a failure may come between them.
    Atomic = "atomic",
    /// Half of a tick's executions get lost although its checkpoint is kept.
    TornTick = "torn-tick",
    /// Opening the sink again does not fence what the same owner has sent before.
    SessionReuse = "session-reuse",
    /// Two owners get the same epoch.
    EpochReuse = "epoch-reuse",
    /// The log forgets more than it was told to.
    TruncateTooFar = "truncate-too-far",
    /// A block replaces another that begins at the same due time.
    BlockOverwrite = "block-overwrite",
    /// Writes are acknowledged that never happened.
    LostAck = "lost-ack",
    /// A page of the timetable claims to be complete although blocks were left out.
    PageOverclaims = "page-overclaims",
    /// Blocks of one due time are split between two pages, and the second begins behind them.
    PageSplits = "page-splits",
    /// The timetable forgets buckets that are still needed.
    ExpireEarly = "expire-early",
    /// Records that a tick derives do not reach the log.
    DerivedLost = "derived-lost",
    /// Schedule states are not part of the tick's transaction.
    StateLost = "state-lost",
    /// A read of the log that ends early goes on one record too far.
    RecordsSkipped = "records-skipped",
    /// The log says that there is no more although there is.
    LogEndsEarly = "log-ends-early",
    /// A successor that has read the timetable beforehand does not go back in the log as far as
    /// that requires.
    PreparedLate = "prepared-late",
    /// An owner is given the checkpoint before the last.
    CheckpointStale = "checkpoint-stale",
    /// The checkpoint does not keep the gaps below F.
    GapsUnsaved = "gaps-unsaved",
    /// The checkpoint keeps the due time of F, and not where in it F stands.
    PlacesRounded = "places-rounded",
    /// A look-up finds one fact about a task and no other.
    FindMisses = "find-misses",
    /// Revisions of schedules are acknowledged that were not stored.
    RevisionsLost = "revisions-lost",
    /// A tick's first execution becomes visible twice.
    PublishedTwice = "published-twice",
    /// The timetable keeps due times in whole seconds.
    DueRounded = "due-rounded",
    /// The timetable keeps a task under the name of another.
    BodiesSwapped = "bodies-swapped",
    /// What could not be understood is thrown away.
    SetAsideLost = "set-aside-lost",
    /// The log hands out offsets that do not say which log they are of.
    GenerationOfRecords = "generation-of-records",
    /// The timetable keeps offsets that do not say which log they are of.
    GenerationOfRows = "generation-of-rows",
    /// The checkpoint keeps offsets that do not say which log they are of.
    GenerationOfCheckpoint = "generation-of-checkpoint",
    /// A commit says where its decisions stand, but not in which log.
    GenerationOfDerived = "generation-of-derived",
    /// A tick is refused for good because of one execution that its queue does not take.
    SinkStubborn = "sink-stubborn",
    /// An execution that its queue does not take is kept nowhere.
    RefusalLost = "refusal-lost",
    /// A schedule is not told that its execution was not taken.
    RefusalUntold = "refusal-untold",
    /// An execution that its queue does not take is a dead letter, and comes again.
    RefusalDoubled = "refusal-doubled",
    /// What stands behind an execution that is not taken is not published either.
    RefusalDropsNeighbours = "refusal-drops-neighbours",
    /// An execution that is put off does not come again.
    PutOffLost = "put-off-lost",
    /// An execution that is put off comes again under its old due time.
    PutOffInPlace = "put-off-in-place",
    /// Executions of one id that are put off together come again as one.
    PutOffTogether = "put-off-together",
    /// The log forgets by time what is still needed.
    RetentionShort = "retention-short",
    /// The register moves a region's horizon on although the region speaks no more.
    SpeakerUnchecked = "speaker-unchecked",
    /// A horizon is believed to be acknowledged although nobody has said so.
    DoubtBelieved = "doubt-believed",
    /// The horizon is what the speaker's clock says, acknowledged or not.
    HorizonFromClock = "horizon-from-clock",
}

impl Flaw {
    pub(crate) fn plant_in_sink(self, sink: &mut SinkStore) {
        sink.unfenced = matches!(self, Flaw::Fence | Flaw::EpochReuse);
        sink.sessions_reused = self == Flaw::SessionReuse;
        sink.states_dropped = self == Flaw::StateLost;
        sink.same_epoch_only = self == Flaw::EpochReuse;
        sink.reception.flaw = self.in_reception();
    }

    fn in_reception(self) -> Option<ReceptionFlaw> {
        Some(match self {
            Flaw::SinkStubborn => ReceptionFlaw::Stubborn,
            Flaw::RefusalLost => ReceptionFlaw::Lost,
            Flaw::RefusalUntold => ReceptionFlaw::Untold,
            Flaw::RefusalDoubled => ReceptionFlaw::Doubled,
            Flaw::RefusalDropsNeighbours => ReceptionFlaw::DropsNeighbours,
            Flaw::PutOffLost => ReceptionFlaw::PutOffLost,
            Flaw::PutOffInPlace => ReceptionFlaw::PutOffInPlace,
            Flaw::PutOffTogether => ReceptionFlaw::PutOffTogether,
            _ => return None,
        })
    }

    /// How long the log keeps records, where it forgets by time.
    pub(crate) fn forgets_after_ms(self) -> Option<i64> {
        (self == Flaw::RetentionShort).then_some(15_000)
    }

    pub(crate) fn plant_in_timetable(self, flaws: &mut TimetableFlaws) {
        flaws.overwrites = self == Flaw::BlockOverwrite;
        flaws.overclaims = self == Flaw::PageOverclaims;
        flaws.splits = self == Flaw::PageSplits;
    }

    pub(crate) fn reuses_epochs(self) -> bool {
        self == Flaw::EpochReuse
    }

    pub(crate) fn ignores_region_epochs(self) -> bool {
        self == Flaw::SpeakerUnchecked
    }

    pub(crate) fn splits_transactions(self) -> bool {
        self == Flaw::Atomic
    }

    pub(crate) fn tears_ticks(self) -> bool {
        self == Flaw::TornTick
    }

    pub(crate) fn loses_writes(self) -> bool {
        self == Flaw::LostAck
    }

    pub(crate) fn loses_derived(self) -> bool {
        self == Flaw::DerivedLost
    }

    pub(crate) fn truncates_too_far(self) -> u64 {
        if self == Flaw::TruncateTooFar { 64 } else { 0 }
    }

    pub(crate) fn expires_too_early_ms(self) -> i64 {
        if self == Flaw::ExpireEarly {
            180_000
        } else {
            0
        }
    }
}

/// Rules of which one may be broken: those of the simulator's partitions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breakable {
    pub(crate) broken: Option<PlantedBug>,
}

impl Rules for Breakable {
    fn broken(self) -> Option<PlantedBug> {
        self.broken
    }
}

/// A bug to plant: in the engine, or in what surrounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Planted {
    /// A rule of the protocol, broken in the engine.
    Engine(PlantedBug),
    /// A promise of a store, broken in the simulated one.
    Store(Flaw),
}

impl Planted {
    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Planted::Engine(bug) => bug.as_str(),
            Planted::Store(flaw) => flaw.as_str(),
        }
    }

    /// What is broken, as a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Planted::Engine(bug) => bug.about(),
            Planted::Store(flaw) => flaw.about(),
        }
    }
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlanted {
    given: String,
}

impl fmt::Display for UnknownPlanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = planted_bugs().into_iter().map(Planted::as_str).collect();
        write!(
            f,
            "rule is {:?}; choose one of {}",
            self.given,
            words.join(", ")
        )
    }
}

impl std::error::Error for UnknownPlanted {}

impl FromStr for Planted {
    type Err = UnknownPlanted;
    fn from_str(text: &str) -> Result<Planted, UnknownPlanted> {
        let found = planted_bugs()
            .into_iter()
            .find(|planted| planted.as_str() == text);
        found.ok_or_else(|| UnknownPlanted {
            given: text.chars().take(100).collect(),
        })
    }
}

/// Every planted bug: the stores' first, then the engine's.
pub fn planted_bugs() -> Vec<Planted> {
    let stores = Flaw::ALL.iter().map(|flaw| Planted::Store(*flaw));
    stores
        .chain(PlantedBug::ALL.iter().map(|bug| Planted::Engine(*bug)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_are_parsed_back() {
        let all = planted_bugs();
        for planted in &all {
            assert_eq!(planted.as_str().parse::<Planted>().as_ref(), Ok(planted));
            assert!(planted.about().ends_with('.'), "{planted}");
        }
        assert!(all.len() >= 15);
        let error = "nonsense"
            .parse::<Planted>()
            .expect_err("no such rule")
            .to_string();
        assert!(
            error.starts_with("rule is \"nonsense\"; choose one of fence, "),
            "{error}"
        );
    }
}
