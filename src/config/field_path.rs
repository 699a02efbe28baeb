//! Paths to fields of a document: `a.b`, `users[*].email`, `*.email`.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The field with this name.
    Name(String),
    /// `*`: every field.
    AnyName,
    /// `[*]`: every element of an array.
    Items,
}

/// Steps of a path at the most: the server itself nests no deeper.
const MAX_SEGMENTS: usize = 100;

/// Reads a path; the error says what is wrong with it.
pub(crate) fn parse(path: &str) -> Result<Vec<Segment>, &'static str> {
    let mut segments = Vec::new();
    let mut rest = path;
    loop {
        let (segment, after) = name(rest)?;
        segments.push(segment);
        rest = after;
        while let Some(after) = rest.strip_prefix("[*]") {
            segments.push(Segment::Items);
            rest = after;
        }
        if segments.len() > MAX_SEGMENTS {
            return Err("is longer than 100 names");
        }
        if rest.is_empty() {
            return Ok(segments);
        }
        rest = rest.strip_prefix('.').ok_or("expected a `.`, `[*]` or the end after a name")?;
    }
}

/// The path of a field without wildcards, as its names.
pub(crate) fn names(path: &str) -> Result<Vec<String>, &'static str> {
    let name = |segment| match segment {
        Segment::Name(name) => Ok(name),
        Segment::AnyName | Segment::Items => Err("must be the path of one field, without `*`"),
    };
    parse(path)?.into_iter().map(name).collect()
}

/// The name at the beginning, and what comes after it. A backslash takes the next character as
/// it is.
fn name(path: &str) -> Result<(Segment, &str), &'static str> {
    let mut name = String::new();
    let mut chars = path.char_indices();
    let rest = loop {
        match chars.next() {
            None => break "",
            Some((at, '.' | '[')) => break &path[at..],
            Some((_, ']')) => return Err("has a `]` without a `[`; `\\]` is meant as a name"),
            Some((_, '\0')) => return Err("no name has a zero byte"),
            Some((_, '\\')) => name.push(chars.next().ok_or("ends in a backslash")?.1),
            Some((_, other)) => name.push(other),
        }
    };
    if name.is_empty() {
        return Err("expected names with dots between them, such as `users[*].email`");
    }
    let wildcard = name == "*" && path.starts_with('*');
    Ok((if wildcard { Segment::AnyName } else { Segment::Name(name) }, rest))
}

#[cfg(test)]
mod tests {
    use super::{Segment::*, *};

    #[test]
    fn paths_are_read() {
        let name = |name: &str| Name(name.into());
        assert_eq!(parse("a.b"), Ok(vec![name("a"), name("b")]));
        assert_eq!(parse("users[*].email"), Ok(vec![name("users"), Items, name("email")]));
        assert_eq!(parse("*.x[*][*]"), Ok(vec![AnyName, name("x"), Items, Items]));
        assert_eq!(parse(r"a\.b.\*.c\[0\]"), Ok(vec![name("a.b"), name("*"), name("c[0]")]));
        assert_eq!(parse("a*"), Ok(vec![name("a*")]));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", ".", "a.", ".a", "a..b", "[*]", "a[0]", "a[*", "a]", "a[*]b", "a\\", "\0"]
        {
            assert!(parse(path).is_err(), "{path:?}");
        }
        assert!(parse(&"a.".repeat(101)).is_err());
        assert_eq!(names("a.b"), Ok(vec!["a".into(), "b".into()]));
        assert!(names("a[*]").is_err() && names("*").is_err());
    }
}
