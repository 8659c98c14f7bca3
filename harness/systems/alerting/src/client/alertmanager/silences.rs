//! Lists, creates and expires silences. A silence is never deleted: it expires and stays listed for days, so only its
//! state says whether it still suppresses anything.

use super::{EXPECTED, read};
use jiff::Timestamp;
use proofmark_evidence::undo::ChangePermit;
use proofmark_model::SettingMistake;
use proofmark_net::http::{Call, Changing, Endpoint, change, fetch};
use proofmark_net::{ClientError, anchored};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

/// A silence that Alertmanager holds, including expired ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Silence {
    /// The id that the server gave it.
    pub id: String,
    /// `active`, `pending` (begins later) or `expired`.
    pub state: String,
    /// The conditions that an alert must all meet: `alertname="Down"`, `team=~"a|b"`; sorted.
    pub matchers: Vec<String>,
    /// The author of the silence.
    pub created_by: String,
    /// The reason for the silence.
    pub comment: String,
    /// When the silence begins. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub starts_at: Timestamp,
    /// When the silence ends by itself. RFC 3339 in UTC.
    #[schemars(with = "String")]
    pub ends_at: Timestamp,
}

/// A condition on one label, in Alertmanager's notation: `alertname="Down"`, `team!~"a|b"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    name: String,
    value: String,
    regex: bool,
    equal: bool,
}

/// A silence to create.
#[derive(Debug)]
pub struct NewSilence<'a> {
    /// The conditions that an alert must all meet.
    pub matchers: &'a [Matcher],
    /// When the silence begins. The server replaces a time in its past with its current time.
    pub starts_at: Timestamp,
    /// When the silence ends by itself.
    pub ends_at: Timestamp,
    /// The author of the silence, by which it is found again.
    pub created_by: &'a str,
    /// The reason for the silence.
    pub comment: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    status: Status,
    matchers: Vec<MatcherBody>,
    created_by: String,
    comment: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MatcherBody {
    name: String,
    value: String,
    is_regex: bool,
    is_equal: Option<bool>,
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    id: String,
}

impl Silence {
    /// Returns whether the silence has stopped suppressing alerts. An unknown state gives `false`.
    pub fn is_over(&self) -> bool {
        self.state == "expired"
    }
}

impl Matcher {
    /// Matches alerts whose label has exactly this value.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), regex: false, equal: true }
    }

    /// Returns whether the condition requires something, rather than excluding something.
    pub fn asks(&self) -> bool {
        self.equal
    }

    /// Returns whether an alert without this label matches.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Returns the label that the condition tests.
    pub fn label(&self) -> &str {
        &self.name
    }

    /// Returns whether an alert whose label has this value matches. The value is empty for an alert without the label.
    pub fn matches(&self, value: &str) -> bool {
        let same = match self.pattern() {
            Some(pattern) => pattern.is_ok_and(|pattern| pattern.is_match(value)),
            None => self.value == value,
        };
        same == self.equal
    }

    /// Returns the pattern, anchored as on the server.
    fn pattern(&self) -> Option<Result<Regex, regex::Error>> {
        self.regex.then(|| anchored(&self.value))
    }
}

impl FromStr for Matcher {
    type Err = SettingMistake;
    fn from_str(text: &str) -> Result<Self, SettingMistake> {
        let wrong = |why: &str| {
            SettingMistake::new(format!("`{text}` is no matcher: {why}"))
                .help("write `alertname=\"Down\"`, with `=`, `!=`, `=~` or `!~`")
        };
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong("it does not begin with the name of a label"));
        }
        let rest = rest.trim_start();
        let signs = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
        let found = signs.iter().find_map(|sign| Some((rest.strip_prefix(sign.0)?.trim(), sign.1, sign.2)));
        let (value, regex, equal) = found.ok_or_else(|| wrong("no sign stands after the name"))?;
        let value = if value.starts_with('"') {
            serde_json::from_str(value).map_err(|_| wrong("its value is not quoted well"))?
        } else if value.contains(['"', '\'', '{', '}', ',']) {
            return Err(wrong("a value with such signs stands in double quotes"));
        } else {
            value.to_owned()
        };
        let matcher = Self { name: name.to_owned(), value, regex, equal };
        match matcher.pattern() {
            Some(Err(error)) => Err(wrong(error.to_string().lines().last().unwrap_or_default())),
            _ => Ok(matcher),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.regex, self.equal) {
            (false, true) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (true, false) => "!~",
        };
        write!(f, "{}{sign}{}", self.name, json!(self.value))
    }
}

/// Returns the silences that are wanted, including expired ones, sorted by id, and the server's time, if it reports it.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn silences(
    wire: Endpoint<'_>,
    wanted: impl Fn(&Silence) -> bool,
) -> Result<(Vec<Silence>, Option<Timestamp>), ClientError> {
    let answer = fetch(wire, &Call::get("/api/v2/silences")).await?;
    let entries: Vec<Entry> = read(&answer)?;
    let mut silences: Vec<Silence> = entries.into_iter().map(Entry::told).filter(wanted).collect();
    silences.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((silences, answer.date()))
}

/// Creates a silence and returns its id.
///
/// # Errors
/// The server cannot be reached or refuses the request. If the answer was incomplete, the silence may have been created
/// nevertheless.
pub async fn silence(
    wire: Endpoint<'_>,
    new: &NewSilence<'_>,
    leave: &impl ChangePermit,
) -> Result<String, ClientError> {
    let matcher = |it: &Matcher| json!({ "name": it.name, "value": it.value, "isRegex": it.regex, "isEqual": it.equal });
    let body = json!({
        "matchers": new.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "startsAt": new.starts_at, "endsAt": new.ends_at,
        "createdBy": new.created_by, "comment": new.comment,
    });
    let call = Call::change(Changing::POST, "/api/v2/silences").json(&body);
    let answer = change(wire, &call, leave).await?;
    let made: Made = read(&answer)?;
    Ok(made.id)
}

/// Expires a silence. A silence that has ended, or that the server no longer knows, is not an error.
///
/// # Errors
/// The server cannot be reached or refuses the request.
pub async fn expire(wire: Endpoint<'_>, id: &str, leave: &impl ChangePermit) -> Result<(), ClientError> {
    let call = Call::change(Changing::DELETE, format!("/api/v2/silence/{id}"));
    let answer = change(wire, &call, leave).await?;
    if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(answer.refused(EXPECTED)) }
}

impl Entry {
    fn told(self) -> Silence {
        let matcher = |it: MatcherBody| {
            let equal = it.is_equal.unwrap_or(true);
            Matcher { name: it.name, value: it.value, regex: it.is_regex, equal }.to_string()
        };
        let mut matchers: Vec<String> = self.matchers.into_iter().map(matcher).collect();
        matchers.sort();
        Silence {
            id: self.id,
            state: self.status.state,
            matchers,
            created_by: self.created_by,
            comment: self.comment,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_alertmanager_writes_them() {
        for (text, told, empty) in [
            ("alertname=\"Down\"", "alertname=\"Down\"", false),
            (" team =~ \"a|b\" ", "team=~\"a|b\"", false),
            ("team=platform", "team=\"platform\"", false),
            ("team!=\"x\"", "team!=\"x\"", true),
            ("team!=\"\"", "team!=\"\"", false),
            ("team!~\".+\"", "team!~\".+\"", true),
            ("team=\"\"", "team=\"\"", true),
            ("team=~\".*\"", "team=~\".*\"", true),
            ("team=~\"a|\"", "team=~\"a|\"", true),
            ("team=~\"a\\\\.b\"", "team=~\"a\\\\.b\"", false),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!((matcher.to_string().as_str(), matcher.matches_empty()), (told, empty), "{text}");
        }
        for wrong in
            ["", "team", "=x", "1a=b", "team==\"x\"\"", "team=\"x", "team=a,b=c", "team=~\"(\"", "{a=\"b\"}"]
        {
            assert!(wrong.parse::<Matcher>().is_err(), "{wrong}");
        }
    }
}
