//! The names of backups, from a template: `{db} {date} {time} {micros} {pid}`.

use jiff::{Timestamp, tz::TimeZone};
use proofmark_model::SettingMistake;
use std::time::Duration;

/// The name where none is asked for: by day, and no two the same.
pub const DEFAULT: &str = "{date}/{db}_{date}_{time}_{micros}_{pid}";

/// What an archive's name ends with.
pub const ARCHIVE: &str = ".dump";

/// What a manifest's name ends with. It stands beside its archive and is written last.
pub const MANIFEST: &str = ".manifest.json";

const KNOWN: [&str; 5] = ["db", "date", "time", "micros", "pid"];

/// What is wrong with a template, and how to mend it.
pub fn mistake(template: &str) -> Option<SettingMistake> {
    let mut rest = template;
    let mut found = vec![];
    while let Some((_, after)) = rest.split_once('{') {
        let Some((word, after)) = after.split_once('}') else {
            return Some(SettingMistake::new("`name` has a `{` without a `}`").help("take it out"));
        };
        found.push(word);
        rest = after;
    }
    if let Some(unknown) = found.iter().find(|word| !KNOWN.contains(word)) {
        return Some(
            SettingMistake::new(format!("`name` has `{{{unknown}}}`, which is not known"))
                .help("there are {db}, {date}, {time}, {micros} and {pid}"),
        );
    }
    if !["date", "time"].iter().all(|word| found.contains(word)) {
        return Some(
            SettingMistake::new(
                "`name` has no `{date}` and `{time}`, so the next backup would have the same name",
            )
            .help("add them"),
        );
    }
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    template.split('/').any(odd).then(|| {
        SettingMistake::new("`name` has an empty folder, `.` or `..` in it")
            .help("write folders as `a/b/name`")
    })
}

/// The name of the backup of this database at this time, in UTC. A `{date}` that is a folder by itself is `YYYY/MM/DD`, in
/// a name it is `YYYYMMDD`; `{time}` is `HHMMSS`, `{micros}` the microseconds within the second.
pub fn of(template: &str, database: &str, at: Timestamp, since_start: Duration) -> String {
    let time = at.to_zoned(TimeZone::UTC);
    // The clock is cut to milliseconds; what is below them only has to differ.
    let micros = at.subsec_microsecond().unsigned_abs() / 1000 * 1000 + since_start.subsec_micros() % 1000;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let database: String = database.chars().map(plain).collect();
    let part = |part: &str| {
        if part == "{date}" {
            return time.strftime("%Y/%m/%d").to_string();
        }
        part.replace("{db}", &database)
            .replace("{date}", &time.strftime("%Y%m%d").to_string())
            .replace("{time}", &time.strftime("%H%M%S").to_string())
            .replace("{micros}", &format!("{micros:06}"))
            .replace("{pid}", &std::process::id().to_string())
    };
    template.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_database_and_when() {
        let at: Timestamp = "2026-02-16T02:03:04.567Z".parse().unwrap();
        let pid = std::process::id();
        let name = of(DEFAULT, "app", at, Duration::from_micros(12_345_089));
        assert_eq!(name, format!("2026/02/16/app_20260216_020304_567089_{pid}"));
        let name = of("postgres/{date}/{db}_{time}", "we\"ird/db ü", at, Duration::ZERO);
        assert_eq!(name, "postgres/2026/02/16/we_ird_db___020304");
    }

    #[test]
    fn a_template_that_would_write_two_backups_to_one_name_is_a_mistake() {
        for (template, word) in [
            ("{db}_{date}", "no `{date}` and `{time}`"),
            ("{db}_{date}_{hour}", "{hour}"),
            ("{db_{date", "without a `}`"),
            ("/{date}{time}", "empty folder"),
            ("../{date}{time}", "`..`"),
        ] {
            let mistake = mistake(template).map(|mistake| mistake.to_string()).unwrap_or_default();
            assert!(mistake.contains(word), "{template}: {mistake}");
        }
        assert_eq!(mistake(DEFAULT), None);
    }
}
