//! Names as they stand in SQL, and as psql's `\connect` takes them.

/// Bytes as text. Those that are no UTF-8 are written as escapes, so that different names stay different.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// Schema and name of `schema."na""me"`, without quotes.
pub(super) fn split(text: &str) -> Option<(Option<String>, String)> {
    let (first, rest) = one(text)?;
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Some((None, first)),
        None => None,
        Some(rest) => {
            let (second, rest) = one(rest)?;
            rest.is_empty().then_some((Some(first), second))
        }
    }
}

fn one(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_ascii_lowercase(), &text[end..]));
    };
    let (name, end) = until_quote(quoted, '"', false)?;
    Some((name, &quoted[end..]))
}

/// Reads to the closing quote, which is not part of it; doubled ones stand for one. Gives back where it goes on.
fn until_quote(text: &str, quote: char, escapes: bool) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if escapes && letter == '\\' {
            name.push(letters.next()?.1);
        } else if letter == quote {
            if letters.next_if(|(_, next)| *next == quote).is_none() {
                return Some((name, at + quote.len_utf8()));
            }
            name.push(quote);
        } else {
            name.push(letter);
        }
    }
    None
}

/// The database that `\connect` is given: a name, or `-reuse-previous=on "dbname='it''s'"`.
pub(super) fn of_connect(arguments: &str) -> Option<String> {
    let argument = arguments.trim();
    let argument = argument.strip_prefix("-reuse-previous=on").unwrap_or(argument).trim_start();
    let whole = match argument.strip_prefix('"') {
        Some(quoted) => until_quote(quoted, '"', false)?.0,
        None => argument.split_whitespace().next()?.to_owned(),
    };
    match whole.strip_prefix("dbname=") {
        None => Some(whole),
        Some(value) => match value.strip_prefix('\'') {
            Some(quoted) => until_quote(quoted, '\'', true).map(|(name, _)| name),
            None => Some(value.to_owned()),
        },
    }
}
