//! The kinds of this system, one file per kind.

pub mod command;
pub mod file;
pub mod http;
pub mod log_lines;
pub mod process_stop;
