//! What Pub/Sub takes in a publish request: <https://cloud.google.com/pubsub/quotas#resource_limits>.
//!
//! The embedded Pub/Sub keeps numbers of its own, so that a mistake here is not made twice.

/// Most bytes in a `PublishRequest`, overhead included.
pub const MAX_REQUEST_BYTES: usize = 10_000_000;

/// Most attributes of a message.
pub const MAX_ATTRIBUTES: usize = 100;

/// Longest key of an attribute, in bytes of UTF-8.
pub const MAX_ATTRIBUTE_KEY: usize = 256;

/// Longest value of an attribute, in bytes of UTF-8.
pub const MAX_ATTRIBUTE_VALUE: usize = 1024;

/// Longest ordering key, in bytes of UTF-8.
pub const MAX_ORDERING_KEY: usize = 1024;
