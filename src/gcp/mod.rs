//! What every Google Cloud service that is spoken to needs.

mod credentials;

pub(crate) use credentials::{Credentials, NoToken};
