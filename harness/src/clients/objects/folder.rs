//! A folder of this machine as a store: every file below it is an object, links followed.

use super::{Listing, Object};
use crate::clients::ClientError;
use crate::clients::files::{self, GivenUp, unread};
use crate::clients::http::Wire;
use crate::model::Exchange;
use jiff::Timestamp;
use std::io;
use std::path::Path;
use walkdir::WalkDir;

/// All files whose path below the folder begins with `prefix`.
pub(super) async fn list(wire: Wire<'_>, folder: &Path, prefix: &str) -> Result<Listing, ClientError> {
    let started = wire.clock.elapsed();
    let shown = files::shown(folder);
    let wanted = prefix.to_owned();
    let walked = files::aside(&shown, move |folder, given_up| walk(folder, &wanted, given_up));
    let walked = tokio::time::timeout(wire.timeout, walked).await;
    let walked = walked.unwrap_or_else(|_| {
        let stage = "the folder was not read to its end".to_owned();
        Err(ClientError::Timeout { at: shown.clone(), after: wire.timeout, stage })
    });
    let seconds = wire.clock.elapsed().saturating_sub(started).as_secs_f64();
    wire.log.push(Exchange { method: "list".into(), target: shown, seconds, ..Exchange::default() });
    Ok(Listing { objects: walked?, hidden_by: None })
}

fn walk(folder: &Path, prefix: &str, given_up: &GivenUp) -> Result<Vec<Object>, ClientError> {
    // A link to nowhere and a file that went meanwhile are errors too: what is not looked at is not left out quietly.
    let mut objects = vec![];
    for entry in WalkDir::new(folder).follow_links(true) {
        given_up.check(folder)?;
        let entry = entry.map_err(|error| {
            let at = error.path().unwrap_or(folder).to_owned();
            unread(
                &at,
                &error.into_io_error().unwrap_or_else(|| io::Error::other("its links go in a circle")),
            )
        })?;
        if entry.depth() == 0 && !entry.file_type().is_dir() {
            return Err(unread(folder, &io::ErrorKind::NotADirectory.into()));
        }
        if !entry.file_type().is_file() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let key =
            below.to_str().ok_or_else(|| unread(entry.path(), &io::Error::other("its name is no UTF-8")))?;
        if !key.starts_with(prefix) {
            continue;
        }
        let found = files::look(entry.path())?;
        let meta = found.meta.ok_or_else(|| unread(entry.path(), &io::ErrorKind::NotFound.into()))?;
        objects.push(Object { key: key.to_owned(), size: meta.size, modified: to_millis(meta.modified) });
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// As exact as a bucket says it.
fn to_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}
