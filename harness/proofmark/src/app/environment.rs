//! The environment of a run: from a file, from places on the command line, or from variables, as the systems read them.

use crate::kinds::vocabulary;
use proofmark_environment::{Environment, GivenPlace, Variables};
use proofmark_model::diag::Diag;
use std::path::Path;

/// Reads an environment file, which may name all systems.
pub(super) fn load(file: &Path) -> Result<Environment, Vec<Diag>> {
    Environment::load(file, vocabulary())
}

/// What the variables of this process say of these roles.
#[cfg(any(feature = "alerting", feature = "backup"))]
pub(super) fn of_variables(roles: &[&str]) -> Result<Environment, Vec<Diag>> {
    Environment::of_variables(vocabulary(), Variables::PROCESS, roles)
}

/// A place that was typed, without an endpoint; `flag` takes it.
pub(super) fn typed_place<'a>(role: &'a str, flag: &'a str, text: &'a str) -> GivenPlace<'a> {
    GivenPlace { role, text, flag, variable: "DATABASE_URL", endpoint: None }
}

/// Reads typed places as the roles of all systems read them.
pub(super) fn of_places(places: &[GivenPlace<'_>]) -> Result<Environment, Vec<Diag>> {
    Environment::of_places(vocabulary(), Variables::PROCESS, places)
}
