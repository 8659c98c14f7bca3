//! `http` as an act: sends a request that changes something, once, and its `undo` request when the change is reverted.
//! The answer to the latter shows whether the change is reverted: its status, which for DELETE may also say that there
//! was nothing left to remove.

use super::{HttpObservation, Statuses, Tls, nothing_allowed, seen};
use jiff::Timestamp;
use proofmark_engine::{Act, Cx, Kind, StepError, target};
use proofmark_evidence::undo::{ChangePermit, Promises, RevertPermit};
use proofmark_model::Permission;
use proofmark_model::{ErrorCode, Finding, SettingMistake};
use proofmark_net::http::{Answer, Call, Changing, MAX_BYTES, change};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sends a request that changes something to an absolute URL, or to a path below the connection that `via` names. It is
/// sent once. A redirect is followed only if it keeps the request and the server (307, 308); any other redirect is the
/// answer.
///
/// With `undo` the change is promised to be reverted: that request is sent at the end of the step, whatever happens,
/// and again if it is not known to have arrived. The undo request must be known before the change is made, so give what
/// you create a name of your own, such as `{{ run.id }}`. Without `undo` the change is final.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpChange {
    /// The method: `POST`, `PUT`, `PATCH`, `DELETE`, or another one in capitals. Methods that only read belong in a
    /// check.
    pub method: String,
    /// The target: an absolute URL, or a path that begins with `/`.
    pub url: String,
    /// The headers to send. They override those of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The text to send. Its type belongs in the header `content-type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// TLS settings that replace those of the connection, also for `undo`. A client certificate is secret and therefore
    /// belongs in a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The expected status: a number or a list of numbers. Default: any 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
    /// The largest accepted answer, in bytes after decompression. Default: 134217728 (128 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The request that reverts the change. It may be sent more than once. Default: the change is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Back>,
}

/// The request that reverts a change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Back {
    /// The method, in the form of the change's `method`.
    pub method: String,
    /// The target, in the form of the change's `url`. Default: the target of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The headers to send. Those of the change are not sent again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The text to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The status that means that the change is reverted: a number or a list of numbers. Default: any 2xx; for `DELETE`
    /// also 404 and 410, because the target is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
}

/// One request, as it is recorded in order to revert a change. It does not contain the connection's login.
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

/// The answer to the request that reverts the change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpReverted {
    /// The HTTP status; `null` if no answer is known.
    status: Option<u16>,
}

impl Kind for HttpChange {
    const NAME: &'static str = "http";
    const EXAMPLE: &'static str =
        "http: { method: PUT, url: https://example.org/flags/drill, body: 'on', undo: { method: DELETE } }";
    const JUDGES: &'static str = "The status is 2xx, unless `status` says otherwise. With `undo`, that the request which puts it back was answered with the status that its `status` says, or 2xx; for `DELETE` also 404 or 410.";
    const RULES: u32 = 1;
    // As in the check: an absolute URL needs no connection; a path uses the connection that `via` names.
    const ROLES: &'static [&'static str] = &[];
    type Seen = HttpObservation;

    fn judge(&self, seen: &HttpObservation, _at: Timestamp) -> Vec<Finding> {
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
    type Done = HttpObservation;
    type Undo = Request;
    type Reverted = HttpReverted;
    type Memory = ();

    fn needs(&self) -> &'static [Permission] {
        &[Permission::Change]
    }

    fn promises(&self) -> bool {
        self.undo.is_some()
    }

    async fn act(&self, cx: &Cx, promises: &Promises<'_, Request>) -> Result<HttpObservation, StepError> {
        if let Some(mistake) = self.mistake() {
            return Err(mistake.into());
        }
        let (request, most) = (self.request(), self.max_bytes.unwrap_or(MAX_BYTES));
        // A request that cannot be sent fails before anything is promised.
        target::wire(cx, Self::NAME, &self.url)?;
        let answer = match self.back() {
            Some(undo) => request.send(cx, most, &promises.promise(&undo)?).await?,
            None => request.send(cx, most, &promises.declare_final()).await?,
        };
        Ok(seen(&answer))
    }

    async fn observe(
        &self,
        done: &HttpObservation,
        _cx: &Cx,
        _memory: &mut (),
    ) -> Result<HttpObservation, StepError> {
        Ok(done.clone())
    }

    async fn revert(owed: &Request, cx: &Cx, by: &RevertPermit, _memory: &mut ()) -> Result<(), StepError> {
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
        // A conflict or a lock may pass; a mistake in the request itself does not.
        let passing = matches!(answer.status, 408 | 409 | 423 | 425 | 429 | 500..);
        let error = StepError::new(ErrorCode::of_status(answer.status), message);
        Err(StepError { transient: passing, ..error })
    }

    async fn observe_reverted(_owed: &Request, cx: &Cx, _memory: &mut ()) -> Result<HttpReverted, StepError> {
        Ok(HttpReverted { status: cx.log.last_status().and_then(|status| u16::try_from(status).ok()) })
    }

    fn judge_reverted(owed: &Request, seen: &HttpReverted, _at: Timestamp) -> Vec<Finding> {
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
    async fn send(&self, cx: &Cx, max_bytes: u64, leave: &impl ChangePermit) -> Result<Answer, StepError> {
        let method = changing(&self.method)?;
        let wire = target::wire(cx, HttpChange::NAME, &self.url)?;
        let (headers, body) = (self.headers.clone(), self.body.clone());
        let tls = self.tls.as_ref().map(Tls::of_connection);
        let call = Call { headers, body, tls, max_bytes, ..Call::change(method, &self.url) };
        Ok(change(wire, &call, leave).await?)
    }

    /// Returns the statuses that mean that the change is reverted, in words, and whether this one does.
    fn holds(&self, status: u16) -> (String, bool) {
        let (expected, ok) = Statuses::holds(self.status.as_ref(), status);
        let removes = changing(&self.method).is_ok_and(|method| method.removes());
        if removes && self.status.is_none() {
            return (format!("{expected}, 404 or 410"), ok || matches!(status, 404 | 410));
        }
        (expected, ok)
    }
}

/// Parses the method of an act.
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
