//! What the holder of a lease says.

/// What the holder of a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseWord {
    /// It has run.
    Ack {
        /// What history keeps of it, and a chained task is given.
        result: String,
    },
    /// It has failed; the retry policy of its task says what follows.
    Nack {
        /// Why.
        error: String,
        /// It is not to be tried again sooner than this, in milliseconds.
        delay_ms: Option<i64>,
    },
    /// It takes longer: the lease ends so long from now, in milliseconds. Not at all: it is given
    /// back, as not begun.
    Extend {
        /// How long from now.
        visibility_ms: i64,
    },
    /// It has not run, and is to run later, as the same attempt.
    Snooze {
        /// How much later, in milliseconds.
        delay_ms: i64,
    },
}
