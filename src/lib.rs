//! MongoDB change streams to Google Cloud Pub/Sub.
//!
//! The whole crate is one line, and the modules are listed in the order in which data flows
//! through it:
//!
//! ```text
//! config ─► manager ─► source ─► transform ─► format ─► sink ─► receipt ─► tracker ─► checkpoint
//! ```
//!
//! Data flows one way, in batches, over bounded channels. The position flows back only as data:
//! every change gets a sequence number when it is read, every outcome ends in exactly one
//! receipt, and the checkpoint advances over the contiguous prefix of receipts. [`pipeline`] tells
//! the whole story from top to bottom.

pub mod config;
pub mod error;
pub mod event;
pub mod limits;
pub mod recovery;

pub mod manager;
pub mod pipeline;
pub mod reader;

pub mod source;
pub mod transform;

pub mod format;

pub mod sink;

pub mod flow;

pub mod checkpoint;

mod gcp;

pub mod emulator;
pub mod telemetry;

pub mod admin;

#[cfg(feature = "python")]
mod python;
