//! What a file of bytes that someone calls a backup really is, and what is in it: without a database, in one pass, in
//! little memory. Its format is told by its first bytes. It is decoded to its end, archives by PostgreSQL's own
//! pg_restore, and its rows are counted from the SQL that comes out.
//!
//! What a decode proves, and what not:
//!
//! - gzip, and `-Fc` as it is packed by default, have checksums over the data: a changed bit is noticed. zstd has one if
//!   its writer was asked for it (the program `zstd` is, pg_dump never is).
//! - Plain SQL, `-Ft` and `-Fc -Z0` have none: a changed digit in a value is not noticed. Nor is it in the list at the
//!   head of any archive (the SQL that makes tables and indexes), which is never packed.
//! - pg_restore stops behind the last data that its list names: bytes behind that are hashed but not looked at.
//! - That all rows are there does not mean that they are the right ones: only a restore and a comparison of content does.

mod contents;
mod copy;
mod count;
mod decode;
mod format;
mod header;
mod lexer;
mod name;
mod pieces;
mod properties;
mod restore;
mod statement;
mod tar;
#[cfg(test)]
mod tests;
mod unpack;

pub use contents::{Contents, Cut, Held, Restricted};
pub use count::Counter;
pub use decode::{DecodeError, Decoded, Outcome, decode, unpacked};
pub use format::{Format, HEAD};
pub use header::Header;
pub use properties::properties;
pub use restore::Restored;
