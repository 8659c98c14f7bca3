//! What an environment may name: the roles, sources of secrets and dialers of all systems. This is the only list of them.

use crate::backup::alarm;
use crate::clients::{command, docker, objects, postgres, receiver};
use crate::environment::{ENV, FILE, Vocabulary};

/// All of them.
pub const VOCABULARY: Vocabulary = Vocabulary {
    roles: &[&postgres::ROLE, &postgres::LIVE, &objects::ROLE, &alarm::ROLE, &docker::ROLE, &receiver::ROLE],
    sources: &[&ENV, &FILE, &command::SECRET],
    dialers: &[],
};

#[cfg(test)]
mod tests;
