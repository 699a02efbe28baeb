//! Dotted paths, such as `pubsub.attributes[3]`.

/// The path of `key` below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of an item of the list at `path`.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The name out of `known` that `name` is most likely a misspelling of.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase());
    let (distance, nearest) = known.into_iter().map(|known| (distance(known), known)).min()?;
    (distance <= (name.len() / 3).max(1)).then_some(nearest)
}
