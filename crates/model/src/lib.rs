//! The domain's nouns: time, names, tasks, schedules, policies and their limits.
//!
//! Nothing here reads a clock, allocates an identifier at random or knows how a value is stored or sent.
//! Values are parsed once, at the door; a value of these types is valid.

pub mod time;

pub use time::Timestamp;
