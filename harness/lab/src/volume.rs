//! A database's volume that is removed: a script that a scenario may run does to a throwaway cluster what `docker compose down
//! --volumes` and `up` do to a container. All data is gone, and a new server has an empty database of the same name.

use super::LabError;
use super::postgres::{Cluster, SUPERUSER, write_private};
use super::process::running_in;
use nix::sys::signal::{Signal, kill};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// How often it is looked whether what was started again has ended.
const LOOKS: usize = 2_000;

/// The server that the script has started, which is no child of ours. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Volume {
    data: PathBuf,
}

impl Volume {
    /// Writes the script `recreate` into the cluster's folder. `filled` is the SQL that makes role and database again.
    pub(super) fn of(cluster: &Cluster, port: u16, filled: &[String]) -> Result<Self, LabError> {
        let (folder, data) = (cluster.folder(), cluster.data());
        let psql = words(&cluster.psql(port, SUPERUSER), false);
        let mut text = format!(
            "# Removes the data of this throwaway cluster, and starts an empty one in its place.\n\
             set -eu\ncd {}\nkill -INT \"$(head -n 1 data/postmaster.pid)\"\n\
             while [ -e data/postmaster.pid ]; do sleep 0.05; done\nrm -rf data\n\
             umask 077\nprintf %s {} > password\n[ \"$(id -u)\" != 0 ] || chown --reference=. password\n\
             {} > /dev/null\nrm password\n\
             setsid nohup {} < /dev/null > /dev/null 2>&1 &\n\
             until {psql} -c 'SELECT 1' > /dev/null 2>&1; do sleep 0.05; done\n",
            quoted(&folder.display().to_string()),
            quoted(cluster.password()),
            words(&cluster.initdb(), false),
            words(&cluster.server(port, &[]), true),
        );
        for sql in filled {
            let _ = writeln!(text, "{psql} -c {}", quoted(sql));
        }
        write_private(&folder.join("recreate"), &text)?;
        // The system knows a process by where it really is.
        let data = data.canonicalize().map_err(LabError::io("looking for the data"))?;
        Ok(Self { data })
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        for look in 0..LOOKS {
            let mut any = false;
            for pid in running_in(&self.data) {
                any = true;
                let _ = kill(pid, if look + 1 < LOOKS { Signal::SIGQUIT } else { Signal::SIGKILL });
            }
            if !any {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// A command as a shell reads it; `alone`: without the guard that ends it with who started it.
fn words(command: &Command, alone: bool) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    let mut all: Vec<String> = all.map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(at) = all.iter().position(|word| word == "--pdeathsig").filter(|_| alone) {
        all.drain(at..at + 2);
    }
    all.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
