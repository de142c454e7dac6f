//! The API in types: requests, answers, problems and paths, and the checks that every task and
//! schedule passes whichever way it comes.
//!
//! Each type is written by one side and read by the other. Records of the command topic in JSON use
//! the same words. Reading requests is strict: an unknown or doubled field is refused. What is
//! refused names the field, the limit and what was given. Nothing here reads a clock: the time is
//! passed in.

mod answers;
mod chain;
mod definition;
mod duration;
mod headers;
mod instruction;
mod invalid;
pub mod json;
mod lease;
mod payload;
mod problem;
mod queue;
mod retry;
pub mod routes;
mod schedule;
mod task;
mod text;
mod time;
mod validate;

pub use answers::*;
pub use chain::{ChainedTask, NewChainedTask};
pub use definition::{Preview, ValidDefinition};
pub use duration::{Duration, duration_text};
pub use headers::Headers;
pub use instruction::{is_instruction, validate_instruction};
pub use invalid::InvalidField;
pub use json::{Malformed, Unread};
pub use lease::{LeaseAnswer, LeaseAnswers, LeaseTerms, NewLeases, parse_group};
pub use payload::{Payload, body_of};
pub use problem::{Problem, ProblemKind};
pub use queue::{
    LimitTerms, NamespaceLimit, PauseTerms, QueueBreaker, QueueLimit, QueuePause, QueueResumption,
};
pub use retry::Retry;
pub use routes::{QueueAction, ScheduleAction};
pub use schedule::{Definition, Misfire, NewSchedule, merged};
pub use task::{
    DurationSchema, Move, NewTask, NewTasks, TaskMove, choice, due_time, name_refused, parse_key,
    parse_priority, parse_queue,
};
pub use text::Text;
pub use time::{parse_minute, parse_time, time_text};
pub use validate::{ValidTask, validate_action, validate_due, validate_header_name, validate_note};
