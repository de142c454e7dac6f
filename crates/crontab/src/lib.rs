//! Crontab files, read line by line.
//!
//! A user's crontab (`minute hour day month weekday command`) and the system's own (`/etc/crontab`,
//! `/etc/cron.d/*`, with a user before the command) become [`Entry`] values: when, as whom, what,
//! with which environment and standard input, and under which lasting id. A bad line is one
//! [`LineError`] with its line and column; the lines around it are read all the same. Nothing here
//! opens a file.
//!
//! ```
//! use minutehand_crontab::{Format, Timing, parse};
//!
//! let file = parse(b"MAILTO=ops\n17 * * * * root cd / && run-parts /etc/cron.hourly\n61 * * * * root ls\n", Format::System);
//! assert_eq!(file.entries[0].command, "cd / && run-parts /etc/cron.hourly");
//! assert!(matches!(&file.entries[0].timing, Timing::Cron(expression) if expression == "17 * * * *"));
//! assert_eq!((file.errors[0].line, file.errors[0].column), (3, 1));
//! ```

mod entry;
mod environment;
mod error;
mod fields;
mod follow;
mod format;
mod id;
mod line;
mod parse;
mod percent;

pub use entry::{Entry, Timing, content};
pub use environment::Environment;
pub use error::{LineError, RANDOM_DELAY_MINUTES_MAX, Reason};
pub use follow::{Followed, Known, Line, follow};
pub use format::{Format, Machine, Undecided};
pub use id::{FileLabel, PREFIX_DEFAULT, id_prefix};
pub use parse::{Crontab, parse};
