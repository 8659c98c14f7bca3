//! Configures a store without an environment file: from the variables that scripts for MinIO and S3 use, or from a
//! place on the command line.

use super::place::{StorePlace, endpoint_of};
use proofmark_environment::{
    ConnectionFile, GivenPlace, Reference, SecretReference, Variables, bad_variable, unset_variable,
};
use proofmark_model::diag::Diag;
use std::path::Path;
use url::Url;

/// The variables of the two halves of a store's login. The first pair that is set counts.
const LOGINS: [[&str; 2]; 2] =
    [["MINIO_ACCESS_KEY", "MINIO_ROOT_USER"], ["MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD"]];

/// The variables for a bucket that need not be on MinIO.
const OTHERS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Reads the login of a bucket from variables, whose values are masked in evidence. Returns whether a login was found.
pub(super) fn restore_login(variables: Variables<'_>, connection: &mut ConnectionFile) -> bool {
    let bucket = matches!(&connection.url, Some(Reference::Text(url)) if url.starts_with("s3://"));
    !bucket || login(variables, connection, true).is_empty()
}

/// Reads a store from `MINIO_BUCKET`, `MINIO_ENDPOINT` and a login.
pub(super) fn from_variables(variables: Variables<'_>) -> Result<Option<ConnectionFile>, Vec<Diag>> {
    let mut wrong = vec![];
    let mut connection = ConnectionFile::default();
    match variables.set("MINIO_BUCKET") {
        None => wrong.push(unset_variable("MINIO_BUCKET", None)),
        Some(bucket) => {
            let url = format!("s3://{}", bucket.trim_matches('/'));
            if let Err(why) = StorePlace::of(&url) {
                wrong.push(bad_variable("MINIO_BUCKET", why, "set it to the bucket's name alone"));
            }
            connection.url = Some(Reference::Text(format!("{}/", url.trim_end_matches('/'))));
        }
    }
    match endpoint(variables) {
        Ok(Some(endpoint)) => connection.endpoint = Some(Reference::Text(endpoint)),
        Ok(None) => wrong.push(unset_variable("MINIO_ENDPOINT", None)),
        Err(diag) => wrong.push(diag),
    }
    wrong.extend(login(variables, &mut connection, false));
    if wrong.is_empty() { Ok(Some(connection)) } else { Err(wrong) }
}

/// Returns `MINIO_ENDPOINT` with a scheme. If it has none, `MINIO_SECURE` decides.
fn endpoint(variables: Variables<'_>) -> Result<Option<String>, Diag> {
    let Some(written) = variables.set("MINIO_ENDPOINT") else { return Ok(None) };
    let whole = if written.contains("://") {
        written
    } else {
        let scheme = match variables.set("MINIO_SECURE").map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0" | "no" | "off") => "http",
            Some("true" | "1" | "yes" | "on") => "https",
            Some(_) => {
                let help = "set it to `true` for TLS, or to `false`";
                return Err(bad_variable("MINIO_SECURE", "is neither true nor false", help));
            }
        };
        format!("{scheme}://{written}")
    };
    let help = "set it to where the server listens: `minio:9000`, `https://minio.example.org`";
    endpoint_of(&whole).map(Some).map_err(|why| bad_variable("MINIO_ENDPOINT", why, help))
}

/// Reads the login of a bucket.
fn login(variables: Variables<'_>, connection: &mut ConnectionFile, others: bool) -> Vec<Diag> {
    let named = LOGINS.as_flattened().iter().any(|name| variables.set(name).is_some());
    let mut wrong = vec![];
    for (half, other) in LOGINS.into_iter().zip(OTHERS) {
        let names = if others && !named { vec![other] } else { half.to_vec() };
        let Some(name) = names.iter().find(|name| variables.set(name).is_some()) else {
            let or = if others && !named { half[0] } else { half[1] };
            wrong.push(unset_variable(names[0], Some(or)));
            continue;
        };
        let reference = SecretReference(Reference::env(*name));
        let key = if half == LOGINS[0] { &mut connection.access_key } else { &mut connection.secret_key };
        *key = Some(reference);
    }
    wrong
}

/// Reads a store from `s3://bucket/prefix` or the path of a folder. A bucket's login comes from `MINIO_*` or `AWS_*`,
/// and so does its endpoint if none is given.
pub(super) fn from_place(
    variables: Variables<'_>,
    given: &GivenPlace<'_>,
) -> Result<ConnectionFile, Vec<Diag>> {
    let place = given.text;
    let help = "write `s3://bucket/prefix`, or the path of a folder";
    let one = |message: String, help: &str| Err(vec![Diag::new("bad-place", message).help(help.to_owned())]);
    if !place.starts_with("s3://") {
        if given.endpoint.is_some() {
            return one("`--endpoint` is for a bucket, and the store is a folder".into(), "leave it out");
        }
        return match folder(place) {
            Ok(url) => Ok(ConnectionFile::at(Reference::Text(url))),
            Err(why) => one(why, help),
        };
    }
    if let Err(why) = StorePlace::of(place) {
        return one(format!("the store {why}"), help);
    }
    let mut connection = ConnectionFile::at(Reference::Text(place.to_owned()));
    let mut wrong = vec![];
    let found = match given.endpoint.map(str::to_owned).or_else(|| {
        let aws = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        variables
            .set("MINIO_ENDPOINT")
            .is_none()
            .then(|| aws.iter().find_map(|name| variables.set(name)))
            .flatten()
    }) {
        Some(text) => endpoint_of(&text).map(Some).map_err(|why| {
            Diag::new("bad-place", format!("the endpoint {why}"))
                .help("write where the server listens, whole: `--endpoint http://minio:9000`")
        }),
        None => endpoint(variables),
    };
    match found {
        Ok(found) => connection.endpoint = found.map(Reference::Text),
        Err(diag) => wrong.push(diag),
    }
    connection.region =
        ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| variables.set(name)).map(Reference::Text);
    if wrong.is_empty() && connection.endpoint.is_none() && connection.region.is_none() {
        let message = "nothing says where the bucket's server is".to_owned();
        wrong.push(Diag::new("missing-variable", message).help(
            "add `--endpoint http://minio:9000`, or set MINIO_ENDPOINT or AWS_ENDPOINT_URL; for Amazon's own S3 AWS_REGION is enough",
        ));
    }
    wrong.extend(login(variables, &mut connection, true));
    if wrong.is_empty() { Ok(connection) } else { Err(wrong) }
}

/// Returns the URL of a folder that exists.
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
