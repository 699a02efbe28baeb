//! What the line tells about itself.

pub mod logging;
mod statistics;

pub use statistics::{Part, StatisticsSnapshot, StreamState, StreamStatistics};
