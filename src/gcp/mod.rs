//! What every Google Cloud service that is spoken to needs.

mod bucket;
mod credentials;

pub(crate) use bucket::storage_emulator;
pub use bucket::{Bucket, StorageError};
pub(crate) use credentials::{Credentials, NoToken};
