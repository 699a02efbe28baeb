//! Names of topics and subscriptions, and the answers about one that is missing or taken.

use tonic::Status;

/// Refuses a name that the service would: it is `projects/PROJECT/<collection>/ID`, the id of 3 to
/// 255 letters, digits and `-_.~+%`, beginning with a letter and not with `goog` ("guidelines to
/// name a topic or a subscription",
/// <https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names>).
pub(super) fn check(name: &str, collection: &str) -> Result<(), Status> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["projects", project, kind, id] if kind == collection && !project.is_empty() => {
            check_id(id)
        }
        _ => Err(Status::invalid_argument(format!(
            "\"{name}\" is not of the form projects/PROJECT/{collection}/ID"
        ))),
    }
}

fn check_id(id: &str) -> Result<(), Status> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~+%".contains(c);
    let valid = (3..=255).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && !id.starts_with("goog")
        && id.chars().all(allowed);
    if valid {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "\"{id}\" is no id: 3 to 255 letters, digits and any of -_.~+%, beginning with a letter \
         and not with \"goog\""
    )))
}

pub(super) fn not_found(what: &str, name: &str) -> Status {
    Status::not_found(format!("{what} {name} does not exist"))
}

pub(super) fn already_exists(what: &str, name: &str) -> Status {
    Status::already_exists(format!("{what} {name} exists already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_as_the_service_does() {
        let taken = |id: &str| check(&format!("projects/demo/topics/{id}"), "topics").is_ok();
        assert!(taken("orders") && taken("a-_.~+%9") && taken(&"a".repeat(255)));
        for id in ["", "ab", "9rders", "goog-orders", "or ders", "örders", &"a".repeat(256)] {
            assert!(!taken(id), "{id}");
        }
    }

    #[test]
    fn a_name_says_of_what_it_is() {
        for name in ["orders", "projects//topics/orders", "projects/demo/subscriptions/orders"] {
            let refusal = check(name, "topics").unwrap_err();
            assert!(refusal.message().contains("projects/PROJECT/topics/ID"), "{refusal}");
        }
    }
}
