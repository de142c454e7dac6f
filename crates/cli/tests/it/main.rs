//! The command line from outside: words in; standard output, standard error, an exit code and HTTP
//! requests out.

mod arguments;
mod crontab;
mod explain;
mod generated;
mod queues;
mod schedules;
mod support;
mod tasks;
