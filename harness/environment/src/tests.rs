//! A made-up system: a list adds its role, secret source and dialer, without a change to this crate.

use super::*;
use proofmark_model::Exchange;
use proofmark_model::clock::Clock;
use proofmark_model::diag::Diag;
use proofmark_model::redact::Redactor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;

/// The address of a beacon: `beacon|COLOUR`.
#[derive(Debug, Clone, PartialEq)]
struct Beacon {
    colour: String,
    login: Option<String>,
}

const BEACON: Role = Role {
    name: "beacon",
    keys: &["basic", "region"],
    described: &[("region", "The coast of a beacon.")],
    schemes: &["lamp"],
    form: Some(&FORM),
    wants: "is a beacon",
    help: "write `beacon|COLOUR`, or `lamp://host`",
    check: Some(|name, written, url| {
        let diag = Diag::new("missing-key", format!("the lamp `{name}` at {} has no `region`", url.len()));
        let misfit = Misfit { at: MisfitPlace::Value("url"), diag: diag.help("add `region: NAME`") };
        (!written.has("region")).then_some(misfit).into_iter().collect()
    }),
    complete: Some(|builder| {
        if builder.connection.region.as_deref() == Some("inland") {
            let diag = Diag::new("bad-value", "there is no beacon inland").help("name a coast");
            builder.report(&["region"], diag);
        }
    }),
    from_variables: Some(|variables| {
        let colour =
            variables.set("BEACON_COLOUR").ok_or_else(|| vec![unset_variable("BEACON_COLOUR", None)])?;
        Ok(Some(ConnectionFile::at(Reference::Text(format!("beacon|{colour}")))))
    }),
    from_place: Some(|_, place| Ok(ConnectionFile::at(Reference::Text(format!("beacon|{}", place.text))))),
    restore_login: Some(|variables, connection| {
        connection.region = variables.set("BEACON_REGION").map(Reference::Text);
        connection.region.is_some()
    }),
    ..Role::HTTP
};

const FORM: UrlForm = UrlForm {
    leads_to: "a beacon",
    example: "beacon|COLOUR",
    recognises: |text| text.starts_with("beacon|"),
    read: |text, redactor| {
        let colour = text.trim_start_matches("beacon|");
        redactor.learn(text);
        let beacon = Beacon { colour: colour.to_owned(), login: None };
        if colour.is_empty() { Err("it has no colour".to_owned()) } else { Ok(Arc::new(beacon)) }
    },
    from_parts: |_, _, _| None,
    tells_password: |text| text.contains("password"),
    complete: |builder| {
        let Some(mut beacon) = builder.connection.part::<Beacon>().cloned() else { return };
        beacon.login = builder.connection.basic.take().map(|(user, _)| user);
        builder.connection.put(beacon);
    },
};

/// The place of a secret in a vault.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shelf {
    shelf: u8,
}

/// Asks the keeper, and runs a program for it.
const VAULT: SecretSource = SecretSource {
    key: "vault",
    example: "{ vault: { shelf: NUMBER } }",
    value: ValueType::of::<Shelf>(),
    exec: true,
    asks: Some("keeper"),
    shown: |value, _| format!("the shelf {}", value["shelf"]),
    resolve: |value, resolving| {
        Box::pin(async move {
            let keeper = resolving.systems.connections.get("keeper");
            let keeper = keeper.ok_or_else(|| Diag::new("missing-secret", "there is no keeper"))?;
            resolving.record(Exchange { method: "exec".into(), ..Exchange::default() });
            Ok(format!("secret {} of {}\n", value["shelf"], keeper.url.as_deref().unwrap_or_default()))
        })
    },
};

/// A connection that is open while this is held.
#[derive(Debug, PartialEq)]
struct Tunnel(u16);

const TUNNEL: Dialer = Dialer {
    key: "tunnel",
    described: "A tunnel to the system, by its port.",
    value: ValueType::of::<u16>(),
    asks: Some("keeper"),
    dial: |value, resolving| {
        Box::pin(async move {
            let port = u16::try_from(value.as_u64().unwrap_or_default()).unwrap_or_default();
            let known = resolving.systems.connections.contains_key("keeper");
            let scheme = if port == 25 { "smtp" } else { "http" };
            let way =
                Dialed { url: format!("{scheme}://127.0.0.1:{port}"), held: Some(Arc::new(Tunnel(port))) };
            if known { Ok(way) } else { Err(Diag::new("no-way", "there is no keeper").help("add one")) }
        })
    },
};

const MADE_UP: Vocabulary =
    Vocabulary { roles: &[&BEACON], sources: &[&ENV, &FILE, &VAULT], dialers: &[&TUNNEL] };

fn load(connections: &str) -> Result<Environment, String> {
    let mut file = tempfile::Builder::new().suffix("environment.yaml").tempfile().unwrap();
    write!(file, "proofmark: v1\nconnections:\n{connections}").unwrap();
    Environment::load(file.path(), &MADE_UP).map_err(|wrong| rendered(&wrong))
}

fn rendered(wrong: &[Diag]) -> String {
    wrong.iter().map(|diag| diag.render(false)).collect::<Vec<_>>().join("\n")
}

fn uses(pairs: &[(&str, &str)]) -> Uses {
    let mut uses = Uses::new();
    for (name, role) in pairs {
        uses.entry((*name).to_owned()).or_default().insert((*role).to_owned());
    }
    uses
}

async fn resolve(environment: &Environment, pairs: &[(&str, &str)], exec: bool) -> Result<Systems, String> {
    let uses = uses(pairs);
    let misfits = environment.misfits(&uses);
    if !misfits.is_empty() {
        return Err(rendered(&misfits));
    }
    let resolved = environment.resolve(&uses, exec, &Clock::real(), Redactor::default()).await;
    resolved.map_err(|wrong| rendered(&wrong))
}

#[tokio::test]
async fn an_address_of_a_form_of_its_own_becomes_a_part() {
    let basic = "basic: { username: ann, password: { vault: { shelf: 1 } } }";
    let text = format!("  beacon: {{ url: 'beacon|red', {basic} }}\n  keeper: {{ url: 'http://k' }}\n");
    let systems = resolve(&load(&text).unwrap(), &[("beacon", "beacon")], true).await.unwrap();
    let beacon = systems.connections["beacon"].part::<Beacon>().unwrap();
    assert_eq!(beacon.login.as_deref(), Some("ann"), "the form takes its login over");
    assert_eq!(systems.connections["beacon"].basic, None);
    let environment = load("  beacon: { url: 'beacon|red', region: north }\n").unwrap();
    let systems = resolve(&environment, &[("beacon", "beacon")], false).await.unwrap();
    let connection = &systems.connections["beacon"];
    assert_eq!(connection.part(), Some(&Beacon { colour: "red".into(), login: None }));
    assert_eq!((connection.url.as_ref(), connection.region.as_deref()), (None, Some("north")));
    let clean = systems.redactor.clean_text("it is beacon|red").into_inner();
    assert!(!clean.contains("red"), "{clean}");
    assert!(MADE_UP.tells_password("beacon|password") && !MADE_UP.tells_password("http://password"));
}

#[tokio::test]
async fn a_role_brings_its_own_words() {
    for (connection, role, words) in [
        (
            "{ url: 'beacon|red' }",
            "prometheus",
            "its url is that of a beacon, and the role is asked over HTTP",
        ),
        ("{ url: 'http://a' }", "beacon", "begins with `http://`, and the role is a beacon"),
        ("{ url: 'http://a' }", "beacon", "write `beacon|COLOUR`, or `lamp://host`"),
        ("{ url: 'beacon|red', tls: {} }", "beacon", "does not read `tls`"),
        ("{ url: 'beacon|red', tls: {} }", "beacon", "reads `basic`, `region`"),
        ("{ url: 'lamp://a' }", "beacon", "the lamp `it` at 8 has no `region`"),
        ("{ url: 'beacon|' }", "beacon", "cannot be read: it has no colour"),
        ("{ url: 'beacon|' }", "beacon", "write it whole: `http://host:9090`, `beacon|COLOUR`"),
        ("{ url: 'lamp://a', region: inland }", "beacon", "there is no beacon inland"),
    ] {
        let environment = load(&format!("  it: {connection}\n")).unwrap();
        let wrong = resolve(&environment, &[("it", role)], false).await.unwrap_err();
        assert!(wrong.contains(words) && wrong.contains("environment.yaml:3:"), "{connection}: {wrong}");
    }
}

#[tokio::test]
async fn a_source_asks_a_connection_that_is_resolved_first_and_its_programs_are_kept() {
    let text = "  a: { url: 'http://a', bearer: { vault: { shelf: 3 } } }\n  keeper: { url: 'http://k' }\n";
    let environment = load(text).unwrap();
    assert_eq!(environment.written()["a"]["bearer"], json!({ "vault": { "shelf": 3 } }));
    let systems = resolve(&environment, &[("a", "prometheus")], true).await.unwrap();
    let token = systems.connections["a"].bearer.as_ref().unwrap();
    assert_eq!(token.expose(), "secret 3 of http://k", "the line break at its end is taken off");
    assert_eq!(systems.programs.len(), 1);
    assert!(!systems.redactor.clean_text("a secret 3 of http://k").get().contains("secret"));
    let wrong = resolve(&environment, &[("a", "prometheus")], false).await.unwrap_err();
    assert!(wrong.contains("the secret comes from the shelf 3, which needs a permission"), "{wrong}");
    let alone = load("  a: { url: 'http://a', bearer: { vault: { shelf: 3 } } }\n").unwrap();
    assert!(resolve(&alone, &[("a", "prometheus")], true).await.unwrap_err().contains("there is no keeper"));
}

#[tokio::test]
async fn a_dialer_stands_in_the_place_of_a_url() {
    let keeper = "  keeper: { url: 'http://k' }\n";
    let environment = load(&format!("{keeper}  a: {{ tunnel: 80, headers: {{ X-Scope: '1' }} }}\n")).unwrap();
    assert_eq!(environment.written()["a"], json!({ "tunnel": 80, "headers": { "X-Scope": "1" } }));
    let systems = resolve(&environment, &[("a", "prometheus")], false).await.unwrap();
    assert_eq!(systems.connections["a"].url.as_deref(), Some("http://127.0.0.1:80"));
    assert_eq!(systems.connections["a"].part(), Some(&Tunnel(80)));
    for (text, words) in [
        ("  a: { tunnel: 80 }\n".to_owned(), "there is no keeper"),
        (format!("{keeper}  a: {{ tunnel: 25 }}\n"), "begins with `smtp://`"),
        (format!("{keeper}  a: {{ tunnel: 80, url: 'http://a' }}\n"), "two addresses, `url` and `tunnel`"),
    ] {
        let wrong = resolve(&load(&text).unwrap(), &[("a", "prometheus")], false).await.unwrap_err();
        assert!(wrong.contains(words), "{wrong}");
    }
}

#[test]
fn mistakes_are_found_where_they_stand() {
    for (connection, words) in [
        ("{ url: 'http://a', bearer: { valt: 1 } }", "did you mean `vault`? known here: env, file, vault"),
        ("{ url: 'http://a', bearer: { vault: { shelf: 300 } } }", "shelf: 300"),
        ("{ url: 'http://a', bearer: { vault: { self: 3 } } }", "unknown key `self`"),
        (
            "{ url: 'http://a', bearer: {} }",
            "`{ env: NAME }`, `{ file: PATH }` or `{ vault: { shelf: NUMBER } }`",
        ),
        ("{ tunel: 80 }", "did you mean `tunnel`?"),
        ("{ tunnel: far }", "expected a whole number from 0 to 65535, found the text \"far\""),
    ] {
        let wrong = load(&format!("  it: {connection}\n")).unwrap_err();
        assert!(wrong.contains(words) && wrong.contains("environment.yaml:3:"), "{connection}: {wrong}");
    }
}

#[test]
fn the_schema_has_what_the_vocabulary_adds() {
    let schema = schema(&MADE_UP);
    let definitions = &schema["$defs"];
    let keys: Vec<_> = definitions["SecretReference"]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["env", "file", "vault"]);
    let connection = &definitions["ConnectionFile"]["properties"];
    assert_eq!(connection["tunnel"]["description"], TUNNEL.described);
    assert_eq!(connection["tunnel"]["maximum"], 65_535);
    assert_eq!(connection["region"]["description"], "The coast of a beacon.");
    jsonschema::meta::validate(&schema).unwrap();
}

#[test]
fn variables_and_places_are_read_by_the_role() {
    let set = |name: &str| (name == "BEACON_COLOUR").then(|| "green".to_owned());
    let of_variables = |get| Environment::of_variables(&MADE_UP, Variables(get), &["beacon"]);
    let written = of_variables(&set).unwrap().written();
    assert_eq!(json!(written), json!({ "beacon": { "url": "beacon|green" } }));
    assert!(rendered(&of_variables(&|_| None).unwrap_err()).contains("BEACON_COLOUR is not set"));
    let place = |role, text| GivenPlace { role, text, flag: "--at", variable: "PLACE", endpoint: None };
    let of_places =
        |places: &[GivenPlace<'_>]| Environment::of_places(&MADE_UP, Variables(&|_| None), places);
    let written = of_places(&[place("beacon", "red"), place("other", "env:PLACE")]).unwrap().written();
    assert_eq!(
        json!(written),
        json!({ "beacon": { "url": "beacon|red" }, "other": { "url": { "env": "PLACE" } } })
    );
    let wrong = rendered(&of_places(&[place("other", "env:")]).unwrap_err());
    assert!(wrong.contains("write it like this: `--at env:PLACE`"), "{wrong}");
}

#[test]
fn a_login_is_restored_by_the_role_that_the_url_fits() {
    let written =
        [("beacon".to_owned(), json!({ "url": "lamp://a" })), ("b".to_owned(), json!({ "url": "http://b" }))];
    let of_run = |get| Environment::of_run(&MADE_UP, Variables(get), &written.clone().into()).written();
    assert_eq!(of_run(&|_| None).keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(of_run(&|_| Some("south".into()))["beacon"]["region"], "south");
}
