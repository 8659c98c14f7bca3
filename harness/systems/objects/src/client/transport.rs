//! Sends the requests of `object_store` through our own HTTP client, each with a time limit and logged. A refusal is
//! parsed here, where the answer is still complete, and decides whether the request is retried.

use super::bucket::{error_in, is_full, refusal};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use proofmark_model::Exchange;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_net::http::{Answer, Endpoint};
use proofmark_net::{ClientError, Log, error};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use std::future::Pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Timeout;

/// How long one request may take, in addition to the time for its body.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a server may take to complete an upload.
const COMPLETION: Duration = Duration::from_secs(120);

/// A connection that is slower than this counts as dead, in bytes per second.
const SLOWEST: u64 = 128 << 10;

/// How long no bytes may arrive while an object is read.
const IDLE: Duration = Duration::from_secs(30);

/// The largest answer that is not an object, in bytes.
const LARGEST: usize = 4 << 20;

/// The time for all operations on a store.
#[derive(Debug, Clone)]
pub(super) struct Time {
    clock: Clock,
    until: Duration,
    /// The whole time.
    pub(super) whole: Duration,
}

impl Time {
    /// Returns the time that this wire gives, starting now.
    pub(super) fn of(wire: Endpoint<'_>) -> Self {
        let until = wire.clock.elapsed().saturating_add(wire.timeout);
        Self { clock: wire.clock.clone(), until, whole: wire.timeout }
    }

    /// Returns the remaining time.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_sub(self.clock.elapsed())
    }
}

/// The failure of the last request: if the time runs out between two attempts, that is the reason.
#[derive(Debug, Clone, Default)]
pub(super) struct Last(Arc<Mutex<Option<ClientError>>>);

impl Last {
    /// Returns the failure of the last request, if it failed.
    pub(super) fn get(&self) -> Option<ClientError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: Option<ClientError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// Sends requests.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    redactor: Redactor,
    log: Log,
    time: Time,
    last: Last,
}

/// What is known of a request before it is sent.
struct Trip {
    method: Method,
    at: String,
    carries: u64,
    /// Whether it requests the id of a new upload. Sent twice, it begins two uploads, and the id of the first is lost.
    begins: bool,
    /// Whether it completes an upload.
    completes: bool,
    /// Whether it is one part of an upload.
    part: bool,
}

impl Trip {
    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let posts = request.method() == Method::POST;
        Self {
            method: request.method().clone(),
            at: request.uri().to_string(),
            carries: request.body().content_length() as u64,
            begins: posts && query.starts_with("uploads"),
            completes: posts && query.starts_with("uploadId="),
            part: request.method() == Method::PUT && query.contains("partNumber="),
        }
    }

    fn limit(&self) -> Duration {
        let answer = if self.completes { COMPLETION } else { ANSWER };
        answer + Duration::from_secs(self.carries / SLOWEST)
    }
}

impl Transport {
    /// Returns a transport that logs its exchanges where this wire does.
    pub(super) fn new(wire: Endpoint<'_>, client: reqwest::Client, time: Time, last: Last) -> Self {
        let (redactor, log) = (wire.systems.redactor.clone(), wire.log.clone());
        Self { client, redactor, log, time, last }
    }

    async fn carry(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let trip = Trip::of(&request);
        if trip.completes {
            // `object_store` has no option for this header. It need not be signed, and a server that does not know it
            // ignores it.
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let limit = trip.limit().min(self.time.left());
        let mut taken = Taken::of(&trip, self);
        let silent = |stage: &str| {
            let (at, stage) = (trip.at.clone(), stage.to_owned());
            Err(self.lost(&trip, ClientError::Timeout { at, after: limit, stage }))
        };
        let response = match tokio::time::timeout(limit, self.client.call(request)).await {
            Err(_) => return silent("there was none"),
            Ok(Err(error)) => return Err(self.lost(&trip, of_http(&error, &trip, limit))),
            Ok(Ok(response)) => response,
        };
        let (parts, body) = response.into_parts();
        taken.answered(parts.status.as_u16(), &parts.headers);
        if trip.method == Method::GET && parts.status.is_success() {
            self.last.set(None);
            let (inner, last) = (body, self.last.clone());
            let body = Arriving { inner, taken, at: trip.at, last, idle: None };
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
        }
        let body = match tokio::time::timeout(limit, whole(body, &trip, &mut taken)).await {
            Err(_) => return silent("it did not come to its end"),
            Ok(Err(error)) => return Err(self.lost(&trip, error)),
            Ok(Ok(body)) => body,
        };
        let (url, status, headers) = (trip.at.clone(), parts.status.as_u16(), parts.headers.clone());
        let (body, seconds, redactor) = (Arc::new(body), 0.0, self.redactor.clone());
        let answer = Answer { url, status, headers, body, seconds, redactor };
        let refused = match answer.is_success() {
            false => Some(refusal(&answer)),
            // CompleteMultipartUpload may answer 200 and report the failure in the body.
            true if trip.completes => error_in(&answer),
            true => None,
        };
        self.last.set(refused.clone());
        match refused {
            Some(error) => Err(said(error)),
            None => Ok(HttpResponse::from_parts(parts, answer.body.to_vec().into())),
        }
    }

    /// Handles a missing answer: it is unknown whether the request reached the server.
    fn lost(&self, trip: &Trip, error: ClientError) -> HttpError {
        self.last.set(Some(error.clone()));
        let never_left = matches!(error, ClientError::Unreachable { .. });
        kind_of(error.is_transient() && (never_left || !trip.begins), error)
    }
}

/// Handles a refusal. A full store stays full for the next seconds, so that is not retried; a conflict of concurrent
/// writers is, because one of them wins.
fn said(error: ClientError) -> HttpError {
    let again = match &error {
        ClientError::Api { kind, message, .. } if is_full(kind, message) => false,
        ClientError::Api { status: 501, .. } | ClientError::Status { status: 501, .. } => false,
        ClientError::Api { status: 408 | 409, .. } => true,
        // Only the completion of an upload can be refused with status 200.
        ClientError::Api { status: 200, kind, .. } => {
            matches!(kind.as_str(), "InternalError" | "SlowDown" | "ServiceUnavailable")
        }
        other => other.is_transient(),
    };
    kind_of(again, error)
}

/// Chooses an error kind that makes `object_store` retry or give up: it retries requests that were not sent, and never
/// answers that it could not decode.
fn kind_of(again: bool, error: ClientError) -> HttpError {
    HttpError::new(if again { HttpErrorKind::Request } else { HttpErrorKind::Decode }, error)
}

fn of_http(error: &HttpError, trip: &Trip, limit: Duration) -> ClientError {
    let at = trip.at.clone();
    let read = match error::cause::<reqwest::Error>(error) {
        Some(cause) => ClientError::of_transport(cause, &at, 0, limit),
        None => ClientError::CutOff { at, bytes: 0, why: error::deepest(error) },
    };
    match read {
        ClientError::CutOff { at, bytes, why } if trip.carries > 0 => {
            let carries = trip.carries;
            let why = format!(
                "{why}, while {carries} bytes were sent to it (a server that has no room left may do so: is the store full?)"
            );
            ClientError::CutOff { at, bytes, why }
        }
        other => other,
    }
}

/// Reads an answer that is not an object as a whole.
async fn whole(body: HttpResponseBody, trip: &Trip, taken: &mut Taken) -> Result<Vec<u8>, ClientError> {
    let (mut stream, mut read) = (body.bytes_stream(), vec![]);
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| cut(&trip.at, taken.exchange.bytes, &error))?;
        taken.exchange.bytes += bytes.len() as u64;
        if read.len() + bytes.len() > LARGEST {
            return Err(ClientError::TooLarge { at: trip.at.clone(), limit: LARGEST as u64 });
        }
        read.extend_from_slice(&bytes);
    }
    Ok(read)
}

fn cut(at: &str, bytes: u64, error: &HttpError) -> ClientError {
    ClientError::CutOff { at: at.to_owned(), bytes, why: error::deepest(error) }
}

impl HttpService for Transport {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.carry(request))
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// An exchange that is logged when it ends, however it ends.
struct Taken {
    exchange: Exchange,
    /// The size of a part in bytes; `None` for other requests.
    part: Option<u64>,
    log: Log,
    clock: Clock,
    started: Duration,
}

impl Taken {
    fn of(trip: &Trip, transport: &Transport) -> Self {
        let clock = transport.time.clock.clone();
        let sent = (trip.carries > 0).then(|| format!("({} bytes)", trip.carries));
        let (method, target) = (trip.method.to_string(), trip.at.clone());
        let exchange = Exchange { method, target, sent, ..Exchange::default() };
        let part = trip.part.then_some(trip.carries);
        Self { exchange, part, log: transport.log.clone(), started: clock.elapsed(), clock }
    }

    fn answered(&mut self, status: u16, headers: &HeaderMap) {
        let text = |name: &HeaderName| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        self.exchange.status = Some(i32::from(status));
        (self.exchange.content_type, self.exchange.server_date) = (text(&CONTENT_TYPE), text(&DATE));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.exchange.seconds = self.clock.elapsed().saturating_sub(self.started).as_secs_f64();
        let mut exchange = std::mem::take(&mut self.exchange);
        match self.part.filter(|_| exchange.status.is_some_and(|status| (200..300).contains(&status))) {
            None => self.log.push(exchange),
            Some(carried) => {
                exchange.target = of_all_parts(&exchange.target);
                self.log.sum(exchange, carried);
            }
        }
    }
}

/// Returns the target of a part, without its number.
fn of_all_parts(target: &str) -> String {
    let Some((at, query)) = target.split_once('?') else { return target.to_owned() };
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("partNumber=")).collect();
    format!("{at}?{}", rest.join("&"))
}

/// The body of an object while it is received: counted, and aborted if no more bytes arrive.
struct Arriving {
    inner: HttpResponseBody,
    taken: Taken,
    at: String,
    last: Last,
    idle: Option<Pin<Box<Timeout<Pending<()>>>>>,
}

impl Arriving {
    fn broken(&self, why: String) -> HttpError {
        let error = ClientError::CutOff { at: self.at.clone(), bytes: self.taken.exchange.bytes, why };
        self.last.set(Some(error.clone()));
        kind_of(true, error)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let new = || Box::pin(tokio::time::timeout(IDLE, std::future::pending()));
                return match self.idle.get_or_insert_with(new).as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(_) => {
                        Poll::Ready(Some(Err(self.broken(format!("nothing more came for {IDLE:?}")))))
                    }
                };
            }
        };
        self.idle = None;
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(self.broken(error::deepest(&error)))),
            Some(Ok(frame)) => {
                self.taken.exchange.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                Some(Ok(frame))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
