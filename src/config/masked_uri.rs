//! A connection string without what is secret in it.

use super::Secret;

/// Options of a connection string that may be shown; whatever is not here may be a secret, such as
/// `tlsCertificateKeyFilePassword` or a session token in `authMechanismProperties`.
const SHOWN_OPTIONS: [&str; 19] = [
    "appname",
    "authmechanism",
    "authsource",
    "compressors",
    "connecttimeoutms",
    "directconnection",
    "loadbalanced",
    "maxpoolsize",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "replicaset",
    "retryreads",
    "retrywrites",
    "serverselectiontimeoutms",
    "sockettimeoutms",
    "ssl",
    "tls",
    "w",
];

const HIDDEN: &str = "***";

/// Scheme, user, hosts, database and harmless options; `***` for the rest, and for a whole in which
/// a password may stand anywhere.
pub(super) fn masked_uri(uri: &Secret) -> String {
    mask(uri.expose()).unwrap_or_else(|| HIDDEN.to_owned())
}

fn mask(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // A password with an unencoded `/` or `?` ends in the tail.
    if tail.contains('@') {
        return None;
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (masked_login(login), hosts),
        None => (String::new(), authority),
    };
    let (path, options) = tail.split_once('?').unwrap_or((tail, ""));
    let options: Vec<String> =
        options.split('&').filter(|option| !option.is_empty()).map(masked_option).collect();
    let mark = if options.is_empty() { "" } else { "?" };
    Some(format!("{scheme}://{login}{hosts}{path}{mark}{}", options.join("&")))
}

/// A login without a colon may be a password that lost its user.
fn masked_login(login: &str) -> String {
    match login.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}@"),
        None => format!("{HIDDEN}@"),
    }
}

fn masked_option(option: &str) -> String {
    let name = option.split('=').next().unwrap_or_default();
    if SHOWN_OPTIONS.iter().any(|shown| shown.eq_ignore_ascii_case(name)) {
        option.to_owned()
    } else {
        let known = name.chars().all(|c| c.is_ascii_alphanumeric()) && option.contains('=');
        if known { format!("{name}={HIDDEN}") } else { HIDDEN.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_is_shown() {
        for (uri, shown) in [
            ("mongodb://localhost", "mongodb://localhost"),
            ("mongodb://a:1,b:2/db?replicaSet=rs0", "mongodb://a:1,b:2/db?replicaSet=rs0"),
            (
                "mongodb://app:hunter2@h/?tls=true&w=majority",
                "mongodb://app:***@h/?tls=true&w=majority",
            ),
            ("mongodb+srv://app:hunter2@c.example.net", "mongodb+srv://app:***@c.example.net"),
        ] {
            assert_eq!(masked_uri(&Secret::new(uri)), shown);
        }
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        for uri in [
            "mongodb://app:hunter2@h",
            "mongodb://app:hunter2@hunter2@h/db",
            "mongodb://app:12345/hunter2@h/db",
            "mongodb://app:1?hunter2@h/db",
            "mongodb://hunter2@h/db",
            "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
            "mongodb://h/?tlsCertificateKeyFilePassword=hunter2&tls=true",
            "mongodb://h/?hunter2",
            "hunter2",
        ] {
            let shown = masked_uri(&Secret::new(uri));
            assert!(!shown.contains("hunter2") && shown.contains(HIDDEN), "{shown}");
        }
    }
}
