//! The API as its callers meet it: requests in, answers out, over real owners on stores in memory.

mod access;
mod bad_input;
mod bulk;
mod description;
mod hostile;
mod operations;
mod queues;
mod schedules;
mod strangers;
mod support;
mod tasks;
