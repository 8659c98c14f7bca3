//! The machine that the program runs on.

/// The name of this machine; empty where it has none.
pub fn host() -> String {
    nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned()
}
