//! The command line of Minutehand.
//!
//! [`Cli`] is everything that can be typed, [`run`] carries it out. What needs the scheduler itself
//! (`dev`, a cluster's roles and schema, and the settings behind `config show`) is asked of the
//! program that links this crate, through [`Commands`]; everything else is done here: the verbs
//! that talk to a server do so over its HTTP API.
//!
//! Data goes to standard output, everything said about it to standard error. With `--json` standard
//! output carries JSON only: one object, or one per line. The exit code tells scripts what
//! happened, see [`Exit`].

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod client;
mod console;
mod crontab;
mod exit;
mod explain;
mod hooks;
mod output;
mod verbs;

pub use args::{
    Cli, ConfigShowArgs, ConfigVerb, DevArgs, ExplainArgs, LabArgs, PROFILES, Role, SchemaCommand,
    SchemaVerb, ServerArgs, SettingsArgs, Token, Verb, parse_from,
};
pub use console::{Console, read_file};
pub use crontab::{
    CrontabFile, KnownBy, PlanError, Planned, PlannedFile, PlannedKind, QUEUE_DEFAULT, known_line,
    machine_zone, plan,
};
pub use exit::{Exit, Failure};
pub use explain::{Answer, Fault, Question};
pub use hooks::{Commands, SchemaItem, SchemaState};
pub use verbs::{run, run_on, usage_error};
