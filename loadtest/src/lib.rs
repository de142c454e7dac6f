//! Workloads and measurements behind `minutehand bench`.
//!
//! Each benchmark is a function that answers [`Figure`]s: what was measured, its value and unit, and under which
//! conditions. Nothing here judges; a figure is set beside a ceiling measured in the same run where one exists.

pub mod engine;
mod figure;

pub use figure::Figure;
