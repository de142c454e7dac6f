//! Which rules of the protocol a partition obeys, as a type.
//!
//! The product's partitions are those of [`Sound`]: they obey all rules, which is known when they
//! are compiled, so that what would break one is not part of the program, and no setting, feature or
//! build brings it in. The simulator has a type of its own that breaks one rule at a time, to prove
//! that it would notice.

use std::fmt;

use crate::planted::PlantedBug;

/// Which rules are obeyed. Nothing but the simulator implements it beside [`Sound`].
pub trait Rules: Copy + fmt::Debug {
    /// The rule that is broken on purpose, if one is.
    fn broken(self) -> Option<PlantedBug>;

    /// Whether this one is broken.
    #[inline(always)]
    fn breaks(self, bug: PlantedBug) -> bool {
        self.broken() == Some(bug)
    }
}

/// All rules are obeyed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

const _: () = assert!(
    size_of::<Sound>() == 0,
    "what obeys all rules carries nothing that could be set"
);

impl Rules for Sound {
    #[inline(always)]
    fn broken(self) -> Option<PlantedBug> {
        None
    }
}
