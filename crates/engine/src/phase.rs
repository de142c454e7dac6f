//! Why a partition wants to be woken.

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
