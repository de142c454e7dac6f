//! Rules of the protocol that a test can switch off, to prove that the simulator notices.

use std::fmt;
use std::str::FromStr;

macro_rules! planted_bugs {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// A rule that is broken on purpose: in the simulator, nowhere else ([`crate::Rules`]).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PlantedBug { $($(#[doc = $doc])+ $variant,)+ }

        impl PlantedBug {
            /// Every planted bug.
            pub const ALL: &'static [PlantedBug] = &[$(PlantedBug::$variant,)+];

            /// The word on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(PlantedBug::$variant => $word,)+ }
            }

            /// What is broken, as a sentence.
            pub fn about(self) -> &'static str {
                match self { $(PlantedBug::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

        impl FromStr for PlantedBug {
            type Err = String;
            fn from_str(text: &str) -> Result<PlantedBug, String> {
                match text {
                    $($word => Ok(PlantedBug::$variant),)+
                    _ => Err(format!("{text:?} is no planted bug of the engine")),
                }
            }
        }
    };
}

planted_bugs! {
    /// Late commands are published again by a successor, or not at all.
    Late = "late",
    /// R is A: what is only in memory is forgotten.
    Replay = "replay",
    /// R passes what a successor has not read again yet.
    Position = "position",
    /// A block settles its offsets when it is sent.
    Ack = "ack",
    /// A load takes entries of offsets that have not been applied.
    BeforeA = "before-a",
    /// A load misses what is written or pending but not acknowledged.
    Pending = "pending",
    /// Voids are forgotten at once.
    Markers = "markers",
    /// F moves before the log has been replayed.
    EndFirst = "end-first",
    /// What is being moved is not held back.
    Hold = "hold",
    /// What is being moved is held only until its decision is committed, not until it has been read
    /// back.
    HoldUnread = "hold-unread",
    /// What is being moved is held only until another task is put into its place.
    HoldOvertaken = "hold-overtaken",
    /// A far task of which nothing is in memory is taken to be waiting when it is to be moved.
    MoveUnasked = "move-unasked",
    /// F does not know where in a due time it stands.
    Pair = "pair",
    /// A passes late commands that the tick has no room for.
    Budget = "budget",
    /// What has run is forgotten at once, so creating it again runs it again.
    Dedupe = "dedupe",
    /// What arrives while the timetable is being read is filed for a later read.
    ReadInFlight = "read-in-flight",
    /// F passes the horizon that the register of regions has acknowledged.
    Horizon = "horizon",
    /// What is asked for now begins although the present lies beyond the horizon.
    HorizonNew = "horizon-new",
    /// An owner that knows of no horizon goes by the present alone.
    HorizonAssumed = "horizon-assumed",
    /// Fires everything of the next ten milliseconds.
    Early = "early",
    /// F passes what has not been loaded.
    Unloaded = "unloaded",
    /// A schedule's state is written one tick late.
    TornState = "torn-state",
    /// An old revision goes on governing beside the new one.
    RevisionOverlap = "revision-overlap",
    /// Answers to requests of an earlier incarnation are believed.
    StaleAnswer = "stale-answer",
    /// A hand-over does not wait for its blocks.
    HandOverUnflushed = "hand-over-unflushed",
    /// A hand-over goes on until nothing is due any more.
    HandOverDrains = "hand-over-drains",
    /// A hand-over waits until everything is written.
    HandOverWaits = "hand-over-waits",
    /// The log is asked for more only when there is news of it.
    Deaf = "deaf",
    /// An answer of the log without records says that there is no more, although its end lies
    /// further on.
    ShortRead = "short-read",
    /// Commands are applied however much memory they take.
    MemoryUnbounded = "memory-unbounded",
    /// What waits to be applied is counted against the room for it.
    MemoryInbox = "memory-inbox",
    /// What a clock that was ahead has brought near stays in memory.
    LookAheadWide = "look-ahead-wide",
    /// An owner goes by its own clock, whatever the sink's shows.
    ClockUnchecked = "clock-unchecked",
    /// After a commit in doubt the owner goes on from memory.
    DoubtIgnored = "doubt-ignored",
    /// The checkpoint does not carry the backlog.
    BacklogUnsaved = "backlog-unsaved",
    /// What has run is forgotten by the front, although the backlog may still hold a repetition of
    /// it.
    BacklogForgets = "backlog-forgets",
    /// The backlog overtakes what is being moved.
    BacklogUnheld = "backlog-unheld",
    /// The checkpoint does not say that schedules owe something.
    OwedUnsaved = "owed-unsaved",
    /// A schedule does not note how far it has come, while others owe something.
    OwedUnnoted = "owed-unnoted",
    /// Where all goes in one order, the checkpoint does not say that schedules owe something.
    OwedInOrder = "owed-in-order",
    /// A block of what is near holds what is far as well, which nobody reads again.
    MixedBlocks = "mixed-blocks",
    /// A write that is sent again says of what has run meanwhile that it does not run.
    PassedWritten = "passed-written",
    /// Epochs are not checked on completions: state is applied twice after a take-over.
    StateReplayed = "state-replayed",
    /// The end of a run starts nothing of what waits.
    EndSettles = "end-settles",
    /// A revision starts nothing of what waits.
    ReviseSettles = "revise-settles",
    /// Of what may start side by side only the first does.
    SettleOne = "settle-one",
    /// What waits starts although the schedule rests.
    RestStarts = "rest-starts",
    /// Backfills go on although the schedule rests.
    RestBackfills = "rest-backfills",
    /// A pause counts by nominal times: what the jitter holds runs.
    PauseNominal = "pause-nominal",
    /// The jitter passes the end of the schedule.
    EndJitter = "end-jitter",
    /// What waits runs after the end of the schedule.
    EndBuffer = "end-buffer",
    /// What is owed runs after the end of the schedule.
    EndOwed = "end-owed",
    /// A run of which nothing is heard is waited for for ever.
    RunTimeout = "run-timeout",
    /// A request to stop names the nominal time of a run.
    StopNominal = "stop-nominal",
    /// A request to stop goes to the queue of the newest definition.
    StopQueue = "stop-queue",
    /// A request to stop is made once, whether or not the run ends.
    StopOnce = "stop-once",
    /// A run that was asked to stop is tried again.
    StoppedRetries = "stopped-retries",
    /// Cancelling the retry that a run waits for does not end the run.
    RetryCancelled = "retry-cancelled",
    /// The end of a run ends another of the same id.
    EndAny = "end-any",
    /// A schedule that is created again goes on where the deleted one stopped.
    Inherits = "inherits",
    /// What lies between the log's time of a creation and its application is not owed.
    LateCreation = "late-creation",
    /// A revision counts from the log's time although that is ahead of the clock.
    ClampedRevision = "clamped-revision",
    /// A trigger's own overlap policy counts for nothing where all may run side by side.
    TriggerPolicy = "trigger-policy",
    /// Equal backfills at once are run one by one.
    BackfillTwice = "backfill-twice",
    /// A backfill that was stopped goes on.
    BackfillUnstopped = "backfill-unstopped",
}

impl fmt::Display for PlantedBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
