//! Servers that the tests of a binary share. A static is never dropped, and the kernel ends a server with the thread that
//! started it; so such a server has a thread that lasts as long as the process, and its folder a guard.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::future::pending;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use tokio::runtime::Builder;

/// Reads until this process has ended, then removes the folder. A server may take a moment to end too.
const GUARD: &str = "trap '' INT TERM HUP; read -r _; for n in $(seq 100); do rm -rf -- \"$0\"; sleep 0.1; test -e \"$0\" || exit; done";

/// What this makes, on a thread that serves it until the process ends.
pub fn lasting<T: Send + 'static>(make: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let (give, take) = channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            give.send(make().await).ok();
            pending::<()>().await;
        });
    });
    take.recv().expect("it starts")
}

/// Removes this folder when the process has ended, however it ends: a shell waits for the end of a pipe from here.
#[expect(clippy::zombie_processes, reason = "it outlives this process")]
pub fn guard(folder: &Path) {
    let mut shell = Command::new("sh");
    shell.args(["-c", GUARD]).arg(folder).process_group(0);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::mem::forget(shell.stdin.take());
}
