//! The two messages of `google.iam.v1.IAMPolicy.TestIamPermissions`, which the crate of Pub/Sub's
//! messages lacks.

/// Which of these permissions does the caller have?
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TestIamPermissionsRequest {
    /// Full name of a topic or subscription.
    #[prost(string, tag = "1")]
    pub(super) resource: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) permissions: Vec<String>,
}

/// These.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TestIamPermissionsResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) permissions: Vec<String>,
}
