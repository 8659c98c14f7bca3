//! Takes one row away in a transaction that is rolled back, and looks at the table before and after: whoever holds the two
//! against each other has to see it.

use super::picture::{self, TablePicture};
use super::session::Session;
use super::snapshot::chosen;
use super::tables;
use proofmark_evidence::undo::ChangePermit;
use proofmark_net::ClientError;
use proofmark_net::http::Endpoint;

/// So many tables are tried: the rows of some are held by others.
const TRIED: usize = 20;

/// A table before and after; `None` where no table gives a row away.
///
/// # Errors
/// When the database cannot be asked.
pub async fn sabotage(
    wire: Endpoint<'_>,
    rows: &[TablePicture],
    _leave: &impl ChangePermit,
) -> Result<Option<(TablePicture, TablePicture)>, ClientError> {
    let mut session = Session::open(wire).await?;
    session.ask("BEGIN; SET LOCAL search_path = pg_catalog").await?;
    let (relations, _) = chosen(tables::list(&mut session).await?);
    let hashes = picture::row_hashes(&mut session).await?;
    // Of an extension's table it may be a row that is not counted.
    let fit = |table: &&TablePicture| table.rows > 0 && table.extension.is_none();
    let mut largest: Vec<&TablePicture> = rows.iter().filter(fit).collect();
    largest.sort_by_key(|table| std::cmp::Reverse(table.rows));
    for table in largest.into_iter().take(TRIED) {
        let relation = relations.iter().find(|one| (&*one.schema, &*one.name) == table.table());
        let Some(relation) = relation else { continue };
        session.ask("SAVEPOINT before").await?;
        let before = picture::table(&mut session, relation, &hashes).await?;
        let sql =
            format!("DELETE FROM ONLY {0} WHERE ctid = (SELECT ctid FROM ONLY {0} LIMIT 1)", relation.quoted);
        match session.ask(&sql).await {
            Ok(_) => {
                let after = picture::table(&mut session, relation, &hashes).await?;
                session.close().await?;
                return Ok(Some((before, after)));
            }
            // A foreign key or a trigger holds it.
            Err(ClientError::Sql { .. }) => session.ask("ROLLBACK TO SAVEPOINT before").await?,
            Err(error) => return Err(error),
        };
    }
    session.close().await?;
    Ok(None)
}
