use super::*;
use crate::config::field_path::parse;

fn paths(rules: &[&str]) -> Paths {
    let mut paths = Paths::new();
    for (rule, path) in rules.iter().enumerate() {
        paths.protect(&parse(path).unwrap(), rule).unwrap();
    }
    paths
}

/// The rule at a name with dots, and whether what holds it is protected.
fn reached(paths: &Paths, name: &str) -> (Option<usize>, bool) {
    let reach = paths.reach(name.as_bytes()).unwrap();
    (paths.found(paths.single(reach.active)).protect, reach.covered)
}

#[test]
fn names_with_dots_lead_where_the_rules_do() {
    let paths = paths(&["users[*].email", "tags", "list[*]", r"x\.y.z", "m[*][*].v"]);
    for (name, expected) in [
        ("users.0.email", (Some(0), false)),
        ("users.email", (Some(0), false)),
        ("users.12.email.x", (None, true)),
        ("users.0.x", (None, false)),
        ("tags", (Some(1), false)),
        ("tags.3", (None, true)),
        ("list.3", (Some(2), false)),
        ("list.3.x", (None, true)),
        ("x.y.z", (Some(3), false)),
        ("x.y", (None, false)),
        ("x.z", (None, false)),
        ("m.0.1.v", (Some(4), false)),
        ("", (None, false)),
        (".", (None, false)),
        ("users..email", (None, false)),
    ] {
        assert_eq!(reached(&paths, name), expected, "{name}");
    }
}

#[test]
fn a_wildcard_means_every_way_to_read_a_name() {
    let paths = paths(&["*.email", "a.b"]);
    assert_eq!(reached(&paths, "x.email"), (Some(0), false));
    assert_eq!(reached(&paths, "x.y.email"), (Some(0), false));
    assert_eq!(reached(&paths, "a.b"), (Some(1), false));
    let many = "*.".repeat(40) + "x";
    let paths = self::paths(&[&many]);
    assert!(paths.reach("a.".repeat(60).as_bytes()).is_err());
}

#[test]
fn the_first_rule_counts() {
    let paths = paths(&["a.*", "a.b", "*.b"]);
    assert_eq!(reached(&paths, "a.b"), (Some(0), false));
    assert_eq!(reached(&paths, "c.b"), (Some(2), false));
}

#[test]
fn the_tree_has_a_limit() {
    let mut paths = Paths::new();
    for number in 0..MAX_NODES - 1 {
        paths.protect(&parse(&number.to_string()).unwrap(), number).unwrap();
    }
    assert_eq!(reached(&paths, "254"), (Some(254), false));
    assert!(paths.protect(&parse("one more").unwrap(), 0).is_none());
}
