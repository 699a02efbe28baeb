//! The `.env` file.

use std::io::ErrorKind;
use std::path::Path;

use super::Environment;
use crate::error::ConfigError;

/// The variables of the process. One that is not Unicode cannot be meant for a YAML file.
pub(super) fn process() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The variables of the first `.env` found in `folders`.
///
/// # Errors
/// [`ConfigError`] at the file's name if it is there and cannot be read or understood.
pub(super) fn first_file(folders: &[&Path]) -> Result<Environment, ConfigError> {
    for folder in folders {
        let path = folder.join(".env");
        let error = |message| ConfigError { path: path.display().to_string(), message };
        match std::fs::read_to_string(&path) {
            Ok(text) => return parse(&text).map_err(error),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(error(format!("cannot be read: {cause}"))),
        }
    }
    Ok(Environment::new())
}

/// `NAME=value` lines. The error says which line is wrong, not what stands there.
fn parse(text: &str) -> Result<Environment, String> {
    dotenvy::Iter::new(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| match error {
        dotenvy::Error::LineParse(refused, _) => {
            let at = text.lines().position(|line| line.contains(refused.trim()));
            let line = at.map_or_else(String::new, |at| format!("line {}: ", at + 1));
            format!(
                "{line}expected `NAME=value`; put a value with spaces, `#`, `$` or quotes in \
                 single quotes"
            )
        }
        _ => "cannot be read as `NAME=value` lines".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read() {
        let text = "# comment\nA=1\nexport B='p$w #1'\nC=\"two words\"\nD=\nA=2\n";
        let read = parse(text).unwrap();
        let expected = [("A", "2"), ("B", "p$w #1"), ("C", "two words"), ("D", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.into(), value.into())).into());
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        for text in ["A=1\n\nB=hunter2 hunter2\n", "A=1\n\nhunter2\n", "A=1\n\nB='hunter2\n"] {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with("line 3: expected `NAME=value`"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn the_first_file_counts() {
        let [near, far] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let folders = [near.path(), far.path()];
        std::fs::write(far.path().join(".env"), "A=far\n").unwrap();
        assert_eq!(first_file(&folders).unwrap()["A"], "far");
        std::fs::write(near.path().join(".env"), "A=near\n").unwrap();
        assert_eq!(first_file(&folders).unwrap()["A"], "near");
        assert_eq!(process()["PATH"], std::env::var("PATH").unwrap());
    }
}
