//! What an operation tells whoever watches a log: one JSON object per line, in a file of its own and, if asked, behind what
//! others wrote into a shared one. Each line is one write, so that lines of two processes do not mix. The names are those
//! that dashboards of such logs ask for.

use jiff::tz::TimeZone;
use proofmark_model::ErrorCode;
use proofmark_model::clock::Clock;
use proofmark_model::redact::Redactor;
use proofmark_net::ClientError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EventsTo {
    /// A folder in which each operation has a file of its own: `SERVICE_YYYYMMDD_HHMMSS_pidPID.jsonl`.
    pub folder: String,
    /// A file that takes the events of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// The events of one operation. Without a place for them they are not written.
pub struct Events<'a> {
    service: &'static str,
    files: Vec<File>,
    clock: &'a Clock,
    redactor: &'a Redactor,
}

impl<'a> Events<'a> {
    /// Opens the files; `service` is `backup` or `dr_smoke`.
    ///
    /// # Errors
    /// When a file cannot be written to: nothing should begin then that nobody would hear of.
    pub fn open(
        to: Option<&EventsTo>,
        service: &'static str,
        (clock, redactor): (&'a Clock, &'a Redactor),
    ) -> Result<Self, ClientError> {
        let mut files = vec![];
        if let Some(to) = to {
            let at = clock.now().to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
            let own = Path::new(&to.folder).join(format!("{service}_{at}_pid{}.jsonl", std::process::id()));
            for path in [Some(own.as_path()), to.log.as_deref().map(Path::new)].into_iter().flatten() {
                files.push(opened(path)?);
            }
        }
        Ok(Self { service, files, clock, redactor })
    }

    /// Writes one. That it cannot be written any more keeps nothing from being done.
    pub fn tell(&self, event: &str, level: &str, fields: &[(&str, Value)]) {
        if self.files.is_empty() {
            return;
        }
        let at = self.clock.now();
        let unix = at.as_millisecond() / 1000;
        let mut line: Map<String, Value> = Map::new();
        line.insert("ts".into(), json!(at.to_string()));
        line.insert("ts_unix".into(), json!(unix));
        line.insert("level".into(), json!(level));
        line.insert("service".into(), json!(self.service));
        line.insert("event".into(), json!(event));
        line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let Ok(clean) = self.redactor.clean(&Value::Object(line), &[]) else { return };
        let text = format!("{}\n", clean.get());
        for file in &self.files {
            (&*file).write_all(text.as_bytes()).ok();
        }
    }
}

fn opened(path: &Path) -> Result<File, ClientError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all);
    let file = made.and_then(|()| OpenOptions::new().create(true).append(true).open(path));
    file.map_err(|error| {
        let message = format!("expected to append events to {}, but: {error}", path.display());
        ClientError::new(ErrorCode::of_io(error.kind(), ErrorCode::FileUnwritable), message)
    })
}
