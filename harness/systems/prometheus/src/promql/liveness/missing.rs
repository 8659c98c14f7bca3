//! Finds why a selector has no series: the metric is unknown or has gone, or does not have such a label or value.

use super::bounds::{RECORDS, metric};
use super::class::Reason;
use super::known::{Given, Stop};
use super::life::{Ground, Life, young};
use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{Expr, Offset, VectorSelector};
use std::time::Duration;

/// How far back to look for a series that has gone.
const GONE: &str = "7d";

/// The windows and steps in which to look for its last sample, finest first.
const WHEN: [&str; 3] = ["5m:1s", "1h:13s", "7d:5m"];

/// Longer chains of matchers are not analysed.
const MATCHERS: usize = 12;

impl Ground<'_> {
    /// Returns why the selector has no series; `whole` is the selector with its window.
    pub(super) fn missing(&self, it: &VectorSelector, whole: &Expr) -> Result<Life, Stop> {
        let bare = VectorSelector { offset: None, at: None, ..it.clone() };
        let name = metric(it);
        if let Some(name @ ("ALERTS" | "ALERTS_FOR_STATE")) = name {
            return Ok(self.missing_alert(name, it, whole));
        }
        if let Some(life) = name.and_then(|name| self.recorded(name, &bare).transpose()) {
            return life;
        }
        if (whole.to_string() != bare.to_string()) && self.known.count(&bare.to_string())? > 0.0 {
            return Ok(self.too_far_back(it, whole));
        }
        let Some(name) = name else {
            let why = format!("`{whole}` selects nothing");
            return Ok(Life::Never(Reason::seen("nothing-selected", why, UNKNOWN)));
        };
        if let Some(when) = self.gone(&bare.to_string())? {
            let why = format!("`{bare}` has gone: {when}");
            return Ok(Life::Never(Reason::seen("gone", why, HAS_GONE)));
        }
        let plain =
            VectorSelector::new(None, Matchers::new(vec![Matcher::new(MatchOp::Equal, "__name__", name)]));
        let plain = if it.name.is_some() { VectorSelector::from(name) } else { plain };
        if self.known.count(&plain.to_string())? > 0.0 {
            return self.narrowed(&plain, it).map(Life::Never);
        }
        let why = match self.gone(&plain.to_string())? {
            Some(when) => {
                let why = format!("the metric `{name}` has gone: {when}");
                return Ok(Life::Never(Reason::seen("gone", why, HAS_GONE)));
            }
            None => format!("the metric `{name}` is unknown: no series of that name in the last 7 days"),
        };
        Ok(Life::Never(Reason::seen("metric-unknown", why, UNKNOWN)))
    }

    /// Returns when a selector without series had its last sample; `None` if it had none.
    fn gone(&self, text: &str) -> Result<Option<String>, Stop> {
        if self.known.count(&format!("last_over_time({text}[{GONE}])"))? <= 0.0 {
            return Ok(None);
        }
        for window in WHEN {
            let last = self.known.number(&format!("max(max_over_time(timestamp({text})[{window}]))"))?;
            if let Some(last) = last {
                return Ok(Some(format!("its last sample is of {}", moment(last))));
            }
        }
        Ok(Some(format!("it was there within the last {GONE}")))
    }

    /// Returns which matcher excludes everything, for a metric that exists.
    fn narrowed(&self, plain: &VectorSelector, it: &VectorSelector) -> Result<Reason, Stop> {
        let with = |matcher: Matcher| {
            let mut matchers = plain.matchers.matchers.clone();
            matchers.push(matcher);
            VectorSelector { matchers: Matchers::new(matchers), ..plain.clone() }.to_string()
        };
        let own = it.matchers.matchers.iter().filter(|matcher| matcher.name != "__name__");
        for matcher in own.clone().take(MATCHERS) {
            if self.known.count(&with(matcher.clone()))? > 0.0 {
                continue;
            }
            let label = &matcher.name;
            let any = with(Matcher::new(MatchOp::NotEqual, label, ""));
            if self.known.count(&any)? > 0.0 {
                let labels = promql_parser::label::Labels::new(vec![label]);
                let values = self.known.given(&format!("topk(5, count by ({labels}) ({any}))"))?;
                let why = format!("no series of `{plain}` has `{matcher}`; it has {}", these(values, label));
                return Ok(Reason::seen("value-unknown", why, VALUE));
            }
            let why = format!("no series of `{plain}` has a label `{label}`");
            return Ok(Reason::seen("label-unknown", why, LABEL));
        }
        let shown: Vec<String> = own.map(ToString::to_string).collect();
        let why = format!(
            "no series of `{plain}` has all of `{}`, though each is there by itself",
            shown.join(", ")
        );
        Ok(Reason::seen("labels-not-together", why, VALUE))
    }

    /// Series of alerts exist only while the alerts are pending or firing.
    fn missing_alert(&self, name: &str, it: &VectorSelector, whole: &Expr) -> Life {
        let mut named = it.matchers.matchers.iter().filter(|matcher| matcher.name == "alertname");
        if self.alerts.keys().any(|alert| named.clone().all(|matcher| matcher.is_match(alert))) {
            return Life::Quiet(format!("`{whole}` is there only while such an alert is pending or firing"));
        }
        let asked = named.next().map_or_else(|| name.to_owned(), ToString::to_string);
        let why = format!("no alert that is loaded has `{asked}`");
        Life::Never(Reason::seen(
            "no-such-alert",
            why,
            "is the alert spelt as in its rule, and is its file loaded?",
        ))
    }

    /// Judges a recorded metric without series by the rules that record it; `None` if no rule records it.
    fn recorded(&self, name: &str, bare: &VectorSelector) -> Result<Option<Life>, Stop> {
        let Some(rules) = self.records.get(name) else { return Ok(None) };
        // The metric has series, but none that match: the labels are the cause.
        if self.within >= RECORDS || (bare.to_string() != name && self.known.count(name)? > 0.0) {
            return Ok(None);
        }
        if rules.is_empty() {
            let why = format!("`{name}` has no series now, and what records it cannot be read");
            return Ok(Some(Life::Unknown(Reason::concluded("unread", why, BY_HAND))));
        }
        let inner = Ground { within: self.within + 1, ..*self };
        let mut never = None;
        for rule in rules {
            let dead = inner.bounds().of(rule).dead;
            match (inner.life(rule)?, dead) {
                (Life::Never(reason), _) => {
                    let why =
                        format!("`{name}` is recorded from `{rule}`, of which nothing comes: {}", reason.why);
                    never = never.or(Some(Life::Never(Reason { why, ..reason })));
                }
                (_, Some(shut)) => {
                    let why =
                        format!("`{name}` is recorded from `{rule}`, and `{}` never holds", shut.comparison);
                    never = never.or(Some(Life::Never(Reason::concluded("recorded-never", why, RECORD))));
                }
                (Life::Unknown(reason), _) => return Ok(Some(Life::Unknown(reason))),
                (Life::There | Life::Quiet(_), None) => {
                    let why = format!(
                        "`{name}` has no series now; `{rule}`, which records it, has nothing to record"
                    );
                    return Ok(Some(Life::Quiet(why)));
                }
            }
        }
        Ok(never)
    }

    /// The series exist now, but not at the time that the selector asks for.
    fn too_far_back(&self, it: &VectorSelector, whole: &Expr) -> Life {
        let back = match &it.offset {
            Some(Offset::Pos(back)) => *back,
            _ => Duration::ZERO,
        };
        match self.retention {
            Some(kept) if back.as_secs_f64() >= kept => {
                let kept = proofmark_model::Duration(Duration::from_secs_f64(kept));
                let why = format!("`{whole}` asks for what is no longer there: samples are kept for {kept}");
                Life::Never(Reason::seen("too-far-back", why, "keep samples for longer, or ask for less"))
            }
            _ => Life::Unknown(young(&whole.to_string(), 0.0)),
        }
    }
}

fn these(values: &[Given], label: &str) -> String {
    let values: Vec<String> = values
        .iter()
        .filter_map(|given| given.labels.get(label))
        .map(|value| format!("\"{value}\""))
        .collect();
    if values.is_empty() { "others".into() } else { values.join(", ") }
}

/// Formats Unix seconds as RFC 3339; a number out of range is written as it is.
fn moment(seconds: f64) -> String {
    let exact = jiff::SignedDuration::try_from_secs_f64(seconds.floor()).ok();
    let time = exact.and_then(|length| jiff::Timestamp::from_duration(length).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

const UNKNOWN: &str = "is it spelt as the exporter spells it, and is the exporter scraped? What comes only with its first event stands in `except`, with the reason";
const HAS_GONE: &str = "does its exporter still run and is it scraped, was the metric renamed, did the series end with a pod or a host? What may rightly go stands in `except`, with the reason";
const LABEL: &str =
    "which labels does it have (`prometheus-series` lists them), and does relabelling take this one away?";
const VALUE: &str = "is the value spelt as the exporter spells it? What comes only with its first event stands in `except`, with the reason";
const BY_HAND: &str = "look by hand what its recording rules say, and whether they are evaluated";
const RECORD: &str = "mend the recording rule";
