//! The execution queue: batches of publications by partition ("lanes"), and what each group has settled of them.

mod group;
mod lane;
mod port;
mod settle;
mod spent;
mod view;

pub(crate) use lane::GroupLane;
pub(crate) use settle::check_commands;
pub(crate) use spent::{NUMBERED, Spent};
pub(crate) use view::{QueueView, Resident};
