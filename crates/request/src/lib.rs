//! What callers ask for, in JSON, and the checks that every task and schedule passes whichever way it comes.
//!
//! The words are those of the HTTP API; records of the command topic in JSON use the same ones. Reading is strict:
//! an unknown or doubled field is refused. What is refused names the field, the limit and what was given. Nothing
//! here reads a clock: the time is passed in.

mod definition;
mod duration;
mod headers;
mod instruction;
mod invalid;
pub mod json;
mod payload;
mod retry;
mod schedule;
mod task;
mod text;
mod time;
mod validate;

pub use definition::{Preview, count_times, preview, validate_definition, validate_future, validate_timing};
pub use duration::{Duration, duration_text};
pub use headers::Headers;
pub use instruction::{is_instruction, validate_instruction};
pub use invalid::InvalidField;
pub use json::{Malformed, Unread};
pub use payload::{Body, body_of};
pub use retry::RetryDto;
pub use schedule::{DefinitionDto, MisfireDto, ScheduleInput, merged};
pub use task::{DurationSchema, Move, MoveInput, TaskInput, choice, due_time, name_refused, parse_queue};
pub use text::Text;
pub use time::{parse_time, time_text};
pub use validate::{validate_due, validate_note, validate_task};
