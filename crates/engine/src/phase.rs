//! Where an owner stands between taking a partition over and giving it up.

/// The phases of an ownership, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The coordinator has not given the partition to this node.
    #[default]
    Waiting,
    /// The sink is being opened: earlier owners are fenced, the checkpoint is read.
    Opening,
    /// Stored revisions and the first part of the timetable are being read.
    Loading,
    /// The log is being applied up to its end at take-over; F stands.
    Replaying,
    /// Tasks fire.
    Owning,
    /// The partition is being given up: flush, checkpoint, release.
    HandingOver,
    /// Nothing more happens.
    Stopped,
}

impl Phase {
    /// The word used in the API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Opening => "opening",
            Phase::Loading => "loading",
            Phase::Replaying => "replaying",
            Phase::Owning => "owning",
            Phase::HandingOver => "handing-over",
            Phase::Stopped => "stopped",
        }
    }
}

/// Why a partition wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeReason {
    /// Something is due.
    Due,
    /// A block has waited long enough.
    Flush,
    /// The cursors moved and nothing was published.
    Checkpoint,
    /// The look-ahead is getting short.
    LookAhead,
    /// A failed operation is to be tried again.
    Retry,
    /// There is more to do at once.
    Busy,
    /// What has run may be forgotten.
    Forget,
    /// The log is to be asked whether there is more.
    Log,
    /// A hand-over has waited long enough.
    HandOver,
}
