//! What the line tells about itself.

pub mod logging;
mod statistics;

pub use statistics::{StatisticsSnapshot, StreamStatistics};
