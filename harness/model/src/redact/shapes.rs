//! The encodings in which a text may travel: URL-encoded, base64, in JSON, in HTML, each in the variants of common
//! encoders.

use super::SHORT;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const SCRIPT: AsciiSet = UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
const GO_PATH: AsciiSet =
    UNRESERVED.remove(b'$').remove(b'&').remove(b'+').remove(b'=').remove(b':').remove(b'@');

/// The sets of percent-encoded characters: everything that may be encoded, RFC 3986, JavaScript, paths, paths in Go,
/// forms.
static PERCENT: [AsciiSet; 6] = [
    UNRESERVED.add(b'-').add(b'_').add(b'.').add(b'~'),
    UNRESERVED,
    SCRIPT,
    UNRESERVED.remove(b'/'),
    GO_PATH,
    UNRESERVED.remove(b'*').add(b'~'),
];

/// Returns every encoding of the text.
pub(super) fn shapes(text: &str) -> Vec<String> {
    let mut out = vec![text.to_owned()];
    for set in &PERCENT {
        let encoded = utf8_percent_encode(text, set).to_string();
        let lower = lower_percent(&encoded);
        out.extend([encoded.replace("%20", "+"), lower.replace("%20", "+"), encoded, lower]);
    }
    // A URL parser may shorten a path (`a/../b`), and a text that short would be found everywhere.
    out.extend(url_encoded(text).into_iter().filter(|shape| shape.len() >= text.len()));
    let json = json(text, "");
    out.extend([json.replace('/', "\\/"), json]);
    // Go writes `<` as `\u003c`; Python escapes all non-ASCII characters; Java uses upper-case hex.
    for also in ["<>&", "<>&'"] {
        out.push(self::json(text, also));
    }
    for also in ["", "/", "<>&", "<>&'"] {
        let ascii = ascii_json(text, also);
        out.extend([upper_json(&ascii), ascii]);
    }
    out.extend([STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|base| base.encode(text)));
    out.extend(within_base64(text));
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for (double, single) in
        [("&quot;", "'"), ("\"", "'"), ("&quot;", "&#39;"), ("&#34;", "&#39;"), ("&quot;", "&#x27;")]
    {
        out.push(html.replace('"', double).replace('\'', single));
    }
    out.retain(|shape| !shape.is_empty());
    out.sort();
    out.dedup();
    out
}

/// The text as JSON without the quotes, with the characters in `also` as `\u003c`.
fn json(text: &str, also: &str) -> String {
    escaped(text, |c| also.contains(c))
}

/// JSON with every non-ASCII character, and the characters in `also`, as `\u00fc`.
fn ascii_json(text: &str, also: &str) -> String {
    escaped(text, |c| !c.is_ascii() || also.contains(c))
}

fn escaped(text: &str, by_number: impl Fn(char) -> bool) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut out = String::new();
    for c in json.get(1..json.len().saturating_sub(1)).unwrap_or_default().chars() {
        if by_number(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend(["\\u", &hex::encode(unit.to_be_bytes())]);
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes `\u00FC` for `\u00fc`. A backslash in the text itself is doubled and does not start an escape.
fn upper_json(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\\'
            && let Some(kind) = chars.next()
        {
            out.push(kind);
            let digits = if kind == 'u' { 4 } else { 0 };
            out.extend(chars.by_ref().take(digits).map(|digit| digit.to_ascii_uppercase()));
        }
    }
    out
}

/// Base64 of the text inside a longer text, at each of the three offsets, without the characters at its ends that
/// depend on the neighbours.
fn within_base64(text: &str) -> Vec<String> {
    let mut out = vec![];
    for offset in 0..3 {
        let padded = [&vec![0; offset], text.as_bytes()].concat();
        let whole = padded.len() * 8 / 6;
        let first = (offset * 8).div_ceil(6);
        for base in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = base.encode(&padded);
            // A short remainder would be found everywhere.
            out.extend(encoded.get(first..whole).filter(|rest| rest.len() >= SHORT).map(str::to_owned));
        }
    }
    out
}

fn lower_percent(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut hex = 0;
    for c in encoded.chars() {
        out.push(if hex > 0 { c.to_ascii_lowercase() } else { c });
        hex = if c == '%' { 2 } else { i32::max(hex - 1, 0) };
    }
    out
}

/// Encodes the text as a URL parser does in a path, a password and a query.
fn url_encoded(text: &str) -> Vec<String> {
    let Ok(mut url) = url::Url::parse("http://user@host/") else { return vec![] };
    let password = url.set_password(Some(text)).ok().and_then(|()| url.password().map(str::to_owned));
    url.set_query(Some(text));
    url.set_path(text);
    let mut out = vec![url.path().trim_start_matches('/').to_owned()];
    out.extend([password, url.query().map(str::to_owned)].into_iter().flatten());
    // A redirect parses the text: what follows `?` and `#` is encoded differently.
    for before in ["http://host/", "http://host/?"] {
        let joined = url::Url::parse(&format!("{before}{text}")).map(String::from).unwrap_or_default();
        out.extend(joined.strip_prefix(before).map(str::to_owned));
    }
    out
}
