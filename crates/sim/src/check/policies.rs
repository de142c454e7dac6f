//! What each overlap policy promises, for the checkers: a new policy gets its line here.

use minutehand_model::OverlapPolicy;

/// What an overlap policy promises of the occurrences under it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promises {
    /// Every one runs at once, whatever else runs.
    pub(super) runs_side_by_side: bool,
    /// None starts while another run goes on.
    pub(super) is_one_at_a_time: bool,
    /// One that may not start yet waits, until it runs or is replaced.
    pub(super) waits: bool,
    /// Each of them waits for a turn of its own.
    pub(super) each_has_its_turn: bool,
    /// It takes the place of those that wait.
    pub(super) replaces: bool,
}

/// The promises of a policy.
pub(super) const fn promises(overlap: OverlapPolicy) -> Promises {
    const NONE: Promises = Promises {
        runs_side_by_side: false,
        is_one_at_a_time: false,
        waits: false,
        each_has_its_turn: false,
        replaces: false,
    };
    const ALONE: Promises = Promises {
        is_one_at_a_time: true,
        ..NONE
    };
    match overlap {
        OverlapPolicy::AllowAll => Promises {
            runs_side_by_side: true,
            ..NONE
        },
        OverlapPolicy::Skip => ALONE,
        OverlapPolicy::BufferOne => Promises {
            waits: true,
            ..ALONE
        },
        OverlapPolicy::BufferAll => Promises {
            waits: true,
            each_has_its_turn: true,
            ..ALONE
        },
        OverlapPolicy::CancelOther => Promises {
            waits: true,
            replaces: true,
            ..ALONE
        },
        OverlapPolicy::TerminateOther => NONE,
    }
}
