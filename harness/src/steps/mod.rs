//! The kinds of steps: one file per kind, one line in the list of its system.

mod erased;
mod kind;
mod registry;
mod settings;

pub use erased::{
    ActKind, AnyAct, AnyCheck, CheckKind, ErasedAct, ErasedCheck, ErasedKind, KindInfo, Memory,
};
pub use kind::{Act, Check, Cx, Kind, StepError};
pub use registry::{Registry, System};

use crate::model::Permission;
use settings::{present, without_reason};

mod alert_drill;
mod alert_silence;
mod alertmanager_alerts;
mod alertmanager_routes;
mod alertmanager_status;
mod archive;
mod backup;
mod backup_catalogue;
mod backup_prune;
mod backup_verify;
mod command;
mod file;
mod http;
#[cfg(test)]
mod judgements;
mod log_lines;
mod metrics;
mod prometheus_alerts;
mod postgres_query;
mod postgres_tables;
mod process_stop;
mod prometheus_query;
mod prometheus_rules;
mod prometheus_series;
mod prometheus_status;
mod prometheus_targets;
mod restore_drill;
mod s3_bucket;
mod s3_objects;
mod target;

/// The machine that the program runs on, and whatever answers over HTTP.
pub const HOST: System = System {
    name: "host",
    sources: &[&crate::clients::command::SECRET],
    checks: &[
        CheckKind::of::<file::File>(),
        CheckKind::of::<http::Http>(),
        CheckKind::of::<log_lines::LogLines>(),
    ],
    acts: &[
        ActKind::of::<command::Command>(),
        ActKind::of::<http::change::HttpChange>(),
        ActKind::of::<process_stop::ProcessStop>(),
    ],
    ..System::EMPTY
};

/// Prometheus, and what speaks its API or its exposition format.
pub const PROMETHEUS: System = System {
    name: "prometheus",
    checks: &[
        CheckKind::of::<metrics::Metrics>(),
        CheckKind::of::<prometheus_alerts::PrometheusAlerts>(),
        CheckKind::of::<prometheus_query::PrometheusQuery>(),
        CheckKind::of::<prometheus_rules::PrometheusRules>(),
        CheckKind::of::<prometheus_series::PrometheusSeries>(),
        CheckKind::of::<prometheus_status::PrometheusStatus>(),
        CheckKind::of::<prometheus_targets::PrometheusTargets>(),
    ],
    ..System::EMPTY
};

/// What alerts go through: Alertmanager, and the rules of Prometheus and Grafana.
pub const ALERTING: System = System {
    name: "alerting",
    roles: &[&crate::clients::receiver::ROLE],
    checks: &[
        CheckKind::of::<alertmanager_alerts::AlertmanagerAlerts>(),
        CheckKind::of::<alertmanager_routes::AlertmanagerRoutes>(),
        CheckKind::of::<alertmanager_status::AlertmanagerStatus>(),
    ],
    acts: &[ActKind::of::<alert_drill::AlertDrill>(), ActKind::of::<alert_silence::AlertSilence>()],
    ..System::EMPTY
};

/// PostgreSQL databases.
pub const POSTGRES: System = System {
    name: "postgres",
    roles: &[&crate::clients::postgres::ROLE, &crate::clients::postgres::LIVE],
    checks: &[
        CheckKind::of::<postgres_query::PostgresQuery>(),
        CheckKind::of::<postgres_tables::PostgresTables>(),
    ],
    ..System::EMPTY
};

/// Buckets, and folders that are used like one.
pub const OBJECTS: System = System {
    name: "objects",
    roles: &[&crate::clients::objects::ROLE],
    checks: &[CheckKind::of::<s3_bucket::S3Bucket>(), CheckKind::of::<s3_objects::S3Objects>()],
    ..System::EMPTY
};

/// Backups of databases.
pub const BACKUP: System = System {
    name: "backup",
    roles: &[&crate::backup::alarm::ROLE, &crate::clients::docker::ROLE],
    checks: &[
        CheckKind::of::<backup_catalogue::BackupCatalogue>(),
        CheckKind::of::<backup_verify::BackupVerify>(),
    ],
    acts: &[
        ActKind::of::<backup::Backup>(),
        ActKind::of::<backup_prune::BackupPrune>(),
        ActKind::of::<restore_drill::RestoreDrill>(),
    ],
    ..System::EMPTY
};
