//! The dump itself: pg_dump of the server's major version at an exported snapshot, on this machine or in the database's
//! container, into every upload, decoded on the way.
//!
//! What runs in a container goes on when the program is dead that asked for it, and holds its locks. So its session has a
//! name of its own, by which it is found and ended.

use super::archive::{self, Decoded, Outcome};
use super::{BackupError, create};
use bytes::Bytes;
use futures_util::stream::poll_fn;
use proofmark_evidence::undo::RevertPermit;
use proofmark_model::{CodedError, ErrorCode};
use proofmark_net::ClientError;
use proofmark_net::command::{Finished, Streamed, Streaming};
use proofmark_net::docker::Container;
use proofmark_net::http::Endpoint;
use proofmark_objects::client::Upload;
use proofmark_postgres::client::programs::{Programs, Tool};
use proofmark_postgres::client::{
    Address, LOOPBACK, Libpq, Snapshot, end_sessions, libpq, libpq_inside, sessions,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A pg_dump in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Inside {
    /// The container.
    pub container: String,
    /// The name that the server shows for its session: no other has it.
    pub session: String,
}

/// What makes the dump.
pub(super) struct Dumper {
    /// pg_dump.
    pub(super) tool: Tool,
    /// Where the pg_restore is that reads what it makes.
    decode: Programs,
    way: Libpq,
    inside: Option<(Inside, Address)>,
}

impl Dumper {
    /// Finds it: in the container, or on this machine where none is named.
    pub(super) async fn find(
        source: Endpoint<'_>,
        snapshot: &mut Snapshot<'_>,
        container: Option<&Container>,
    ) -> Result<Self, BackupError> {
        let (here, major) = (Programs::of_this_machine(), Some(snapshot.source.major));
        let with = (source.clock, source.log);
        let Some(container) = container else {
            let tool = here.find("pg_dump", major, with).await.map_err(|error| {
                let CodedError { code, message, help, .. } = error.into();
                let or = "or name the container that the server runs in, with `container: NAME`";
                CodedError::new(code, message)
                    .help(help.map_or(or.to_owned(), |help| format!("{help}; {or}")))
            })?;
            return Ok(Self { tool, decode: here, way: libpq(source, None)?, inside: None });
        };
        let there = Programs::inside(container.clone());
        let tool = there.find("pg_dump", major, with).await?;
        // One that is older than pg_dump cannot read it.
        let restore = here.find("pg_restore", None, with).await;
        let reads = restore.is_ok_and(|restore| restore.major >= tool.major);
        let address = snapshot.address().await?;
        let random: u64 = rand::random();
        let session = format!("proofmark_dump_{random:016x}");
        Ok(Self {
            tool,
            decode: if reads { here } else { there },
            way: libpq_inside(source, &address, &session)?,
            inside: Some((Inside { container: container.name.clone(), session }, address)),
        })
    }

    /// What may go on when this program is dead.
    pub(super) fn inside(&self) -> Option<Inside> {
        self.inside.as_ref().map(|(inside, _)| inside.clone())
    }

    /// Dumps at the snapshot into every upload, decoding on the way.
    pub(super) async fn dump(
        &self,
        source: Endpoint<'_>,
        snapshot: &str,
        uploads: &mut [(create::Undo, Upload<'_>)],
    ) -> Result<Decoded, BackupError> {
        let words = ["--format=custom", "--compress=1", "--no-password", "--lock-wait-timeout=30s"];
        let words = [format!("--snapshot={snapshot}")].into_iter().chain(words.map(str::to_owned));
        let (argv, env) = self.tool.call(words, &self.way.variables, false);
        let started = Streamed { argv: &argv, env: &env, input: false };
        let mut dump = Streaming::reading(started, (source.clock, source.log))?;
        source.log.begins("dumping");
        let mut dumped = 0;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
        let stream = poll_fn(move |cx| receiver.poll_recv(cx).map(|next| next.map(Ok::<Bytes, ClientError>)));
        let pump = async {
            while let Some(chunk) = dump.stdout.next().await? {
                for (_, upload) in uploads.iter_mut() {
                    upload.write(&chunk).await?;
                }
                dumped += chunk.len() as u64;
                source.log.far(|far| far.bytes = Some((dumped, None)));
                // Who decodes may have seen enough to say no; that is told when it ends.
                sender.send(chunk).await.ok();
            }
            drop(sender);
            let ended = dump.end().await?;
            if ended.exit != Some(0) {
                return Err(self.why(&ended).into());
            }
            Ok(())
        };
        let decode = async {
            let with = (source.clock, source.log);
            archive::decode(stream, &self.decode, with).await.map_err(BackupError::from)
        };
        let ((), decoded) = tokio::try_join!(pump, decode)?;
        match &decoded.outcome {
            Outcome::Sound => Ok(decoded),
            Outcome::Broken { why, .. } | Outcome::Undecided { why } => {
                let message = format!("pg_dump reported success, but what it wrote is not sound: {why}");
                Err(BackupError::new(ErrorCode::BackupUnusable, message))
            }
        }
    }

    /// Why pg_dump gave up. A snapshot is known to the server that exported it and to no other.
    fn why(&self, ended: &Finished) -> CodedError {
        let (told, said) = (ended.failed("pg_dump"), &ended.stderr);
        let Some((Inside { container, .. }, Address { port, database, .. })) = &self.inside else {
            return CodedError::new(ErrorCode::ProgramFailed, told);
        };
        let place = format!("the server at {LOOPBACK}:{port} in the container `{container}`");
        if said.contains("SET TRANSACTION SNAPSHOT") {
            let message = format!(
                "the container `{container}` does not hold the database `{database}` of the connection: {place} does not know the snapshot that was exported there"
            );
            let help = format!("name the container that the server itself runs in ({told})");
            return CodedError::new(ErrorCode::WrongTarget, message).help(help);
        }
        let message = if said.contains(LOOPBACK) {
            format!("{told}; expected the database `{database}` of the connection from {place}")
        } else {
            format!("{told}; it ran in the container `{container}`")
        };
        CodedError::new(ErrorCode::ProgramFailed, message)
    }
}

impl Inside {
    /// Ends it, where it still goes on.
    ///
    /// # Errors
    /// When neither the server nor the engine can be asked, or the server refuses.
    pub async fn end(
        &self,
        source: Endpoint<'_>,
        container: &Container,
        owed: &RevertPermit,
    ) -> Result<(), ClientError> {
        match end_sessions(source, &self.session, owed).await {
            Err(error) if !gone(container, source).await => Err(error),
            _ => Ok(()),
        }
    }

    /// How many sessions it has.
    ///
    /// # Errors
    /// When neither the server nor the engine can be asked.
    pub async fn sessions(&self, source: Endpoint<'_>, container: &Container) -> Result<usize, ClientError> {
        match sessions(source, &self.session).await {
            Err(_) if gone(container, source).await => Ok(0),
            other => other,
        }
    }
}

/// Has the container ended, and with it all that ran in there?
async fn gone(container: &Container, source: Endpoint<'_>) -> bool {
    container.runs((source.clock, source.log)).await.is_ok_and(|runs| !runs)
}
