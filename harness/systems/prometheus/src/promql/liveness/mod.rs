//! Decides whether each alert can fire, from its expression and never from its name.
//!
//! The judgement is one function of the rules and of the server's answers. The observation repeats it: each run reports
//! which queries it still needs, those are asked, and it ends when none is needed. So the observation holds everything
//! that the judgement is based on.

mod bare;
mod bounds;
mod calls;
mod class;
mod known;
mod life;
mod missing;
mod range;
mod value;
mod verdict;
#[cfg(test)]
mod tests;

use crate::client::{self as prometheus, Loaded, Rule};
use crate::promql::selectors::tree;
use class::{Class, Reason};
use jiff::{SignedDuration, Timestamp};
use known::{Answer, Asking, Given, Known, Stop};
use life::Ground;
use promql_parser::parser::Expr;
use proofmark_model::{Duration, Finding};
use proofmark_net::http::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// How far back to look for alerts that fired, in seconds.
const FIRED_WITHIN: i64 = 3600;

/// The largest number of rounds of queries.
const ROUNDS: usize = 48;

/// How many alerts are analysed at a time: their trees use memory, most of it for compiled patterns.
const AT_A_TIME: usize = 200;

/// The average number of queries per alert above which no more are asked: a rule with hundreds of parts stays
/// undecided.
const QUESTIONS_EACH: usize = 40;

/// What the server was asked about the alerts, and what it answered.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CanFire {
    /// The time of evaluation of every query; `null` if the server does not report its own time, and each query is
    /// evaluated when it arrives. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// When the rules in use were loaded; `null` if the server does not report it. RFC 3339 in UTC.
    #[schemars(with = "Option<String>")]
    pub loaded_at: Option<Timestamp>,
    /// How long samples are kept, in the server's notation; `null` if the server does not report it.
    pub retention: Option<String>,
    /// How far back a selector looks; `null` if the server does not report it.
    pub lookback: Option<Duration>,
    /// The names of all loaded alerts, one entry for each rule; sorted.
    pub alerts: Vec<String>,
    /// The recording rules whose metrics other rules use; sorted by name and query.
    pub records: Vec<Record>,
    /// Every query and its answer, once; sorted.
    pub answers: Vec<Answer>,
}

/// A recording rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    /// The metric that the rule records.
    pub name: String,
    /// The expression that it is recorded from.
    pub query: String,
}

/// The expressions of recording rules by the metric that they record; empty if one of them cannot be analysed.
type Records = BTreeMap<String, Vec<Expr>>;

/// The names of all loaded alerts, and how many rules have each.
type Names = BTreeMap<String, usize>;

/// Why an alert of this name may be unable to fire, by its name.
pub(crate) type Reasons = BTreeMap<String, String>;

/// What all alerts are judged by in one round.
struct Round<'a> {
    ground: Ground<'a>,
    /// The names of the alerts that were pending or firing; queried only when an alert needs it.
    fired: OnceCell<Result<BTreeSet<String>, Stop>>,
}

/// An alert rule and its parsed expression.
struct Read<'a> {
    rule: &'a Rule,
    tree: Result<Expr, String>,
}

impl CanFire {
    /// Asks everything that is needed to judge these alerts.
    pub(crate) async fn look(wire: Endpoint<'_>, rules: &[Rule], loaded: &Loaded) -> Self {
        let started = wire.clock.elapsed();
        let runtime = prometheus::runtime(wire).await.ok();
        let flags = prometheus::flags(wire.since(started)).await.ok();
        let is_record = |rule: &&Rule| rule.kind == "recording";
        let (records, alerts): (Vec<&Rule>, Vec<&Rule>) = loaded.rules.iter().partition(is_record);
        let record = |rule: &Rule| Record { name: rule.name.clone(), query: rule.query.clone() };
        let named = |record: &Rule| loaded.rules.iter().any(|rule| rule.query.contains(&record.name));
        let records = records.into_iter().filter(|record| named(record));
        let mut alerts: Vec<String> = alerts.into_iter().map(|rule| rule.name.clone()).collect();
        alerts.sort();
        let records: BTreeSet<Record> = records.map(record).collect();
        let mut seen = Self {
            at: loaded.server_time,
            loaded_at: runtime.as_ref().and_then(|runtime| runtime.reloaded_at),
            retention: runtime.map(|runtime| runtime.retention),
            lookback: flags.map(|flags| flags.lookback),
            alerts,
            records: records.into_iter().collect(),
            answers: Vec::new(),
        };
        // A fifth of the time is kept for what follows, so that a slow server gives a partial answer rather than none.
        let mut asking = Asking {
            wire,
            at: seen.at,
            until: started + wire.timeout.mul_f64(0.8),
            each: wire.timeout.mul_f64(0.3),
            closed: None,
        };
        let most = rules.len().saturating_mul(QUESTIONS_EACH).max(200);
        let (records, names) = (seen.read_records(), seen.names());
        for some in rules.chunks(AT_A_TIME) {
            seen.ask(&read(some), (&records, &names), &mut asking, most).await;
        }
        seen.answers.sort_by(|a, b| a.query.cmp(&b.query));
        seen
    }

    async fn ask(
        &mut self,
        alerts: &[Read<'_>],
        loaded: (&Records, &Names),
        asking: &mut Asking<'_>,
        most: usize,
    ) {
        let mut open: Vec<&Read<'_>> = alerts.iter().collect();
        for _ in 0..ROUNDS {
            let wanted = self.questions(&mut open, loaded);
            if wanted.is_empty() || self.answers.len() + wanted.len() > most {
                break;
            }
            let answers = asking.all(wanted).await;
            self.answers.extend(answers);
        }
    }

    /// Returns the queries that are still needed, and keeps in `open` the alerts that need them.
    fn questions(&self, open: &mut Vec<&Read<'_>>, loaded: (&Records, &Names)) -> BTreeSet<String> {
        let known = Known::of(&self.answers);
        let round = self.round(&known, loaded);
        open.retain(|alert| self.class(alert, &round).is_err());
        known.wanted()
    }

    /// Returns one finding for each alert.
    pub(crate) fn judge(&self, rules: &[Rule], except: &Reasons) -> Vec<Finding> {
        let (known, records, names) = (Known::of(&self.answers), self.read_records(), self.names());
        let round = self.round(&known, (&records, &names));
        let mut judged: Vec<Finding> = Vec::new();
        for some in rules.chunks(AT_A_TIME) {
            judged.extend(read(some).iter().map(|alert| self.finding(alert, &round, except)));
        }
        if judged.is_empty() {
            let help = "the rules that were asked for only record";
            return vec![
                Finding::undecided("an alert could fire", "at least 1 alert", "none").with_help(help),
            ];
        }
        judged
    }

    fn finding(&self, alert: &Read<'_>, round: &Round<'_>, except: &Reasons) -> Finding {
        let class = self.class(alert, round).unwrap_or_else(|_| {
            let why = "not all that has to be known was asked";
            Class::Undecided(Reason::concluded("unasked", why, "look by hand"))
        });
        let Rule { name, group, .. } = alert.rule;
        class.finding(name, group, except.get(name).map(String::as_str))
    }

    fn names(&self) -> Names {
        let mut names = Names::new();
        for alert in &self.alerts {
            *names.entry(alert.clone()).or_default() += 1;
        }
        names
    }

    fn round<'a>(&self, known: &'a Known<'a>, (records, alerts): (&'a Records, &'a Names)) -> Round<'a> {
        let lookback = self.lookback.map(|lookback| lookback.0.as_secs_f64());
        let retention = self.retention.as_deref().and_then(kept);
        let ground = Ground { known, records, alerts, lookback, retention, within: 0 };
        Round { ground, fired: OnceCell::new() }
    }

    fn class(&self, alert: &Read<'_>, round: &Round<'_>) -> Result<Class, Stop> {
        let fired = self.has_fired(&alert.rule.name, round)?;
        let long_ago = self.at.zip(self.loaded_at).is_some_and(|(at, loaded)| {
            let two = SignedDuration::try_from(alert.rule.interval.0.saturating_mul(2));
            at.duration_since(loaded) > two.unwrap_or(SignedDuration::MAX)
        });
        verdict::class(
            alert.rule,
            alert.tree.as_ref().map_err(String::as_str),
            fired,
            long_ago,
            &round.ground,
        )
    }

    /// Returns whether the alert of this name was pending or firing since its rule was loaded. If several rules share
    /// the name, it is unknown which of them it was.
    fn has_fired(&self, name: &str, round: &Round<'_>) -> Result<bool, Stop> {
        let (Some(at), Some(loaded)) = (self.at, self.loaded_at) else { return Ok(false) };
        let seconds = at.duration_since(loaded).as_secs().min(FIRED_WITHIN);
        if seconds < 1 || round.ground.alerts.get(name) != Some(&1) {
            return Ok(false);
        }
        let query = format!("count by (alertname) (last_over_time(ALERTS[{seconds}s]))");
        let named = |given: &[Given]| {
            given.iter().filter_map(|given| given.labels.get("alertname")).cloned().collect()
        };
        match round.fired.get_or_init(|| round.ground.known.given(&query).map(named)) {
            Err(Stop::Pending) => Err(Stop::Pending),
            Err(_) => Ok(false),
            Ok(fired) => Ok(fired.contains(name)),
        }
    }

    fn read_records(&self) -> Records {
        let mut records = Records::new();
        let mut unread = Vec::new();
        for Record { name, query } in &self.records {
            match taken(query) {
                Ok(tree) => records.entry(name.clone()).or_default().push(tree),
                Err(_) => unread.push(name),
            }
        }
        records.extend(unread.into_iter().map(|name| (name.clone(), Vec::new())));
        records
    }
}

/// Parses the alerts among the rules.
fn read(rules: &[Rule]) -> Vec<Read<'_>> {
    let alerts = rules.iter().filter(|rule| rule.kind != "recording");
    alerts.map(|rule| Read { rule, tree: taken(&rule.query) }).collect()
}

/// Returns an expression that can be analysed, or why it cannot be.
fn taken(query: &str) -> Result<Expr, String> {
    let tree = tree(query)?;
    bare::beyond(&tree).map_or(Ok(tree), |why| Err(why.to_owned()))
}

/// Parses how long samples are kept, into seconds: `15d`, `15d or 10GiB`.
fn kept(retention: &str) -> Option<f64> {
    let mut words = retention.split_whitespace();
    words.find_map(|word| word.parse::<Duration>().ok()).map(|length| length.0.as_secs_f64())
}
