//! What the line tells about itself.

mod statistics;

pub use statistics::{StatisticsSnapshot, StreamStatistics};
