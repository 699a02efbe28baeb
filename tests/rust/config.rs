//! The configuration: loading, mistakes and their messages, generated files.
#[test]
fn dump() {
    println!("{}", serde_json::to_string_pretty(mongo_gcp_stream::config::schema()).unwrap());
}
