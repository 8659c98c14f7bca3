//! What the SQL of an archive says of its database as such: owner, settings, privileges, comment. Statements are cut out
//! as psql would cut them, so that they can be run in a transaction and psql's own commands between them cannot.

use super::lexer::{Lexer, Reader, Token};

/// First words of what is said of a database that is there.
const SAID: [&str; 5] = ["alter", "comment", "grant", "revoke", "security"];

/// Where statements end, and how they begin.
#[derive(Default)]
struct Ends {
    first: String,
    /// The line of its end, from 1, and its first word; none for a command of psql.
    ends: Vec<(u64, String)>,
}

impl Reader for Ends {
    fn token(&mut self, token: Token<'_>, _depth: u32) {
        if let (true, Token::Word(word)) = (self.first.is_empty(), token) {
            self.first = String::from_utf8_lossy(word).to_lowercase();
        }
    }

    fn end(&mut self, line: u64) -> bool {
        self.ends.push((line, std::mem::take(&mut self.first)));
        false
    }

    fn comment(&mut self, _text: &[u8]) {}

    fn command(&mut self, _text: &[u8], line: u64) {
        self.ends.push((line, String::new()));
    }

    fn copied(&mut self, _rows: u64) {}

    fn backslashes(&self) -> bool {
        false
    }
}

/// The statements about a database in what pg_restore writes of it, each with its semicolon.
pub fn properties(sql: &str) -> Vec<String> {
    let (mut ends, mut out, mut done) = (Ends::default(), vec![], 0);
    Lexer::default().feed(sql.as_bytes(), &mut ends);
    let lines: Vec<&str> = sql.split_inclusive('\n').collect();
    for (line, first) in ends.ends {
        let line = usize::try_from(line).unwrap_or(usize::MAX).min(lines.len());
        if SAID.contains(&&*first) {
            out.push(lines[done.min(line)..line].concat());
        }
        done = line;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::properties;

    #[test]
    fn statements_are_cut_where_they_end_and_commands_are_none() {
        let sql = "SET a = 1;\n\\restrict x\nCREATE DATABASE app;\n\n\nALTER DATABASE app OWNER TO own;\n\n\\connect app\n\
            --\n-- Name: app; a comment; ALTER it\n--\n\nCOMMENT ON DATABASE app IS 'one;\n\\connect evil\nALTER DATABASE x;\n';\n\
            SELECT 1;\nALTER DATABASE app SET search_path TO 'a b', 'public';\nGRANT ALL ON DATABASE app TO own;\n\\unrestrict x\n";
        let seen: Vec<String> = properties(sql).iter().map(|one| one.trim().to_owned()).collect();
        assert_eq!(
            seen,
            [
                "ALTER DATABASE app OWNER TO own;",
                "--\n-- Name: app; a comment; ALTER it\n--\n\nCOMMENT ON DATABASE app IS 'one;\n\\connect evil\nALTER DATABASE x;\n';",
                "ALTER DATABASE app SET search_path TO 'a b', 'public';",
                "GRANT ALL ON DATABASE app TO own;"
            ]
        );
    }
}
