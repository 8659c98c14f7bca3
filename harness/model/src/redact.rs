//! Removes secrets. The redactor is the only maker of `Clean`, and the recorder accepts nothing else.
//!
//! A secret that was resolved or composed is *learned* in every encoding in which it may travel; keys and headers with
//! secret names are masked whatever they hold. Masking happens once, over the bytes, before anything is truncated.

pub mod leak;
mod shapes;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Serialize;
use serde_json::Value;
use shapes::shapes;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The replacement for a secret.
pub const MASK: &str = "[masked]";

/// A secret shorter than this, in bytes, is masked only as a whole value and in composed headers.
const SHORT: usize = 8;

/// Parts of key names that mark a secret, compared without case, `-` and `_`.
const SECRET_KEYS: [&str; 14] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "authorization",
    "cookie",
    "apikey",
    "privatekey",
    "databaseurl",
    "credential",
    "accesskey",
    "dsn",
];

/// A secret value. It has no `Serialize` and no `Display`; `Debug` shows the mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A value that is sent like a secret but is not one: it is not learned.
    pub fn open(text: String) -> Self {
        Self(text)
    }
    /// The value itself, for the code that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A value that has passed the redactor.
#[derive(Debug, Clone, PartialEq)]
pub struct Clean<T = Value>(T);

impl<T> Clean<T> {
    /// The cleaned value.
    pub fn get(&self) -> &T {
        &self.0
    }
    /// The cleaned value, owned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// The parts of a record that are Proofmark's own words, which are not masked. A password `http` or a tenant `1` must
/// not mask a kind, a round number or a verdict: the record could not be read back.
#[derive(Debug)]
pub struct Frame {
    /// Keys whose values are Proofmark's own.
    pub own: &'static [&'static str],
    /// Keys whose values are maps or lists of pairs with Proofmark's own names; these names do not mark a secret.
    pub named: &'static [&'static str],
    /// Keys whose values, or the entries of whose lists, have a frame of their own.
    pub parts: &'static [(&'static str, &'static Frame)],
}

/// A record with a frame.
pub trait Framed: Serialize {
    /// The record's frame.
    const FRAME: &'static Frame;
}

/// Knows the secrets of a run. Cheap to clone; clones share what was learned.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    /// Masked wherever they appear.
    anywhere: BTreeSet<String>,
    /// Masked only as the whole text.
    whole: BTreeSet<String>,
    /// Searches for `anywhere`; rebuilt when a secret is learned.
    finder: Option<AhoCorasick>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Learns a secret and returns it as one.
    pub fn learn(&self, secret: impl Into<String>) -> Secret {
        let secret = secret.into();
        // A file's secret often ends in a newline that is trimmed before sending: both forms are learned.
        for form in [secret.as_str(), secret.trim()] {
            self.learn_form(form);
        }
        for password in dsn_passwords(&secret) {
            self.learn_form(&password);
        }
        Secret(secret)
    }

    /// Learns the secrets of a value that was cleaned before, possibly by another process, by comparing it with the
    /// original.
    pub fn learn_masked(&self, clean: &Value, was: &Value) {
        match (clean, was) {
            (Value::String(clean), Value::String(was)) => {
                let mut pieces = clean.split(MASK);
                let mut rest = pieces.next().and_then(|first| was.strip_prefix(first)).unwrap_or_default();
                for piece in pieces {
                    let end =
                        if piece.is_empty() { rest.len() } else { rest.find(piece).unwrap_or(rest.len()) };
                    self.learn_form(&rest[..end]);
                    rest = rest.get(end + piece.len()..).unwrap_or_default();
                }
            }
            (Value::String(clean), _) if clean == MASK => self.learn_form(&was.to_string()),
            (Value::Array(clean), Value::Array(was)) => {
                clean.iter().zip(was).for_each(|(clean, was)| self.learn_masked(clean, was));
            }
            (Value::Object(clean), Value::Object(was)) => {
                clean.values().zip(was.values()).for_each(|(clean, was)| self.learn_masked(clean, was));
            }
            _ => {}
        }
    }

    /// Learns a composed value, such as a whole `Authorization` header. It is masked anywhere, however short its parts
    /// are.
    pub fn learn_composed(&self, value: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.anywhere.extend(shapes(value));
        // The credentials of the header, without the leading `Basic` or `Bearer`.
        if let Some((_, rest)) = value.split_once(' ')
            && rest.len() >= SHORT
        {
            known.anywhere.extend(shapes(rest));
        }
        known.rebuild();
    }

    /// Returns a search for everything learned so far, for data that is too large to clean.
    pub fn seeker(&self) -> Seeker {
        Seeker(self.0.read().unwrap_or_else(PoisonError::into_inner).finder.clone())
    }

    fn learn_form(&self, form: &str) {
        if form.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if form.chars().count() < SHORT {
            known.whole.extend(shapes(form));
        } else if known.anywhere.insert(form.to_owned()) {
            known.anywhere.extend(shapes(form));
            known.rebuild();
        }
    }

    /// Cleans any serialisable value, keys included. `open` names keys that are not secrets here.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn clean(&self, value: &impl Serialize, open: &[String]) -> Result<Clean, serde_json::Error> {
        let mut value = serde_json::to_value(value)?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.walk(&mut value, open);
        Ok(Clean(value))
    }

    /// Cleans a record, except for what its frame declares as Proofmark's own.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn clean_record<T: Framed>(&self, record: &T, open: &[String]) -> Result<Clean, serde_json::Error> {
        let mut value = serde_json::to_value(record)?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.walk_frame(&mut value, T::FRAME, open);
        Ok(Clean(value))
    }

    /// Removes the beginning of a secret from the end of bytes that were truncated before they could be cleaned.
    pub fn mend_cut(&self, bytes: &mut Vec<u8>) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let begins = |shape: &String| {
            let longest = shape.len().saturating_sub(1).min(bytes.len());
            (1..=longest).rev().find(|length| bytes.ends_with(&shape.as_bytes()[..*length]))
        };
        let overhang = known.anywhere.iter().filter_map(begins).max().unwrap_or_default();
        bytes.truncate(bytes.len() - overhang);
    }

    /// Cleans raw text of learned secrets only; raw text has no keys.
    pub fn clean_text(&self, text: &str) -> Clean<String> {
        Clean(self.0.read().unwrap_or_else(PoisonError::into_inner).text(text).into_owned())
    }

    /// Cleans bytes: valid text as text, other bytes by the same encodings.
    pub fn clean_bytes(&self, bytes: &[u8]) -> Clean<Vec<u8>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &known.finder {
            Some(finder) => {
                let mut out = Vec::with_capacity(bytes.len());
                finder.replace_all_with_bytes(bytes, &mut out, |_, _, out| {
                    out.extend_from_slice(MASK.as_bytes());
                    true
                });
                Clean(out)
            }
            None => Clean(bytes.to_vec()),
        }
    }
}

/// Finds learned secrets in any encoding. Secrets shorter than eight characters are not found: they may be ordinary
/// words.
#[derive(Debug, Clone)]
pub struct Seeker(Option<AhoCorasick>);

impl Seeker {
    /// Returns whether these bytes contain a secret.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|finder| finder.is_match(bytes))
    }
}

impl Known {
    fn rebuild(&mut self) {
        // Longest first: a secret that contains another one is masked completely.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&self.anywhere);
        self.finder = finder.ok();
    }

    fn walk_frame(&self, value: &mut Value, frame: &Frame, open: &[String]) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk_frame(item, frame, open)),
            Value::Object(map) => {
                for (key, value) in map.iter_mut().filter(|(key, _)| !frame.own.contains(&key.as_str())) {
                    if let Some((_, frame)) = frame.parts.iter().find(|(part, _)| part == key) {
                        self.walk_frame(value, frame, open);
                    } else if frame.named.contains(&key.as_str()) {
                        self.walk_named(value, open);
                    } else {
                        self.walk(value, open);
                    }
                }
            }
            other => self.walk(other, open),
        }
    }

    /// Cleans a value with names of its own: a map, or a list of pairs.
    fn walk_named(&self, value: &mut Value, open: &[String]) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|value| self.walk(value, open)),
            Value::Array(pairs) => {
                let values =
                    pairs.iter_mut().filter_map(Value::as_array_mut).flat_map(|pair| pair.iter_mut().skip(1));
                values.for_each(|value| self.walk(value, open));
            }
            _ => self.walk(value, open),
        }
    }

    fn walk(&self, value: &mut Value, open: &[String]) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, open)),
            Value::Object(map) => self.walk_map(map, open),
            Value::Null | Value::Bool(_) => {}
            Value::Number(_) if self.whole.is_empty() && self.anywhere.is_empty() => {}
            Value::Number(number) => {
                let written = number.to_string();
                if self.whole.contains(&written) || self.anywhere.contains(&written) {
                    *value = Value::String(MASK.into());
                }
            }
        }
    }

    fn walk_map(&self, map: &mut serde_json::Map<String, Value>, open: &[String]) {
        // A short secret that happens to equal a key (`json`) is not masked there: the observation could not be read.
        if map.keys().any(|key| matches!(self.within(key), Cow::Owned(_))) {
            let mut clean = serde_json::Map::new();
            for (key, value) in std::mem::take(map) {
                // Two keys with the same mask stay two keys: no entry may disappear before it is counted.
                let key = self.within(&key).into_owned();
                let (mut name, mut twins) = (key.clone(), 1);
                while clean.contains_key(&name) {
                    twins += 1;
                    name = format!("{key} ({twins})");
                }
                clean.insert(name, value);
            }
            *map = clean;
        }
        // `{name: password, value: …}` is a pair as well: a header list or an environment list.
        let named = ["name", "key"].iter().any(|n| {
            let name = map.get(*n).and_then(Value::as_str);
            name.is_some_and(|name| is_secret_key(name) && !open.iter().any(|o| o == name))
        });
        for (key, value) in map.iter_mut() {
            let secret = is_secret_key(key) || (named && key == "value");
            if secret && !open.iter().any(|o| o == key) && !value.is_null() && !value.is_boolean() {
                mask_leaves(value);
            } else {
                self.walk(value, open);
            }
        }
    }

    /// Owned where something was masked.
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.whole.contains(text) { Cow::Owned(MASK.to_owned()) } else { self.within(text) }
    }

    fn within<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.finder {
            Some(finder) if finder.is_match(text) => {
                let mut out = String::with_capacity(text.len());
                finder.replace_all_with(text, &mut out, |_, _, out| {
                    out.push_str(MASK);
                    true
                });
                Cow::Owned(out)
            }
            _ => Cow::Borrowed(text),
        }
    }
}

/// Masks every text and number in the value and keeps its shape.
fn mask_leaves(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_leaves),
        Value::Object(map) => map.values_mut().for_each(mask_leaves),
        Value::Null => {}
        _ => *value = Value::String(MASK.into()),
    }
}

/// Returns whether a key of this name is masked whatever it holds.
pub fn is_secret_key(key: &str) -> bool {
    static PARTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::builder().ascii_case_insensitive(true).build(SECRET_KEYS).expect("constants")
    });
    // Every key of every record is checked, and most are one plain word.
    let plain = if key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
    };
    PARTS.is_match(plain.as_ref())
}

/// Returns whether this value contains a mask.
pub fn is_masked(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MASK),
        Value::Array(items) => items.iter().any(is_masked),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(MASK) || is_masked(value)),
        _ => false,
    }
}

/// Returns the password inside a DSN or URL, both as written and decoded. A user name without a password is a token
/// itself, except for a database, whose user names appear all over the evidence.
fn dsn_passwords(text: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(text.trim()) else { return vec![] };
    let alone = if url.scheme().starts_with("postgres") { "" } else { url.username() };
    let written = url.password().unwrap_or(alone);
    let decoded = percent_encoding::percent_decode_str(written).decode_utf8_lossy().into_owned();
    vec![written.to_owned(), decoded]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn cleaned(redactor: &Redactor, value: &Value) -> Value {
        redactor.clean(value, &[]).unwrap().into_inner()
    }

    #[test]
    fn what_was_masked_is_learned_from_what_it_was() {
        let clean = serde_json::json!({"argv": ["rm", format!("a-{MASK}-b-{MASK}")], "key": MASK, "n": MASK});
        let was = serde_json::json!({"argv": ["rm", "a-first-secret-b-second-secret"], "key": "third-secret", "n": 123_456_789});
        let redactor = Redactor::default();
        redactor.learn_masked(&clean, &was);
        for secret in ["first-secret", "second-secret", "third-secret", "123456789"] {
            assert_eq!(redactor.clean_text(&format!("<{secret}>")).get(), &format!("<{MASK}>"));
        }
        assert_eq!(redactor.clean_text("rm a-").get(), "rm a-", "and nothing else is");
    }

    #[test]
    fn a_short_secret_does_not_blot_out_the_evidence() {
        let redactor = Redactor::default();
        redactor.learn("admin");
        let seen = cleaned(&redactor, &json!({"a": "admin", "b": "the admin page"}));
        assert_eq!(seen, json!({"a": MASK, "b": "the admin page"}));
    }

    #[test]
    fn a_login_without_a_password_is_a_token_but_the_name_of_a_databases_user_is_none() {
        let redactor = Redactor::default();
        redactor.learn("https://ghp_0123456789@example.org/");
        for scheme in ["postgres", "postgresql", "postgresql+asyncpg"] {
            redactor.learn(format!("{scheme}://postgres@127.0.0.1:5432/bookings"));
        }
        let seen = cleaned(
            &redactor,
            &json!({"postgres": "postgres", "as": "role postgres", "t": "ghp_0123456789"}),
        );
        assert_eq!(seen, json!({"postgres": "postgres", "as": "role postgres", "t": MASK}));
    }

    #[test]
    fn keys_named_like_secrets_are_masked_unless_opened() {
        let redactor = Redactor::default();
        let value = json!({"api_key": "x", "X-Api-Key": ["y"], "next_token": 7, "ok": 1, "tls": {"password": {"a": "b"}}});
        let seen = redactor.clean(&value, &["next_token".into()]).unwrap().into_inner();
        assert_eq!(
            seen,
            json!({"api_key": MASK, "X-Api-Key": [MASK], "next_token": 7, "ok": 1, "tls": {"password": {"a": MASK}}})
        );
        assert_eq!(
            cleaned(&redactor, &json!([{"name": "DB_PASSWORD", "value": "x"}])),
            json!([{"name": "DB_PASSWORD", "value": MASK}])
        );
    }

    #[test]
    fn the_password_inside_a_dsn_is_a_secret_of_its_own() {
        let redactor = Redactor::default();
        redactor.learn("postgres://bob:p%40ssw0rd-long@db:5432/app");
        assert_eq!(cleaned(&redactor, &json!("it was p@ssw0rd-long!")), json!(format!("it was {MASK}!")));
    }

    #[test]
    fn a_composed_header_is_masked_although_its_parts_are_short() {
        let redactor = Redactor::default();
        redactor.learn_composed("Basic YWRtaW46YWRtaW4=");
        assert_eq!(cleaned(&redactor, &json!("sent YWRtaW46YWRtaW4=")), json!(format!("sent {MASK}")));
    }

    proptest! {
        #[test]
        fn no_shape_of_a_secret_survives(secret in "[ -~äöüß€]{8,24}", around in "[a-z ]{0,5}") {
            let redactor = Redactor::default();
            redactor.learn(secret.clone());
            for shape in shapes(&secret) {
                let text = format!("{around}{shape}{around}");
                let clean = redactor.clean(&json!({"t": text, "deep": [text]}), &[]).unwrap();
                prop_assert!(!clean.get().to_string().contains(&shape) || MASK.contains(&shape), "{}", clean.get());
                prop_assert!(!redactor.clean_text(&text).get().contains(&shape));
            }
        }
    }
}
