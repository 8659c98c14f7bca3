//! `http` as a check: requests a page and judges its status. Only methods that read: GET, HEAD, OPTIONS. The act of the
//! same name, for all other methods, is in `http/change.rs`.

pub mod change;

use jiff::Timestamp;
use proofmark_engine::settings::present;
use proofmark_engine::{Check, Cx, Kind, StepError, target};
use proofmark_environment::Tls as ConnectionTls;
use proofmark_model::{Finding, SettingMistake};
use proofmark_net::http::{Answer, Call, MAX_BYTES, Reading, fetch};
use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Requests an absolute URL, or a path below the connection that `via` names. At most ten redirects are followed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Http {
    /// What to get: an absolute URL, or a path that begins with `/`. Replaces `method` and `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// The method: `GET`, `HEAD` or `OPTIONS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What to request, in the form of `get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The headers to send. They override those of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The text to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// TLS settings that replace those of the connection. A client certificate is secret and therefore belongs in a
    /// connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The expected status: a number or a list of numbers. Default: any 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
    /// The largest accepted answer, in bytes after decompression. Default: 134217728 (128 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// What to trust.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tls {
    /// The certificates to trust instead of those of the machine, as PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The name to expect in the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether to accept any certificate. Default: false.
    #[serde(default)]
    pub insecure: bool,
}

impl Tls {
    fn of_connection(&self) -> ConnectionTls {
        let Self { ca, server_name, insecure } = self.clone();
        ConnectionTls { ca, server_name, insecure, ..ConnectionTls::default() }
    }
}

/// One status or several, as `200` or `[200, 404]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(pub Vec<u16>);

impl Statuses {
    /// Returns the accepted statuses in words, and whether this one is accepted. Without `wanted`, any 2xx is.
    fn holds(wanted: Option<&Self>, status: u16) -> (String, bool) {
        match wanted {
            None => ("2xx".to_owned(), (200..300).contains(&status)),
            Some(Self(list)) => {
                let words: Vec<_> = list.iter().map(u16::to_string).collect();
                (words.join(" or "), list.contains(&status))
            }
        }
    }
}

impl Serialize for Statuses {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => s.serialize_u16(*one),
            several => s.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // The name lets the document layer offer a sample (200) for a template that is not filled in yet.
        d.deserialize_newtype_struct("$status", OneOrList)
    }
}

fn no_status(number: impl fmt::Display) -> SettingMistake {
    SettingMistake::new(format!("{number} is no HTTP status")).help("write one from 100 to 599")
}

struct OneOrList;

impl<'de> Visitor<'de> for OneOrList {
    type Value = Statuses;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an HTTP status (100 to 599) or a list of them")
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Statuses, E> {
        let status = u16::try_from(number).ok().filter(|status| (100..600).contains(status));
        status.map(|status| Statuses(vec![status])).ok_or_else(|| E::custom(no_status(number)))
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Statuses, E> {
        let positive = u64::try_from(number).map_err(|_| E::custom(no_status(number)))?;
        self.visit_u64(positive)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Statuses, E> {
        let number = text
            .parse()
            .map_err(|_| SettingMistake::new(format!("`{text}` is no HTTP status")))
            .map_err(|mistake| E::custom(mistake.help("write a number: 200")))?;
        self.visit_u64(number)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
        let mut statuses = Vec::new();
        while let Some(Statuses(more)) = list.next_element()? {
            statuses.extend(more);
        }
        if statuses.is_empty() {
            let mistake = SettingMistake::new("a list of statuses needs at least one");
            return Err(A::Error::custom(mistake.help("write `[200, 404]`")));
        }
        Ok(Statuses(statuses))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Statuses, D::Error> {
        d.deserialize_any(OneOrList)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Statuses".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let status = serde_json::json!({ "type": "integer", "minimum": 100, "maximum": 599 });
        schemars::json_schema!({ "oneOf": [status, { "type": "array", "items": status, "minItems": 1 }] })
    }
}

/// The answer. It has either `json` or `text`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpObservation {
    /// The URL that answered, after redirects.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers, with lower-case names. Several headers of one name are joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is JSON: according to its content type, or because it is an object or array whatever the content
    /// type.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The body, if it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the body is UTF-8. If not, `text` has U+FFFD in place of invalid bytes.
    pub utf8: bool,
    /// The time from the first request to the end of the answer, in seconds.
    pub seconds: f64,
}

impl Kind for Http {
    const NAME: &'static str = "http";
    const EXAMPLE: &'static str = "http: { get: https://example.org/healthz, status: 200 }";
    const JUDGES: &'static str = "The status is 2xx, unless `status` says otherwise.";
    const RULES: u32 = 1;
    /// Used only if `via` names a connection: an absolute URL needs none.
    // An absolute URL needs no connection; a path uses the connection that `via` names.
    const ROLES: &'static [&'static str] = &[];
    type Seen = HttpObservation;

    fn judge(&self, seen: &HttpObservation, _at: Timestamp) -> Vec<Finding> {
        let (expected, ok) = Statuses::holds(self.status.as_ref(), seen.status);
        let help = match seen.status {
            401 | 403 => "the login is missing, wrong, or not allowed here",
            404 => "is the path right, with the server's path prefix if there is one?",
            _ => "`status` says which other statuses are right",
        };
        vec![Finding::judged("HTTP status", expected, seen.status, ok).with_help(help)]
    }

    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        let (_, target) = self.request().ok()?;
        target::via_mistake(target, named)
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let target = match self.request() {
            Ok((_, target)) => target,
            Err(mistake) => return Some(mistake),
        };
        target::login_mistake(target).or_else(|| nothing_allowed(self.max_bytes))
    }
}

impl Check for Http {
    async fn observe(&self, cx: &Cx) -> Result<HttpObservation, StepError> {
        let (method, target) = self.request()?;
        let wire = target::wire(cx, Self::NAME, target)?;
        let tls = self.tls.as_ref().map(Tls::of_connection);
        let (headers, body) = (self.headers.clone(), self.body.clone());
        let max_bytes = self.max_bytes.unwrap_or(MAX_BYTES);
        let call = Call { method, headers, body, tls, max_bytes, ..Call::get(target) };
        Ok(seen(&fetch(wire, &call).await?))
    }
}

fn nothing_allowed(max_bytes: Option<u64>) -> Option<SettingMistake> {
    (max_bytes == Some(0)).then(|| {
        SettingMistake::new("`max-bytes: 0` allows no answer")
            .help("write how many bytes may come, or leave it out")
    })
}

impl Http {
    /// Returns the method and the target, or the mistake in them.
    fn request(&self) -> Result<(Reading, &str), SettingMistake> {
        let (method, target) = match (&self.get, &self.method, &self.url) {
            (Some(get), None, None) => ("GET", get),
            (None, Some(method), Some(url)) => (method.as_str(), url),
            _ => {
                return Err(SettingMistake::new("it is not said what to ask for, or said twice")
                    .help("write either `get: URL`, or `method` with `url`"));
            }
        };
        let wrong = || {
            SettingMistake::new(format!(
                "`{method}` is not for a check, which only reads; `method` is GET, HEAD or OPTIONS, in capitals"
            ))
            .help("what changes something stands below `act:`")
        };
        Ok((Reading::named(method).ok_or_else(wrong)?, target))
    }
}

fn seen(answer: &Answer) -> HttpObservation {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = headers.entry(name.as_str().to_owned()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(&value);
    }
    let body = answer.body.as_slice();
    let said = answer.content_type().to_ascii_lowercase().contains("json");
    let looks = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    let json = (said || looks).then(|| serde_json::from_slice(body).ok()).flatten();
    let text = json.is_none().then(|| String::from_utf8_lossy(body).into_owned());
    let utf8 = json.is_some() || std::str::from_utf8(body).is_ok();
    HttpObservation {
        url: answer.url.clone(),
        status: answer.status,
        headers,
        json,
        text,
        utf8,
        seconds: answer.seconds,
    }
}
