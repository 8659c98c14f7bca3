//! Finds the receivers to which Alertmanager's configuration routes an alert of which only some labels are known.

use super::{EXPECTED, Matcher, read};
use proofmark_environment::document;
use proofmark_net::ClientError;
use proofmark_net::http::{Call, Endpoint, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The part of the configuration that decides where alerts go.
#[derive(Debug, Clone)]
pub struct Routing {
    root: Route,
    /// The receivers, sorted by name.
    pub receivers: Vec<Receiver>,
}

/// A receiver. A receiver without integrations accepts alerts and sends no notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Receiver {
    /// The name of the receiver.
    pub name: String,
    /// The integrations that it notifies through: `email`, `webhook`, `slack`, …, one entry for each.
    pub integrations: Vec<String>,
}

/// A receiver that an alert is routed to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lead {
    /// The name of the receiver.
    pub receiver: String,
    /// Whether the alert is routed there whatever its unknown labels are. If not, only for some values of the labels in
    /// `by`.
    pub certain: bool,
    /// The unknown labels that decide it; sorted.
    pub by: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Route {
    receiver: String,
    matchers: Vec<Matcher>,
    goes_on: bool,
    below: Vec<Route>,
}

#[derive(Deserialize)]
struct Body {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    original: String,
}

/// Returns how the configuration in use routes alerts.
///
/// # Errors
/// The server cannot be reached or refuses the request, or its configuration cannot be parsed.
pub async fn routing(wire: Endpoint<'_>) -> Result<Routing, ClientError> {
    let answer = fetch(wire, &Call::get("/api/v2/status")).await?;
    let body: Body = read(&answer)?;
    let wrong = |why: String| {
        ClientError::of_shape(&answer, EXPECTED, &format!("its configuration cannot be read: {why}"))
    };
    Routing::of(&body.config.original).map_err(wrong)
}

impl Routing {
    /// Parses a configuration file as the server writes it.
    ///
    /// # Errors
    /// The configuration is not of the known form.
    pub fn of(text: &str) -> Result<Self, String> {
        let values = document::values(text)?;
        let config = values.first().ok_or("it is empty")?;
        let mut receivers = list(&config["receivers"]).map(receiver).collect::<Result<Vec<_>, _>>()?;
        receivers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root: route(&config["route"], None)?, receivers })
    }

    /// Returns the labels that the routes test.
    pub fn labels(&self) -> BTreeSet<&str> {
        let mut labels = BTreeSet::new();
        self.root.looks_at(&mut labels);
        labels
    }

    /// Returns the receivers that an alert may be routed to, sorted. `labels` holds the known labels; `None` is a label
    /// that is present with an unknown value. Any label that is not listed may be present.
    pub fn leads(&self, labels: &BTreeMap<String, Option<String>>) -> Vec<Lead> {
        let mut leads = BTreeMap::new();
        // The root route matches every alert.
        self.root.lead(labels, &BTreeSet::new(), &mut leads);
        leads
            .into_iter()
            .map(|(receiver, by): (String, BTreeSet<String>)| Lead { receiver, certain: by.is_empty(), by })
            .collect()
    }
}

/// Whether a route matches an alert.
enum Takes {
    Yes,
    No,
    /// It depends on these labels.
    Perhaps(BTreeSet<String>),
}

impl Route {
    fn looks_at<'a>(&'a self, labels: &mut BTreeSet<&'a str>) {
        labels.extend(self.matchers.iter().map(Matcher::label));
        self.below.iter().for_each(|route| route.looks_at(labels));
    }

    fn takes(&self, labels: &BTreeMap<String, Option<String>>) -> Takes {
        let mut open = BTreeSet::new();
        for matcher in &self.matchers {
            match labels.get(matcher.label()) {
                Some(Some(value)) if matcher.matches(value) => {}
                Some(Some(_)) => return Takes::No,
                Some(None) | None => drop(open.insert(matcher.label().to_owned())),
            }
        }
        if open.is_empty() { Takes::Yes } else { Takes::Perhaps(open) }
    }

    /// Collects the receivers of an alert that this route matches if the labels `by` have certain values.
    fn lead(
        &self,
        labels: &BTreeMap<String, Option<String>>,
        by: &BTreeSet<String>,
        leads: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        // The labels that decide whether an alert gets past the routes so far.
        let mut passing = by.clone();
        let mut taken = false;
        for route in &self.below {
            match route.takes(labels) {
                Takes::No => {}
                Takes::Yes => {
                    route.lead(labels, &passing, leads);
                    taken = true;
                    if !route.goes_on {
                        return;
                    }
                }
                Takes::Perhaps(open) => {
                    let deciding: BTreeSet<String> = passing.union(&open).cloned().collect();
                    route.lead(labels, &deciding, leads);
                    passing = deciding;
                }
            }
        }
        if !taken {
            // The route that depends on the fewest labels counts.
            let known = leads.entry(self.receiver.clone()).or_insert_with(|| passing.clone());
            if passing.len() < known.len() {
                *known = passing;
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn receiver(value: &Value) -> Result<Receiver, String> {
    let name = text(&value["name"]).ok_or("a receiver has no name")?;
    let kinds = value.as_object().into_iter().flatten();
    let integrations =
        kinds.filter_map(|(key, all)| Some((key.strip_suffix("_configs")?, list(all).count())));
    let integrations = integrations.flat_map(|(kind, number)| vec![kind.to_owned(); number]).collect();
    Ok(Receiver { name, integrations })
}

/// A route without a receiver inherits that of its parent.
fn route(value: &Value, above: Option<&str>) -> Result<Route, String> {
    let receiver = text(&value["receiver"]).or_else(|| above.map(str::to_owned));
    let receiver = receiver.ok_or("the first route has no receiver")?;
    let mut matchers = list(&value["matchers"])
        .map(|matcher| matcher.as_str().unwrap_or_default().parse::<Matcher>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|mistake| mistake.to_string())?;
    for (key, sign) in [("match", "="), ("match_re", "=~")] {
        for (label, wanted) in value[key].as_object().into_iter().flatten() {
            let matcher = format!("{label}{sign}{wanted}").parse::<Matcher>();
            matchers.push(matcher.map_err(|mistake| mistake.to_string())?);
        }
    }
    let goes_on = value["continue"].as_bool().unwrap_or_default();
    let below =
        list(&value["routes"]).map(|below| route(below, Some(&receiver))).collect::<Result<_, _>>()?;
    Ok(Route { receiver, matchers, goes_on, below })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
route:
  receiver: "null"
  routes:
  - { receiver: audit, matchers: ['severity="critical"'], continue: true }
  - { receiver: pager, match: { severity: critical } }
  - receiver: team
    match_re: { team: 'shop|stock' }
    routes:
    - { receiver: shop, matchers: ['namespace="shop"'] }
    - { matchers: ['quiet="yes"'] }
  - { receiver: rest, matchers: ['team!=""'] }
receivers:
- name: "null"
- { name: pager, webhook_configs: [{ url: a }, { url: b }], email_configs: [{ to: c }] }
- { name: team, slack_configs: [] }
"#;

    fn leads(labels: &[(&str, Option<&str>)]) -> Vec<String> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
        let leads = Routing::of(CONFIG).unwrap().leads(&labels.collect());
        let told = |lead: Lead| {
            let by: Vec<String> = lead.by.into_iter().collect();
            assert_eq!(lead.certain, by.is_empty());
            if by.is_empty() { lead.receiver } else { format!("{} by {}", lead.receiver, by.join("+")) }
        };
        leads.into_iter().map(told).collect()
    }

    #[test]
    fn an_alert_goes_where_its_labels_lead() {
        let none = [("severity", Some("")), ("team", Some("")), ("namespace", Some("")), ("quiet", Some(""))];
        let with = |label: &'static str, value: &'static str| {
            let mut all = none;
            all.iter_mut().filter(|it| it.0 == label).for_each(|it| it.1 = Some(value));
            all
        };
        assert_eq!(leads(&none), ["null"]);
        assert_eq!(leads(&with("severity", "critical")), ["audit", "pager"], "the first says `continue`");
        assert_eq!(leads(&with("team", "stock")), ["team"]);
        assert_eq!(leads(&with("team", "stocks")), ["rest"], "a pattern is anchored");
        let mut shop = with("team", "shop");
        shop[2].1 = Some("shop");
        assert_eq!(leads(&shop), ["shop"]);
    }

    #[test]
    fn what_is_not_known_is_left_open() {
        let severe = [("severity", Some("critical"))];
        assert_eq!(leads(&severe), ["audit", "pager"], "nothing else is asked of it");
        let known = [("severity", Some("low")), ("team", Some("shop")), ("quiet", Some(""))];
        assert_eq!(leads(&known), ["shop by namespace", "team by namespace"]);
        let templated = [("severity", None), ("team", Some(""))];
        assert_eq!(leads(&templated), ["audit by severity", "null by severity", "pager by severity"]);
        // Both routes end at the parent's receiver.
        let quiet = [("severity", Some("low")), ("team", Some("stock")), ("namespace", Some(""))];
        assert_eq!(leads(&quiet), ["team by quiet"]);
    }

    #[test]
    fn the_labels_that_decide_are_known() {
        let routing = Routing::of(CONFIG).unwrap();
        assert_eq!(routing.labels(), ["namespace", "quiet", "severity", "team"].into());
    }

    #[test]
    fn a_receiver_has_the_integrations_that_are_configured() {
        let receivers = Routing::of(CONFIG).unwrap().receivers;
        let told: Vec<_> = receivers.iter().map(|it| (it.name.as_str(), it.integrations.join(" "))).collect();
        let pager = "email webhook webhook".to_owned();
        assert_eq!(told, [("null", String::new()), ("pager", pager), ("team", String::new())]);
    }

    #[test]
    fn what_is_not_known_here_is_said() {
        for (config, why) in [
            ("receivers: []", "the first route has no receiver"),
            ("route: { receiver: a, routes: [{ matchers: ['a ~ b'] }] }", "is no matcher"),
            ("- 1\n- {", "line"),
        ] {
            assert!(Routing::of(config).unwrap_err().contains(why), "{config}");
        }
    }
}
