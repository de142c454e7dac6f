//! The state machine of one partition: commands, timetable and time in; ticks, blocks and reads
//! out.
//!
//! It reads no clock, opens no socket, draws no random number and iterates over no hash map.
//! Whoever drives it does this, over and over:
//!
//! 1. [`Partition::handle`] every input that has arrived;
//! 2. [`Partition::advance`] to the present time;
//! 3. carry out every effect from [`Partition::poll_effect`], in order, and feed back its answer
//!    when it comes;
//! 4. sleep until [`Partition::poll_timeout`] or the next input.
//!
//! Time may stand still, jump or go back; it is taken as it is given, and nothing is published
//! before it is due by that time, nor while it differs from that of a sink with a clock of its own.
//! The protocol is that of `docs/ARCHITECTURE.md`: two cursors, A in the log and F in time, and R
//! behind both.

mod apply;
mod calendar_queue;
mod catch_up;
mod clock;
mod config;
mod coverage;
mod due;
mod effect;
mod fact;
mod flush;
mod hand_over;
mod heads;
mod holds;
mod horizon;
mod inbox;
mod input;
mod log_cursor;
mod look_ahead;
mod memory;
mod minutes;
mod moves;
mod narrow;
mod outgoing;
mod owed;
mod ownership;
mod pace;
mod page;
mod partition;
mod pending;
mod phase;
mod planted;
mod query;
mod queue_names;
mod record_bytes;
mod retry;
mod revisions;
mod rules;
mod schedule;
mod supplements;
mod take_over;
mod task_store;
mod tick;
mod ticker;
mod timetable_writes;
mod unsettled;
mod wake;

pub use config::{CATCH_UP_AFTER_MS_DEFAULT, Config};
pub use effect::{Effect, Occurrences, StopReason};
pub use input::{Failure, Input, InputRecord, Moment, RequestId};
pub use memory::Memory;
pub use minutehand_model::Phase;
pub use partition::Partition;
pub use phase::WakeReason;
pub use planted::PlantedBug;
pub use query::{KnownState, KnownTask, Status};
pub use rules::{Rules, Sound};
pub use schedule::KnownSchedule;
