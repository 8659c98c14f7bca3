//! What the program does where systems are missing, and whether the list of what may be missing is right.

use super::*;
use std::path::{Path, PathBuf};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evidence/runs")
}

/// The run of every kind.
const EVERY_KIND: &str = "20261128T141933Z-52kthf";

#[cfg(all(feature = "alerting", feature = "backup"))]
mod with_all {
    use super::*;

    #[test]
    fn the_optional_kinds_are_those_of_the_systems() {
        let names = |system: &&System| {
            let checks = system.checks.iter().map(|kind| kind.info.name);
            let mut names: Vec<_> = checks.chain(system.acts.iter().map(|kind| kind.info.name)).collect();
            names.sort_unstable();
            (system.name, names)
        };
        let built: Vec<_> = SYSTEMS.iter().skip(1).map(names).collect();
        let listed: Vec<_> = OPTIONAL.iter().map(|(feature, kinds)| (*feature, kinds.to_vec())).collect();
        assert_eq!(built, listed);
        assert!(
            OPTIONAL
                .iter()
                .flat_map(|(_, kinds)| *kinds)
                .all(|kind| registry().missing_feature(kind).is_none())
        );
    }

    #[test]
    fn a_registry_without_a_system_verifies_the_hashes_and_says_what_it_lacks() {
        let slim = Registry::new(SYSTEMS.iter().copied().take(1), OPTIONAL);
        let run = proofmark_evidence::record::read(&kept().join(EVERY_KIND)).unwrap();
        let (slim, whole) = (
            proofmark_engine::verify::verify(&run, &slim),
            proofmark_engine::verify::verify(&run, registry()),
        );
        assert_eq!((slim.files, &slim.different), (whole.files, &whole.different));
        assert_eq!(slim.steps + slim.open.len(), whole.steps);
    }
}

#[cfg(not(feature = "prometheus"))]
mod without {
    use super::*;
    use crate::app::observer::Silent;
    use crate::app::options::RunOptions;
    use crate::app::recover::{RecoverRequest, recover};
    use proofmark_engine::scenario::Selection;
    use proofmark_model::Exit;
    use proofmark_model::clock::Clock;

    #[test]
    fn hashes_are_verified_and_what_cannot_be_judged_is_named() {
        let verified = crate::app::verify::verify(Some(EVERY_KIND), &kept()).unwrap();
        assert_eq!((verified.exit, &verified.verified.different), (Exit::Unverified, &vec![]));
        assert!(verified.verified.files > 90 && verified.verified.steps > 10);
        let lacks = |feature: &str| {
            let end = format!("is not judged: built without {feature}");
            verified.verified.open.iter().any(|line| line.contains("hashes hold; ") && line.ends_with(&end))
        };
        assert!(lacks("prometheus") && lacks("alerting"), "{:?}", verified.verified.open);
        #[cfg(not(feature = "backup"))]
        assert!(lacks("backup") && lacks("postgres") && lacks("objects"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes what it recovers")]
    fn a_change_of_a_kind_that_is_missing_is_refused_by_name() {
        let journal = std::fs::read_to_string(kept().join(EVERY_KIND).join("journal.jsonl")).unwrap();
        let promised =
            journal.lines().find(|line| line.contains("promised") && line.contains("alert-silence"));
        let evidence = tempfile::tempdir().unwrap();
        std::fs::create_dir(evidence.path().join(EVERY_KIND)).unwrap();
        let text = format!("{}\n", promised.unwrap());
        std::fs::write(evidence.path().join(EVERY_KIND).join("journal.jsonl"), text).unwrap();
        let options = RunOptions { evidence: evidence.path().to_owned(), ..RunOptions::default() };
        let request = RecoverRequest { all: true, options, ..RecoverRequest::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refused = runtime.block_on(recover(&request, &Silent, &Clock::real())).unwrap_err();
        let said: Vec<_> = refused.diagnostics().into_iter().map(|diag| diag.message).collect();
        assert_eq!(refused.exit(), Exit::Owed);
        assert!(
            said.iter().any(|said| said.ends_with("this program was built without `alerting`")),
            "{said:?}"
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes what it reads")]
    fn a_scenario_that_needs_a_missing_system_is_a_mistake_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("up.yaml");
        let text = "proofmark: v1\ntitle: t\nclaim: c\nsteps:\n  - id: up\n    check: { prometheus-query: { query: up } }\n";
        std::fs::write(&file, text).unwrap();
        let selection = Selection { paths: vec![file], ..Selection::default() };
        let wrong = crate::app::plan::plan(&selection, None, &Clock::real()).unwrap_err();
        assert_eq!(wrong.iter().map(|diag| diag.code).collect::<Vec<_>>(), ["built-without"]);
        assert!(wrong[0].message.contains("built without `prometheus`"), "{}", wrong[0].message);
    }
}
