//! A database where no environment file says where it is: from the variables that scripts for PostgreSQL read, or from a
//! place on the command line.

use super::dsn::Dsn;
use proofmark_environment::{
    ConnectionFile, GivenPlace, Reference, Variables, missing_variable, unset_variable,
};
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;

/// The variable that holds the whole address.
pub(super) const WHOLE: &str = "DATABASE_URL";

/// What the parts of a database's address are called; the port may be left out.
const PARTS: [&str; 4] = ["POSTGRES_HOST", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"];

/// From `DATABASE_URL`, or the variables for its parts.
pub(super) fn from_variables(variables: Variables<'_>) -> Result<Option<ConnectionFile>, Vec<Diag>> {
    if variables.set(WHOLE).is_none() {
        let lacking: Vec<&str> = PARTS.into_iter().filter(|name| variables.set(name).is_none()).collect();
        if lacking.len() == PARTS.len() {
            let what = "neither the environment variable DATABASE_URL nor POSTGRES_HOST is set";
            let help = "set DATABASE_URL=postgresql://…, or POSTGRES_HOST, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB; or give `--env FILE`";
            return Err(vec![missing_variable(what, help)]);
        }
        if !lacking.is_empty() {
            return Err(lacking.into_iter().map(|name| unset_variable(name, Some(WHOLE))).collect());
        }
    }
    // Where this one is not set its parts are read when it is resolved.
    Ok(Some(ConnectionFile::at(Reference::env(WHOLE))))
}

/// From a URL or `key=value` text, or `env:NAME` for the variable that holds one.
pub(super) fn from_place(_: Variables<'_>, place: &GivenPlace<'_>) -> Result<ConnectionFile, Vec<Diag>> {
    if let Some(named) = place.variable() {
        return named.map_err(|diag| vec![diag]);
    }
    let text = Some(place.text).filter(|text| Dsn::is_one(text));
    let read = text.map(|text| Dsn::parse(text, &Redactor::default()));
    if let Some(Ok(_)) = read {
        return Ok(ConnectionFile::at(Reference::Text(place.text.to_owned())));
    }
    let why = read.and_then(Result::err).map_or_else(String::new, |why| format!(": {why}"));
    let message = format!("what `{}` names is no PostgreSQL database{why}", place.flag);
    let help = "write `env:DATABASE_URL`, `postgresql://user@host:5432/database`, or `host=… dbname=…`";
    Err(vec![Diag::new("bad-place", message).help(help)])
}
