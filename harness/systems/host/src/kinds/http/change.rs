//! `http` as an act: sends a request that changes something, once, and its `undo` when the change is put back. Whether the
//! world is back is known from the answer to that: its status, and for DELETE also that there was nothing left to remove.

use super::{Seen, Statuses, Tls, nothing_allowed, seen};
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError, target};
use proofmark_evidence::undo::{Leave, Owed, Promises};
use proofmark_model::Permission;
use proofmark_model::{ErrorCode, Finding, SettingMistake};
use proofmark_net::http::{Answer, Call, Changing, MAX_BYTES, change};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sends a request that changes something to an absolute URL, or to a path below the connection that `via` names. It is
/// sent once. A redirect is followed only where it stays the same request to the same server (307, 308); any other is
/// the answer.
///
/// With `undo` the change is promised to be put back: that request is sent at the end of the step, whatever happens, and
/// again if it is not known to have arrived. It has to be known before the change is made, so let the thing that you make
/// have a name of your own, such as `{{ run.id }}`. Without `undo` the change is final.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpChange {
    /// `POST`, `PUT`, `PATCH`, `DELETE`, or another one in capitals; what only reads is a check.
    pub method: String,
    /// Where to: an absolute URL, or a path that begins with `/`.
    pub url: String,
    /// Headers to send; they win over those of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Text to send. What it is belongs into the header `content-type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// TLS settings in place of the connection's, also for `undo`. A client certificate belongs into a connection, for it
    /// is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The status there should be: a number or a list of numbers. Any 2xx if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
    /// The largest answer, in bytes after decompression; 134217728 (128 MiB) if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The request that puts the change back. It may be sent more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Back>,
}

/// The request that puts a change back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Back {
    /// As above.
    pub method: String,
    /// As above; where the change itself went if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers to send; those of the change itself are not sent again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Text to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The status that says that it is back: a number or a list of numbers. If it is not said any 2xx; for `DELETE` also
    /// 404 and 410, for then it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
}

/// One request, as it is written down where it puts a change back. The connection's login is no part of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    tls: Option<Tls>,
    status: Option<Statuses>,
}

/// What was answered to the request that puts it back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reverted {
    /// HTTP status; `null` when no answer is known.
    status: Option<u16>,
}

impl Kind for HttpChange {
    const NAME: &'static str = "http";
    const EXAMPLE: &'static str =
        "http: { method: PUT, url: https://example.org/flags/drill, body: 'on', undo: { method: DELETE } }";
    const JUDGES: &'static str = "The status is 2xx, unless `status` says otherwise. With `undo`, that the request which puts it back was answered with the status that its `status` says, or 2xx; for `DELETE` also 404 or 410.";
    const RULES: u32 = 1;
    // As of the check: an absolute URL needs no connection; a path takes the one that `via` names.
    const ROLES: &'static [&'static str] = &[];
    type Seen = Seen;

    fn judge(&self, seen: &Seen, _at: Timestamp) -> Vec<Finding> {
        let (expected, ok) = Statuses::holds(self.status.as_ref(), seen.status);
        let help = match seen.status {
            300..=399 => {
                "a redirect is not followed where another request would come of it; write the URL that it leads to"
            }
            401 | 403 => "the login is missing, wrong, or not allowed to do this",
            404 => "is the path right, with the server's path prefix if there is one?",
            _ => "`status` says which other statuses are right",
        };
        vec![Finding::judged("HTTP status", expected, seen.status, ok).with_help(help)]
    }

    fn via_mistake(&self, named: bool) -> Option<SettingMistake> {
        let targets = [Some(&self.url), self.undo.as_ref().and_then(|undo| undo.url.as_ref())];
        targets.into_iter().flatten().find_map(|target| target::via_mistake(target, named))
    }

    fn mistake(&self) -> Option<SettingMistake> {
        let back = self.undo.as_ref();
        let undo = back
            .and_then(|undo| changing(&undo.method).err())
            .map(|of| SettingMistake { message: format!("the request of `undo`: {}", of.message), ..of });
        let targets = [Some(&self.url), back.and_then(|undo| undo.url.as_ref())];
        changing(&self.method)
            .err()
            .or(undo)
            .or_else(|| targets.into_iter().flatten().find_map(|target| target::login_mistake(target)))
            .or_else(|| nothing_allowed(self.max_bytes))
    }
}

impl Act for HttpChange {
    type Done = Seen;
    type Undo = Request;
    type Reverted = Reverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change]
    }

    fn promises(&self) -> bool {
        self.undo.is_some()
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Request>) -> Result<Seen, StepError> {
        if let Some(mistake) = self.mistake() {
            return Err(mistake.into());
        }
        let (request, most) = (self.request(), self.max_bytes.unwrap_or(MAX_BYTES));
        // What cannot be sent is known before anything is promised.
        target::wire(cx, Self::NAME, &self.url)?;
        let answer = match self.back() {
            Some(undo) => request.send(cx, most, &promises.promise(&undo)?).await?,
            None => request.send(cx, most, &promises.declare_final()).await?,
        };
        Ok(seen(&answer))
    }

    async fn observe(&self, done: &Seen, _cx: &Cx, _memory: &mut ()) -> Result<Seen, StepError> {
        Ok(done.clone())
    }

    async fn revert(owed: &Request, cx: &Cx, by: &Owed, _memory: &mut ()) -> Result<(), StepError> {
        let answer = owed.send(cx, MAX_BYTES, by).await?;
        let (expected, ok) = owed.holds(answer.status);
        if ok {
            return Ok(());
        }
        let message = format!(
            "expected status {expected} from {} to the request that puts it back, but it is {}: {}",
            answer.url,
            answer.status,
            answer.excerpt()
        );
        // A conflict or a lock may be gone soon; what is wrong with the request itself stays wrong.
        let passing = matches!(answer.status, 408 | 409 | 423 | 425 | 429 | 500..);
        let error = StepError::new(ErrorCode::of_status(answer.status), message);
        Err(StepError { transient: passing, ..error })
    }

    async fn observe_reverted(_owed: &Request, cx: &Cx, _memory: &mut ()) -> Result<Reverted, StepError> {
        Ok(Reverted { status: cx.log.last_status().and_then(|status| u16::try_from(status).ok()) })
    }

    fn judge_reverted(owed: &Request, seen: &Reverted, _at: Timestamp) -> Vec<Finding> {
        let (expected, ok) = seen.status.map_or_else(|| owed.holds(0), |status| owed.holds(status));
        vec![Finding::judged("the request that puts it back was answered well", expected, seen.status, ok)]
    }
}

impl HttpChange {
    fn request(&self) -> Request {
        let Self { method, url, headers, body, tls, status, .. } = self.clone();
        Request { method, url, headers, body, tls, status }
    }

    fn back(&self) -> Option<Request> {
        let Back { method, url, headers, body, status } = self.undo.clone()?;
        let url = url.unwrap_or_else(|| self.url.clone());
        Some(Request { method, url, headers, body, tls: self.tls.clone(), status })
    }
}

impl Request {
    async fn send(&self, cx: &Cx, max_bytes: u64, leave: &impl Leave) -> Result<Answer, StepError> {
        let method = changing(&self.method)?;
        let wire = target::wire(cx, HttpChange::NAME, &self.url)?;
        let (headers, body) = (self.headers.clone(), self.body.clone());
        let tls = self.tls.as_ref().map(Tls::of_connection);
        let call = Call { headers, body, tls, max_bytes, ..Call::change(method, &self.url) };
        Ok(change(wire, &call, leave).await?)
    }

    /// The statuses that say that it is back, in words, and whether this one does.
    fn holds(&self, status: u16) -> (String, bool) {
        let (expected, ok) = Statuses::holds(self.status.as_ref(), status);
        let removes = changing(&self.method).is_ok_and(|method| method.removes());
        if removes && self.status.is_none() {
            return (format!("{expected}, 404 or 410"), ok || matches!(status, 404 | 410));
        }
        (expected, ok)
    }
}

/// A method for an act.
fn changing(name: &str) -> Result<Changing, SettingMistake> {
    Changing::named(name).ok_or_else(|| match name.to_ascii_uppercase().as_str() {
        reads @ ("GET" | "HEAD" | "OPTIONS") => {
            SettingMistake::new(format!("`{reads}` only reads and changes nothing"))
                .help("for what reads there is a check of this name, below `check:`")
        }
        _ => SettingMistake::new(format!("`{name}` is no method for an act"))
            .help("write one in capitals: POST, PUT, PATCH, DELETE"),
    })
}
