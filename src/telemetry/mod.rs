//! What the line tells about itself.

mod json_lines;
pub mod logging;
pub mod records;
mod statistics;

pub use statistics::{Part, StatisticsSnapshot, StreamState, StreamStatistics};
