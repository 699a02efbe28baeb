//! What a server quotes in an error may be a value.

/// Stands for what was quoted.
const HIDDEN: char = '…';

/// `message` without what the server quotes in it, names of stages and operators apart: they begin
/// with `$` and tell where to look. A quote that is not closed hides the rest.
pub(super) fn hide(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = opening(rest) {
        let (before, quoted) = rest.split_at(start);
        let (quote, inside) = quoted.split_at(1);
        let end = closing(inside, quote).unwrap_or(inside.len());
        let (text, after) = inside.split_at(end);
        shown.push_str(before);
        shown.push_str(quote);
        if text.strip_prefix('$').is_some_and(is_name) {
            shown.push_str(text);
        } else {
            shown.push(HIDDEN);
        }
        shown.push_str(quote);
        rest = after.strip_prefix(quote).unwrap_or(after);
    }
    shown + rest
}

/// Where a quotation begins; an apostrophe inside a word begins none.
fn opening(text: &str) -> Option<usize> {
    let mut before = None;
    text.char_indices().find_map(|(at, sign)| {
        let begins = matches!(sign, '\'' | '"' | '`') && !before.is_some_and(char::is_alphanumeric);
        before = Some(sign);
        begins.then_some(at)
    })
}

/// Where it ends: at the first such quote that no word follows, since a value may hold quotes.
fn closing(inside: &str, quote: &str) -> Option<usize> {
    inside.match_indices(quote).map(|(at, _)| at).find(|at| {
        let after = inside[at + quote.len()..].chars().next();
        !after.is_some_and(|sign| sign.is_alphanumeric() || matches!(sign, '\'' | '"' | '`'))
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn values_are_hidden_and_names_of_operators_stay() {
        for (message, shown) in [
            ("Failed to parse number 'Ada' in $convert", "Failed to parse number '…' in $convert"),
            (
                "Unrecognized pipeline stage name: '$mach'",
                "Unrecognized pipeline stage name: '$mach'",
            ),
            ("$in needs an array", "$in needs an array"),
            ("can't parse 'it's me' here", "can't parse '…' here"),
            ("got { name: \"Ada L.\" }, not 'x'", "got { name: \"…\" }, not '…'"),
            ("an open 'quotation and 4111", "an open '…'"),
            ("field '$name.of a value'", "field '…'"),
            ("'", "'…'"),
            ("", ""),
        ] {
            assert_eq!(hide(message), shown, "{message}");
        }
    }
}
