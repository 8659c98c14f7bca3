//! The kinds of this system, one file per kind.

pub mod alert_drill;
pub mod alert_silence;
pub mod alertmanager_alerts;
pub mod alertmanager_routes;
pub mod alertmanager_status;
