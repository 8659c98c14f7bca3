//! The variables that scripts for backups read: how long backups stay.

use proofmark_environment::{Variables, bad_variable};
use proofmark_model::Duration;
use proofmark_model::diag::Diag;

/// How many of the newest backups stay (`BACKUP_KEEP`), and how long each does (`BACKUP_RETENTION_DAYS`, or
/// `RETENTION_DAYS`), where that is set.
///
/// # Errors
/// Each that is no number from 1 on.
pub fn retention(variables: Variables<'_>) -> Result<(Option<usize>, Option<Duration>), Vec<Diag>> {
    let mut wrong = vec![];
    let mut number = |name: &'static str| {
        let read = variables.set(name)?.parse::<u32>().ok().filter(|number| *number > 0);
        if read.is_none() {
            wrong.push(bad_variable(
                name,
                "is no number from 1 on",
                &format!("set it like this: `export {name}=30`"),
            ));
        }
        read
    };
    let keep = number("BACKUP_KEEP");
    let days =
        ["BACKUP_RETENTION_DAYS", "RETENTION_DAYS"].into_iter().find(|name| variables.set(name).is_some());
    let days = days.and_then(&mut number);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((
        keep.and_then(|keep| usize::try_from(keep).ok()),
        days.map(|days| Duration::secs(u64::from(days) * 24 * 3600)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<(Option<usize>, Option<Duration>), Vec<Diag>> {
        let get =
            |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        retention(Variables(&get))
    }

    #[test]
    fn what_stays_is_a_number_of_backups_and_of_days() {
        let day = |days: u64| Some(Duration::secs(days * 86_400));
        for (set, expected) in [
            (&[][..], (None, None)),
            (&[("BACKUP_KEEP", "5")], (Some(5), None)),
            (&[("RETENTION_DAYS", "30")], (None, day(30))),
            (
                &[("RETENTION_DAYS", "30"), ("BACKUP_RETENTION_DAYS", "7"), ("BACKUP_KEEP", "5")],
                (Some(5), day(7)),
            ),
        ] {
            assert_eq!(read(set).unwrap(), expected, "{set:?}");
        }
        for value in ["0", "-1", "many", "1.5"] {
            let wrong = read(&[("BACKUP_KEEP", value), ("RETENTION_DAYS", value)]).unwrap_err();
            assert_eq!(wrong.len(), 2, "{value}");
        }
    }
}
