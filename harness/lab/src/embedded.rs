//! The demo's files inside the program, so that `proofmark demo` works outside a checkout.

macro_rules! files {
    ($($(#[$doc:meta])* $list:ident in $folder:literal { $($name:literal),+ $(,)? })+) => { $(
        $(#[$doc])*
        pub const $list: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $folder, "/", $name)))),+];
    )+ };
}

files! {
    /// The demo's scenarios: file name and text.
    SCENARIOS in "scenarios/demo" { "backup.yaml", "monitoring.yaml", "page.yaml", "restore.yaml", "shop.yaml" }

    /// The demo's twins: file name and text.
    TWINS in "fixtures/twins/demo" {
        "bad-reload.yaml", "degraded.yaml", "empty-backup.yaml", "failed-orders.yaml", "no-help.yaml",
        "page-silenced.yaml", "renamed.yaml", "stale-backup.yaml", "standstill.yaml",
        "unrestorable.yaml", "worker-down.yaml",
    }
}

/// The demo's world when all is well.
pub const WORLD: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/twins/demo/world.yaml"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Twin, WorldSpec};

    fn names(folder: &str) -> Vec<String> {
        let folder = format!("{}/../../{folder}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "world.yaml");
        names.sort();
        names
    }

    #[test]
    fn no_file_of_the_demo_is_forgotten() {
        let listed =
            |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(listed(SCENARIOS), names("scenarios/demo"));
        assert_eq!(listed(TWINS), names("fixtures/twins/demo"));
    }

    #[test]
    fn every_scenario_of_the_demo_has_a_twin() {
        WorldSpec::parse(WORLD).unwrap();
        let twins: Vec<Twin> = TWINS.iter().map(|(name, text)| Twin::parse(name, text).unwrap()).collect();
        assert!(twins.iter().any(|twin| twin.in_demo));
        for (name, _) in SCENARIOS {
            let id = format!("demo/{}", name.trim_end_matches(".yaml"));
            assert!(twins.iter().any(|twin| twin.twin_of == id), "{id} has no twin");
        }
    }
}
