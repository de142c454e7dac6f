//! How answers are shown: durations, times, tables.

pub(crate) mod duration;
pub(crate) mod table;
pub(crate) mod time;
