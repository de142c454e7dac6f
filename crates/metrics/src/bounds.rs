//! How many values of a label are told apart, so that no caller can make series without end.

/// Routes that are told apart; the label of all others is `other`.
pub const ROUTES_MAX: usize = 100;

/// Queues that are told apart; the label of all others is `other`.
pub const QUEUES_MAX: usize = 200;

/// Worker groups that are told apart; the label of all others is `other`.
pub const GROUPS_MAX: usize = 50;
