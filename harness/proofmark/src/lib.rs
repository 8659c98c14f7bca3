//! Proofmark runs the checks of a plan against live systems, keeps what it saw as evidence, and stamps a verdict on it.
//!
//! # The straight line
//!
//! ```text
//! scenario files ─┐
//! environment ────┴─ read → plan → run ─ events → record → evidence/<run>/ → read back → fold → report
//!                                   │
//!                                   └─ steps → clients → the live systems
//! ```
//!
//! `run` ends by reading its own evidence back; `report` is the same tail. A report cannot say what the evidence does
//! not.
//!
//! # Two laws
//!
//! *A verdict is a pure function of saved evidence.* A step observes, then its kind judges: from settings, observation
//! and recorded time to findings, without I/O. [`engine::scenario::judge`] is the one judgement; [`engine::run`] calls it on the bytes
//! that it keeps, [`engine::verify`] on the bytes that it finds.
//!
//! *Nothing passes by default.* No finding is `unverified`; so is a path that selects nothing under `every`, a masked
//! value, a zero without a positive control, an answer that could not be had.
//!
//! # The line of crates
//!
//! A crate uses only those above it, and the modules of a crate never use each other in a circle. A test holds both.
//!
//! | crate | what it is for |
//! |---|---|
//! | [`model`] | what is written down, with redaction, the clock, diagnostics and the matchers of `expect` |
//! | [`evidence`] | the recorder and its reader, the journal of promises, reports |
//! | [`environment`] | the files that people write as trees that know their places; connections and secrets, of no system |
//! | `proofmark_net` | HTTP and TLS, files, programs; every exchange with the world is recorded |
//! | [`engine`] | what a kind is, the registry; scenarios, runs and verification of any kind |
//! | `systems/*` | one crate a system: its roles, its client, its kinds; each is a feature of this crate |
//! | `proofmark_lab` | throwaway systems for tests and the demo |
//! | this one | [`kinds`], the only list of systems; [`app`], what a run is; [`cli`], the command line |
//!
//! # Where this differs from the first design, and why
//!
//! - An `unverified` judgement is polled again under `within`, not only a failed one: a target that Prometheus has not
//!   scraped yet is unverified, and waiting for it is what `within` is for. Errors that no second attempt mends (a 401)
//!   still end the step at once.
//! - The judgement is made on the record before `findings` are put into it; they are what it returns. The recorded
//!   observations, settings and times are byte for byte what stands in the file.
//! - A singular path that selects nothing *fails* a plain matcher (the field should be there and is not) and leaves
//!   `not`, `every`, `any` and `count` `unverified` (nothing was looked at).
//! - A key that is no secret here is excepted with the step's key `not-secret: [KEY]`; learned secrets are masked all
//!   the same.
//! - A header that the environment file writes out (a tenant `1`) is learned as a secret only if its name says that it
//!   is one: masking every `1` would leave nothing to judge. A reference is learned always, a login in a URL too.
//! - A short secret masks whole values, never keys and never the program's own words: a record must stay readable.
//! - Evidence is written behind, by a thread of its own, in order: while the run waits for a system the disk works. What
//!   cannot be written ends the run a few steps later; an act, a promise and the manifest wait until everything before is
//!   written. Whoever follows a run hears of an event when it is on the disk.
//! - An act gets `Promises` beside its context: a check, which gets only the context, has nothing to promise with.
//! - What was put back is kept in a file and an event of its own (`STEP~put-back-N.json`, `reverted`): a step's file is
//!   closed before its promise is kept, and a recovery, which has no step, writes the same. Its findings count for the
//!   step.
//! - An act is looked at by the same loop as a check, and putting back too: `act` once, then `observe`; `revert` and
//!   `observe_reverted` once a round, so that a way back of several stages needs no loop of its own.
//! - What runs in a container is run by the program `docker` and not with bollard: so programs here and in there have one
//!   client of streams, and contexts, `ssh://` and TLS to remote engines are those that the user has set up. The API would
//!   be one more thing to keep, for one call, and its stream blocks where a program ends before it has read its input.
//! - What runs in a container outlives the program that asked for it. So a `pg_dump` in there has a name of its own at the
//!   server, by which the promise ends its session.
//! - A drill in place empties and fills in one transaction: a restore that fails leaves the tables as they were, and only
//!   where that cannot be seen is something owed. Exit 4 for each failure would cry wolf.
//! - A part of an observation beyond 16 MiB is kept as a blob and judged as the reference to it: no expectation can
//!   pass on it.

pub use proofmark_engine as engine;
pub use proofmark_environment as environment;
pub use proofmark_evidence as evidence;
pub use proofmark_model as model;

pub mod app;
pub mod cli;
pub mod kinds;
