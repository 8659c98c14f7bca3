//! Detects unknown secrets: by the key above them, or by their own shape. Reports the rule and never the value.

use super::MASK;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

/// The rule for a value under a key with a secret name.
pub const BY_KEY: &str = "key";

/// The rule for a secret that this run itself uses.
pub const LEARNED: &str = "learned";

/// The rule for a password within a URL.
const DSN: &str = "dsn-password";

/// Secret key names before `=` or `:` in text. The same words as in `SECRET_KEYS`, with the separators that people use.
const ASSIGNED: &str = r"(?:token|secret|passw(?:or)?d|passphrase|pwd|authorization|cookie|api[_ -]?key|private[_ -]?key|database[_ -]?url|credentials?|access[_ -]?key|dsn)[a-z0-9_-]*";

/// A rule: its name, the shape, and which group of the shape is the secret (0 for the whole match).
struct Shape {
    rule: &'static str,
    regex: Regex,
    group: usize,
}

impl Shape {
    /// Returns whether the match reveals a secret.
    fn tells(&self, secret: &str) -> bool {
        !is_placeholder(secret) && (self.rule != "authorization" || is_login(secret))
    }
}

fn sources() -> [(&'static str, String, usize); 6] {
    [
        (
            "private-key",
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?s:.)*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)".to_owned(),
            0,
        ),
        ("jwt", r"\beyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*".to_owned(), 0),
        (DSN, r#"(?i)[a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:([^\s@/"'<>]+)@"#.to_owned(), 1),
        ("token", TOKENS.to_owned(), 0),
        ("authorization", r"(?i)\b(?:bearer|basic)\s+([a-z0-9._~+/=-]{8,})".to_owned(), 1),
        // Quotes may be escaped, as in JSON within JSON.
        ("assignment", format!(r#"(?i){ASSIGNED}\\?["']?\s*[=:]\s*\\?["']?([^\s"'\\,;&}}\])]+)"#), 1),
    ]
}

/// Tokens with a recognisable prefix: AWS, GitHub, GitLab, Slack, Grafana, Telegram, Stripe, Google, Vault, npm.
const TOKENS: &str = r"(?:\b|bot)[0-9]{8,10}:[A-Za-z0-9_-]{35}|\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|gl(?:sa|c)_[A-Za-z0-9_=]{20,}|[rs]k_live_[A-Za-z0-9]{16,}|AIza[0-9A-Za-z_-]{35}|hvs\.[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36})";

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape =
        |(rule, source, group): (_, String, _)| Some(Shape { rule, regex: Regex::new(&source).ok()?, group });
    let shapes: Vec<Shape> = sources().into_iter().filter_map(shape).collect();
    // A rule that is silently dropped would let secrets pass.
    assert_eq!(shapes.len(), sources().len(), "every shape is a valid expression");
    shapes
});

/// All shapes in one expression, over bytes, to rule out a match quickly.
static ANY: LazyLock<regex::bytes::Regex> = LazyLock::new(|| {
    let all: Vec<String> = sources().into_iter().map(|(_, source, _)| format!("(?:{source})")).collect();
    let built = regex::bytes::RegexBuilder::new(&all.join("|")).unicode(false).build();
    #[expect(clippy::expect_used, reason = "the expression is a constant, and a test builds it")]
    built.expect("every shape is a valid expression")
});

/// Returns whether these bytes may contain a secret by its shape. Fast; `false` is certain.
pub fn suspicious(bytes: &[u8]) -> bool {
    ANY.is_match(bytes)
}

/// The rule by which a text contains a secret.
pub fn in_text(text: &str) -> Option<&'static str> {
    let holds = |shape: &&Shape| {
        let mut all = shape.regex.captures_iter(text).filter_map(|found| found.get(shape.group));
        all.any(|secret| shape.tells(secret.as_str()))
    };
    SHAPES.iter().find(holds).map(|shape| shape.rule)
}

/// Returns whether this value under a key with a secret name reveals anything. Null, booleans and masked values do not.
pub fn by_key(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => true,
        Value::String(text) => !is_placeholder(text) && !is_masked_url(text),
        Value::Array(items) => items.iter().any(by_key),
        Value::Object(map) => map.values().any(by_key),
    }
}

/// Masks every text in a value that contains a secret by its shape. The recorder masks the values of secret keys.
pub fn conceal(value: &mut Value) {
    match value {
        Value::String(text) if in_text(text).is_some() => *value = Value::String(MASK.into()),
        Value::Array(items) => items.iter_mut().for_each(conceal),
        Value::Object(map) => map.values_mut().for_each(conceal),
        _ => {}
    }
}

/// Masks the secrets in a text that are recognised by their shape.
pub fn concealed(text: &str) -> String {
    let mut text = text.to_owned();
    for shape in SHAPES.iter() {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for found in shape.regex.captures_iter(&text) {
            let Some(secret) = found.get(shape.group).filter(|secret| shape.tells(secret.as_str())) else {
                continue;
            };
            out.push_str(&text[end..secret.start()]);
            out.push_str(MASK);
            end = secret.end();
        }
        if end > 0 {
            out.push_str(&text[end..]);
            text = out;
        }
    }
    text
}

/// Returns whether the text is a placeholder for a secret: `***`, `[REDACTED]`, `<masked>`, `xxxx`, or empty.
fn is_placeholder(text: &str) -> bool {
    let bare = text.trim().trim_matches(['[', ']', '<', '>', '(', ')', '{', '}', '"', '\'', '\\', '$', '%']);
    let one = |c: char| bare.chars().all(|other| other == c);
    let words =
        ["redacted", "masked", "filtered", "hidden", "removed", "null", "none", "undefined", "true", "false"];
    text.trim().starts_with("${")
        || bare.is_empty()
        || one('*')
        || one('x')
        || one('X')
        || one('•')
        || words.iter().any(|word| bare.eq_ignore_ascii_case(word))
}

/// Returns whether the text is a URL with a masked password, which reveals only an address.
fn is_masked_url(text: &str) -> bool {
    let shape = SHAPES.iter().find(|shape| shape.rule == DSN);
    let masked = shape.and_then(|shape| shape.regex.captures(text)?.get(shape.group));
    masked.is_some_and(|password| is_placeholder(password.as_str())) && in_text(text).is_none()
}

/// Distinguishes a login from prose such as `basic authentication`: base64 of `user:password`, or a token, which
/// contains digits.
fn is_login(text: &str) -> bool {
    let basic = STANDARD.decode(text).is_ok_and(|bytes| bytes.contains(&b':') && bytes.is_ascii());
    basic || (text.len() >= 16 && text.chars().any(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Assembled at run time, so that scanners do not report this file as a leak.
    fn secrets() -> Vec<(String, &'static str)> {
        let jwt = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "c2lnbmF0dXJl"].join(".");
        vec![
            (format!("-----BEGIN {}PRIVATE KEY-----", "RSA "), "private-key"),
            (format!("-----BEGIN {}KEY-----", "PRIVATE "), "private-key"),
            (format!("got {jwt}!"), "jwt"),
            (format!("postgresql+asyncpg://{}:{}@db:5432/x", "app", "pw"), "dsn-password"),
            (format!("redis://:{}@cache", "only-a-password"), "dsn-password"),
            (format!("{}{}", "AKIA", "IOSFODNN7EXAMPLE"), "token"),
            (format!("bot {}:{}", "123456789", "AAF-abcdefghijklmnopqrstuvwxyz_0123"), "token"),
            (format!("/bot{}:{}/getMe", "1234567890", "A".repeat(35)), "token"),
            (format!("Authorization: Bearer {}", "0123456789abcdef"), "authorization"),
            (format!("sent Basic {}", STANDARD.encode("bob:pw")), "authorization"),
            (format!("login with password={}", "hunter2"), "assignment"),
            (format!("API-Key: {}", "abc"), "assignment"),
            (format!(r#"body {{\"refresh_token\": \"{}\"}}"#, "abc"), "assignment"),
        ]
    }

    #[test]
    fn every_shape_is_found_and_no_quick_look_misses_it() {
        for (text, rule) in secrets() {
            assert_eq!(in_text(&text), Some(rule), "{text}");
            assert!(suspicious(text.as_bytes()), "{text}");
            let clean = concealed(&format!("before\n{text}\nbehind"));
            assert!(
                clean.starts_with("before") && in_text(&clean).is_none() && clean.contains(MASK),
                "{clean}"
            );
            let mut value = json!({ "a": [text] });
            conceal(&mut value);
            assert_eq!(value, json!({ "a": [MASK] }));
        }
    }

    #[test]
    fn a_private_key_is_concealed_to_its_end() {
        let mark = |word: &str| format!("-----{word} {}KEY-----", "PRIVATE ");
        let text = format!("a\n{}\nMIIE\nvQIB\n{}\nb", mark("BEGIN"), mark("END"));
        assert_eq!(concealed(&text), format!("a\n{MASK}\nb"));
        assert_eq!(concealed(&text[..text.len() - 40]), format!("a\n{MASK}"), "also one that was cut off");
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        let innocent = [
            "basic authentication failed for bob",
            "bearer of bad news arrived yesterday",
            "https://example.org:8080/a@b",
            "postgres://db:5432/app",
            "postgres://app:***@db/app",
            "password=[REDACTED] token=*** secret=",
            "password: null",
            "postgres://app:${DB_PASSWORD}@db/app",
            "the token was refused",
            "2026-01-01T00:00:00Z",
            "eyJ is how they begin",
            "BEGIN PUBLIC KEY",
        ];
        for text in innocent {
            assert_eq!(in_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_masked_value_under_a_secret_key_gives_nothing_away() {
        for value in [json!(null), json!(true), json!(""), json!("***"), json!("[REDACTED]"), json!([MASK])] {
            assert!(!by_key(&value), "{value}");
        }
        for value in [json!("a"), json!(1), json!({"in": ["x1"]})] {
            assert!(by_key(&value), "{value}");
        }
    }
}
