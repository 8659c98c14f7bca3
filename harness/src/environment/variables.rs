//! An environment where no file says where the systems are: from the variables that scripts for PostgreSQL and MinIO read,
//! or from places that stand on the command line. It holds references like a file does; nothing is resolved here.

use super::dsn::Dsn;
use super::file::{ConnectionFile, Environment};
use super::role::{STORE, WEBHOOK};
use super::secret::{Reference, SecretReference, optional};
use super::store::{StorePlace, endpoint_of};
use crate::diag::Diag;
use crate::model::Duration;
use crate::redact::{Redactor, is_masked};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use url::Url;

const DATABASE: &str = "postgres";

/// What the parts of a database's address are called; the port may be left out.
const PARTS: [&str; 4] = ["POSTGRES_HOST", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"];

/// What the two halves of a store's login are called, the first that is set counts.
const LOGINS: [[&str; 2]; 2] =
    [["MINIO_ACCESS_KEY", "MINIO_ROOT_USER"], ["MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD"]];

/// The same where a bucket is named that need not be of MinIO.
const OTHERS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Where a failed backup is told.
const HOOK: &str = "BACKUP_WEBHOOK_URL";

/// Beside a text where a database is expected: what is meant is in this variable.
const VARIABLE: &str = "env:";

type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Environment {
    /// From the variables `DATABASE_URL` or `POSTGRES_*`, `MINIO_*`, and `BACKUP_WEBHOOK_URL`, for these roles: `postgres`,
    /// `store`, `webhook`. The last is left out where nothing is set.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be read.
    pub fn of_variables(roles: &[&str]) -> Result<Self, Vec<Diag>> {
        of_variables(&optional, roles)
    }

    /// A store and a database by their places: `s3://bucket/prefix` or a folder; a URL, or `env:NAME` for the variable that
    /// holds one. A bucket's login comes from `MINIO_*` or `AWS_*`, and so does its endpoint where none is given.
    ///
    /// # Errors
    /// Places that cannot be read, and every variable that is missing. No URL is shown: it may hold a login.
    pub fn of_places(store: &str, endpoint: Option<&str>, database: &str) -> Result<Self, Vec<Diag>> {
        of_places(&optional, (store, endpoint), database)
    }

    /// Connections by name and place, which is read as the role of that name reads it: a URL, `env:NAME` for the variable
    /// that holds one, a bucket with its endpoint, or a folder.
    ///
    /// # Errors
    /// A place that cannot be read, and every variable that is missing. It is not shown: it may hold a login.
    pub fn of_urls(places: &[(&str, &str)], endpoint: Option<&str>) -> Result<Self, Vec<Diag>> {
        of_urls(&optional, places, endpoint)
    }

    /// The connections of a run that had no environment file, from how it has written them down. What was masked there is
    /// left out, but for the login of a bucket, which comes from the same variables.
    pub fn of_run(written: &BTreeMap<String, Value>) -> Self {
        of_run(&optional, written)
    }
}

/// How many of the newest backups stay (`BACKUP_KEEP`), and how long each does (`BACKUP_RETENTION_DAYS`, or
/// `RETENTION_DAYS`), where that is set.
///
/// # Errors
/// Each that is no number from 1 on.
pub fn retention() -> Result<(Option<usize>, Option<Duration>), Vec<Diag>> {
    retention_of(&optional)
}

fn retention_of(get: Get<'_>) -> Result<(Option<usize>, Option<Duration>), Vec<Diag>> {
    let mut wrong = vec![];
    let mut number = |name: &'static str| {
        let read = set(get, name)?.parse::<u32>().ok().filter(|number| *number > 0);
        if read.is_none() {
            wrong.push(bad(name, "is no number from 1 on", &format!("set it like this: `export {name}=30`")));
        }
        read
    };
    let keep = number("BACKUP_KEEP");
    let days = ["BACKUP_RETENTION_DAYS", "RETENTION_DAYS"].into_iter().find(|name| set(get, name).is_some());
    let days = days.and_then(&mut number);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((
        keep.and_then(|keep| usize::try_from(keep).ok()),
        days.map(|days| Duration::secs(u64::from(days) * 24 * 3600)),
    ))
}

/// Does the text that names a database hold its password, which everyone sees who can list processes?
pub fn tells_password(database: &str) -> bool {
    Dsn::parse(database, &Redactor::default()).is_ok_and(|dsn| dsn.password.is_some())
}

fn set(get: Get<'_>, name: &str) -> Option<String> {
    get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn missing(what: &str, help: &str) -> Diag {
    Diag::new("missing-variable", format!("{what}, and no environment file was given")).help(help.to_owned())
}

fn unset(name: &str, other: Option<&str>) -> Diag {
    let or = other.map(|other| format!(" (nor {other})")).unwrap_or_default();
    let what = format!("the environment variable {name} is not set{or}");
    missing(&what, &format!("set it, e.g. `export {name}=…`, or give `--env FILE`"))
}

fn bad(name: &str, why: &str, help: &str) -> Diag {
    Diag::new("bad-variable", format!("the environment variable {name} {why}")).help(help.to_owned())
}

fn of_variables(get: Get<'_>, roles: &[&str]) -> Result<Environment, Vec<Diag>> {
    let (mut out, mut wrong) = (Environment::default(), vec![]);
    for role in roles {
        let connection = match *role {
            WEBHOOK if set(get, HOOK).is_none() => continue,
            WEBHOOK => Ok(at(Reference::Env(HOOK.into()))),
            STORE => store(get),
            _ => database(get),
        };
        match connection {
            Ok(connection) => drop(out.connections.insert((*role).to_owned(), connection)),
            Err(mistakes) => wrong.extend(mistakes),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

fn database(get: Get<'_>) -> Result<ConnectionFile, Vec<Diag>> {
    if set(get, "DATABASE_URL").is_none() {
        let lacking: Vec<&str> = PARTS.into_iter().filter(|name| set(get, name).is_none()).collect();
        if lacking.len() == PARTS.len() {
            let what = "neither the environment variable DATABASE_URL nor POSTGRES_HOST is set";
            let help = "set DATABASE_URL=postgresql://…, or POSTGRES_HOST, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB; or give `--env FILE`";
            return Err(vec![missing(what, help)]);
        }
        if !lacking.is_empty() {
            return Err(lacking.into_iter().map(|name| unset(name, Some("DATABASE_URL"))).collect());
        }
    }
    // Where this one is not set its parts are read when it is resolved.
    Ok(at(Reference::Env("DATABASE_URL".into())))
}

fn at(url: Reference) -> ConnectionFile {
    ConnectionFile { url: Some(url), ..ConnectionFile::default() }
}

fn store(get: Get<'_>) -> Result<ConnectionFile, Vec<Diag>> {
    let mut wrong = vec![];
    let mut connection = ConnectionFile::default();
    match set(get, "MINIO_BUCKET") {
        None => wrong.push(unset("MINIO_BUCKET", None)),
        Some(bucket) => {
            let url = format!("s3://{}", bucket.trim_matches('/'));
            if let Err(why) = StorePlace::of(&url) {
                wrong.push(bad("MINIO_BUCKET", why, "set it to the bucket's name alone"));
            }
            connection.url = Some(Reference::Text(format!("{}/", url.trim_end_matches('/'))));
        }
    }
    match endpoint(get) {
        Ok(Some(endpoint)) => connection.endpoint = Some(Reference::Text(endpoint)),
        Ok(None) => wrong.push(unset("MINIO_ENDPOINT", None)),
        Err(diag) => wrong.push(diag),
    }
    wrong.extend(login(get, &mut connection, false));
    if wrong.is_empty() { Ok(connection) } else { Err(wrong) }
}

/// `MINIO_ENDPOINT` with a scheme. Without one `MINIO_SECURE` says which.
fn endpoint(get: Get<'_>) -> Result<Option<String>, Diag> {
    let Some(written) = set(get, "MINIO_ENDPOINT") else { return Ok(None) };
    let whole = if written.contains("://") {
        written
    } else {
        let scheme = match set(get, "MINIO_SECURE").map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0" | "no" | "off") => "http",
            Some("true" | "1" | "yes" | "on") => "https",
            Some(_) => {
                let help = "set it to `true` for TLS, or to `false`";
                return Err(bad("MINIO_SECURE", "is neither true nor false", help));
            }
        };
        format!("{scheme}://{written}")
    };
    let help = "set it to where the server listens: `minio:9000`, `https://minio.example.org`";
    endpoint_of(&whole).map(Some).map_err(|why| bad("MINIO_ENDPOINT", why, help))
}

/// The login of a bucket.
fn login(get: Get<'_>, connection: &mut ConnectionFile, others: bool) -> Vec<Diag> {
    let named = LOGINS.as_flattened().iter().any(|name| set(get, name).is_some());
    let mut wrong = vec![];
    for (half, other) in LOGINS.into_iter().zip(OTHERS) {
        let names = if others && !named { vec![other] } else { half.to_vec() };
        let Some(name) = names.iter().find(|name| set(get, name).is_some()) else {
            let or = if others && !named { half[0] } else { half[1] };
            wrong.push(unset(names[0], Some(or)));
            continue;
        };
        let reference = SecretReference(Reference::Env((*name).to_owned()));
        let key = if half == LOGINS[0] { &mut connection.access_key } else { &mut connection.secret_key };
        *key = Some(reference);
    }
    wrong
}

fn of_places(
    get: Get<'_>,
    (place, endpoint): (&str, Option<&str>),
    into: &str,
) -> Result<Environment, Vec<Diag>> {
    let (mut out, mut wrong) = (Environment::default(), vec![]);
    match place_of(get, place, endpoint) {
        Ok(store) => drop(out.connections.insert(STORE.into(), store)),
        Err(mistakes) => wrong.extend(mistakes),
    }
    match database_of(into, "--into") {
        Ok(server) => drop(out.connections.insert(DATABASE.into(), server)),
        Err(diag) => wrong.push(diag),
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// The variable that `env:NAME` names; `None` where the text is no such reference.
fn named(text: &str, flag: &str) -> Option<Result<ConnectionFile, Diag>> {
    let name = text.strip_prefix(VARIABLE)?;
    Some(if name.is_empty() || name.contains('=') {
        let diag = Diag::new("bad-place", "`env:` is not followed by the name of an environment variable");
        Err(diag.help(format!("write it like this: `{flag} env:DATABASE_URL`")))
    } else {
        Ok(at(Reference::Env(name.into())))
    })
}

fn database_of(text: &str, flag: &str) -> Result<ConnectionFile, Diag> {
    if let Some(named) = named(text, flag) {
        return named;
    }
    let read = Some(text).filter(|text| Dsn::is_one(text)).map(|text| Dsn::parse(text, &Redactor::default()));
    if let Some(Ok(_)) = read {
        return Ok(at(Reference::Text(text.into())));
    }
    let why = read.and_then(Result::err).map_or_else(String::new, |why| format!(": {why}"));
    let diag = Diag::new("bad-place", format!("what `{flag}` names is no PostgreSQL database{why}"));
    Err(diag.help("write `env:DATABASE_URL`, `postgresql://user@host:5432/database`, or `host=… dbname=…`"))
}

fn of_urls(get: Get<'_>, places: &[(&str, &str)], endpoint: Option<&str>) -> Result<Environment, Vec<Diag>> {
    let mut out = Environment::default();
    for (name, url) in places {
        let connection = match *name {
            STORE => place_of(get, url, endpoint)?,
            _ if endpoint.is_some() => {
                let diag = Diag::new("bad-place", "`--endpoint` is for a bucket, and no bucket is read here");
                return Err(vec![diag.help("leave it out")]);
            }
            DATABASE => database_of(url, "--url").map_err(|diag| vec![diag])?,
            _ => named(url, "--url")
                .unwrap_or_else(|| Ok(at(Reference::Text((*url).into()))))
                .map_err(|diag| vec![diag])?,
        };
        out.connections.insert((*name).to_owned(), connection);
    }
    Ok(out)
}

fn place_of(get: Get<'_>, place: &str, given: Option<&str>) -> Result<ConnectionFile, Vec<Diag>> {
    let help = "write `s3://bucket/prefix`, or the path of a folder";
    let one = |message: String, help: &str| Err(vec![Diag::new("bad-place", message).help(help.to_owned())]);
    if !place.starts_with("s3://") {
        if given.is_some() {
            return one("`--endpoint` is for a bucket, and the store is a folder".into(), "leave it out");
        }
        return match folder(place) {
            Ok(url) => Ok(at(Reference::Text(url))),
            Err(why) => one(why, help),
        };
    }
    if let Err(why) = StorePlace::of(place) {
        return one(format!("the store {why}"), help);
    }
    let mut connection = at(Reference::Text(place.to_owned()));
    let mut wrong = vec![];
    let found = match given.map(str::to_owned).or_else(|| {
        let aws = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        set(get, "MINIO_ENDPOINT").is_none().then(|| aws.iter().find_map(|name| set(get, name))).flatten()
    }) {
        Some(text) => endpoint_of(&text).map(Some).map_err(|why| {
            Diag::new("bad-place", format!("the endpoint {why}"))
                .help("write where the server listens, whole: `--endpoint http://minio:9000`")
        }),
        None => endpoint(get),
    };
    match found {
        Ok(found) => connection.endpoint = found.map(Reference::Text),
        Err(diag) => wrong.push(diag),
    }
    connection.region =
        ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| set(get, name)).map(Reference::Text);
    if wrong.is_empty() && connection.endpoint.is_none() && connection.region.is_none() {
        let message = "nothing says where the bucket's server is".to_owned();
        wrong.push(Diag::new("missing-variable", message).help(
            "add `--endpoint http://minio:9000`, or set MINIO_ENDPOINT or AWS_ENDPOINT_URL; for Amazon's own S3 AWS_REGION is enough",
        ));
    }
    wrong.extend(login(get, &mut connection, true));
    if wrong.is_empty() { Ok(connection) } else { Err(wrong) }
}

/// The URL of a folder that is there.
fn folder(place: &str) -> Result<String, String> {
    if place.contains("://") {
        return match StorePlace::of(place) {
            Ok(StorePlace::Folder(path)) if path.is_dir() => Ok(place.to_owned()),
            Ok(_) => Err("the store is a folder that is not there".into()),
            Err(why) => Err(format!("the store {why}")),
        };
    }
    let url = std::path::absolute(Path::new(place)).ok().filter(|path| path.is_dir());
    let url = url.ok_or_else(|| format!("the store `{place}` is no folder that is there"))?;
    let url = Url::from_file_path(url).map_err(|()| format!("the folder `{place}` has no path"))?;
    match StorePlace::of(url.as_str()) {
        Ok(_) => Ok(url.into()),
        Err(why) => Err(format!("the store {why}")),
    }
}

fn of_run(get: Get<'_>, written: &BTreeMap<String, Value>) -> Environment {
    let mut out = Environment::default();
    for (name, value) in written.iter().filter(|(_, value)| !value.get("url").is_none_or(is_masked)) {
        let open = value.as_object().into_iter().flatten().filter(|(_, value)| !is_masked(value));
        let open: Value = open.map(|(key, value)| (key.clone(), value.clone())).collect();
        let Ok(mut connection) = ConnectionFile::deserialize(&open) else { continue };
        let bucket = matches!(&connection.url, Some(Reference::Text(url)) if url.starts_with("s3://"));
        if bucket && !login(get, &mut connection, true).is_empty() {
            continue;
        }
        out.connections.insert(name.clone(), connection);
    }
    out
}

#[cfg(test)]
mod tests;
