//! The execution queue: batches of publications by partition ("lanes"), and what each group has
//! settled of them.

mod forget;
mod group;
mod lane;
mod last_words;
mod port;
mod settle;
mod spent;
mod view;

pub(crate) use forget::NUMBERED;
pub(crate) use lane::GroupLane;
pub(crate) use last_words::tell_all as tell_last_words;
pub(crate) use settle::check_commands;
pub(crate) use spent::Spent;
pub(crate) use view::{QueueView, Resident};
