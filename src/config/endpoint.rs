//! Where Pub/Sub is, and whether it may be spoken to there.

use http::Uri;

use super::validate::error;
use crate::error::ConfigError;

/// The address of a Pub/Sub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// In the clear and without credentials: an emulator.
    Plain(String),
    /// Over TLS, with credentials.
    Secure(String),
}

impl Endpoint {
    /// Reads `pubsub.endpoint`. Pure: whether anything is there is not asked.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no address, or one that would be spoken to in the clear and is
    /// not on this machine.
    pub fn parse(endpoint: &str) -> Result<Self, ConfigError> {
        let refuse = |message| Err(error("pubsub.endpoint", message));
        let uri = endpoint.parse::<Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") if !host.is_empty() => Ok(Self::Secure(endpoint.to_owned())),
            Some("http") if is_loopback(host) => Ok(Self::Plain(endpoint.to_owned())),
            Some("http") if !host.is_empty() => {
                refuse("`http://…` is for this machine only: expected `https://…`")
            }
            _ => refuse("expected `https://…` or `http://…`"),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
