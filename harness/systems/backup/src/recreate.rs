//! Makes a database again that was lost or spoiled: what the backup holds is restored beside it, compared, and only then put
//! in its place. Until then the database is not touched, and whoever uses it goes on.

use super::archive::properties;
use super::fetch::{Chosen, Fetched};
use super::restore::{told, use_list};
use super::{BackupError, Manifest};
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::http::Endpoint;
use proofmark_postgres::client::{self as postgres, Found, Place, Scratch};
use serde::{Deserialize, Serialize};

/// The promise: the database is what it was, or what the backup holds, and nothing else of it is left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recreated {
    /// The database's name.
    pub database: String,
    /// Was there one of that name?
    pub was_there: bool,
    /// What is restored, until it has the database's name.
    pub scratch: Scratch,
    /// What the database becomes once the other has its name.
    pub aside: Scratch,
}

/// What is found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Standing {
    /// Is there a database of that name?
    pub is_there: bool,
    /// Databases of ours that are still there.
    pub left: Vec<String>,
}

impl Recreated {
    /// For the run with this mark.
    pub fn new(place: &Place, mark: &str) -> Self {
        Self {
            database: place.name.clone(),
            was_there: place.oid.is_some(),
            scratch: Scratch::new(mark),
            aside: Scratch::aside(mark),
        }
    }
}

/// Why it may not be put there. Nothing was written when this is asked.
///
/// # Errors
/// When the database that is there cannot be asked what it holds.
pub async fn refused(
    chosen: &Chosen,
    place: &Place,
    server: Endpoint<'_>,
) -> Result<Option<String>, BackupError> {
    let Some(Manifest { source, .. }) = &chosen.manifest else {
        return Ok(Some("the backup has no manifest, so nobody knows which database it is of: restore it into a new database with pg_restore".into()));
    };
    let of = format!(
        "the backup is of the database {} (system {}, database {})",
        source.database, source.system_identifier, source.database_oid
    );
    if source.database != place.name {
        return Ok(Some(format!(
            "{of}, and the connection is to {}: it is put in the place of its own source only",
            place.name
        )));
    }
    let Some(oid) = &place.oid else { return Ok(None) };
    let same_system = source.system_identifier == place.system_identifier;
    // A restore gives the database a new number; then the old one is gone.
    let itself =
        same_system && (*oid == source.database_oid || !place.databases.contains(&source.database_oid));
    if !itself && postgres::relations(server).await? > 0 {
        return Ok(Some(format!(
            "{of}, and the one of that name here (system {}, database {oid}) is another, which is not empty: it is put in the place of its own source only",
            place.system_identifier
        )));
    }
    Ok((!place.held_by.is_empty()).then(|| {
        format!(
            "the database {} cannot be replaced, for it has {}; end that first",
            place.name,
            place.held_by.join(", ")
        )
    }))
}

/// Puts what was restored in the database's place, as the archive describes it: owner, settings, privileges and comment.
///
/// # Errors
/// When the archive does not say, or the server refuses: a role that is not there is one reason. Then nothing has changed.
pub async fn put(
    owed: &Recreated,
    (fetched, place): (&Fetched, &Place),
    over: Endpoint<'_>,
    leave: &impl ChangePermit,
) -> Result<(), BackupError> {
    let list = told(fetched, &["--create", "--list"], over).await?;
    let about = ["DATABASE -", "DATABASE PROPERTIES -", "ACL - DATABASE", "COMMENT - DATABASE"];
    let fits = |line: &&str| {
        // Number, two numbers of the catalogue, then what it is.
        let what = line.splitn(4, ' ').nth(3).unwrap_or_default();
        about.iter().any(|about| what.strip_prefix(about).is_some_and(|rest| rest.starts_with(' ')))
    };
    let lines = list.lines().filter(fits).collect::<Vec<_>>().join("\n") + "\n";
    let (_list, word) = use_list(&lines)?;
    let said = properties(&told(fetched, &["--create", &word, "--file=-"], over).await?);
    Ok(postgres::swap(over, (&owed.scratch, &owed.aside), place, &said, leave).await?)
}

/// Takes away what is left beside the database: what was restored and has not its name, or what had it before.
///
/// # Errors
/// When the server cannot be asked or refuses.
pub async fn clear(
    owed: &Recreated,
    server: Endpoint<'_>,
    leave: &impl ChangePermit,
) -> Result<(), BackupError> {
    let other = postgres::beside(server).await?;
    let over = Endpoint { connection: Some(&other), ..server };
    for one in [&owed.scratch, &owed.aside] {
        postgres::remove(over, one, leave).await?;
    }
    Ok(())
}

/// Looks what is left.
///
/// # Errors
/// When the server cannot be asked.
pub async fn look(owed: &Recreated, server: Endpoint<'_>) -> Result<Standing, BackupError> {
    let other = postgres::beside(server).await?;
    let over = Endpoint { connection: Some(&other), ..server };
    let mut left = vec![];
    for one in [&owed.scratch, &owed.aside] {
        match postgres::find(over, one).await? {
            Found::Nothing => {}
            Found::Ours => left.push(one.name.clone()),
            Found::BeingMade => left.push(format!("{}, which a server still makes", one.name)),
            Found::Other(comment) => left.push(format!("{}, with the comment `{comment}`", one.name)),
        }
    }
    Ok(Standing { is_there: postgres::place(over, &owed.database).await?.oid.is_some(), left })
}
