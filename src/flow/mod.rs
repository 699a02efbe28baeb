//! What keeps the line from running too fast, too full or too long.

mod backoff;
mod budget;

pub use backoff::{Backoff, BackoffPolicy};
pub use budget::Budget;
