//! The execution queue: batches of publications by partition ("lanes"), and what each group has settled of them.

mod lane;
mod port;
mod settle;
mod view;

pub(crate) use lane::GroupLane;
pub(crate) use settle::check_commands;
pub(crate) use view::{QueueView, Resident};
