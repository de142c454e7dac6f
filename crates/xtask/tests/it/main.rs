//! The rules, each shown to fail, and all of them on the real tree.

mod commands;
mod deploy;
mod documents;
mod drivers;
mod here;
mod layers;
mod recipes;
mod selection;
mod tally;
mod tidy;
mod up;
