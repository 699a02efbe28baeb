//! What keeps the line from running too fast, too full or too long.

mod backoff;
mod budget;
mod ledger;

pub use backoff::{Backoff, BackoffPolicy};
pub use budget::Budget;
pub use ledger::Ledger;
