//! How a change event becomes the bytes of a message.

pub mod json;
