//! What an operator asks before and around a run: is everything there ([`check()`]), make it so
//! ([`setup()`]). Nothing in the line knows this room.

mod check;
mod control;
pub mod dead_letter;
mod finding;
mod gcloud;
mod look_up;
mod setup;

pub use check::check;
pub use finding::{Finding, Severity};
pub use look_up::{LookUp, look_up};
pub use setup::{Action, Step, plan, setup};
