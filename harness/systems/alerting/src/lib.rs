//! The systems that alerts pass through: Alertmanager, the rules of Prometheus and of Grafana, and the receiver.

pub mod client;
mod kinds;

use proofmark_engine::{ActKind, CheckKind, System};

/// The kinds and connections of this system.
pub const SYSTEM: System = System {
    name: "alerting",
    roles: &[&client::receiver::ROLE],
    checks: &[
        CheckKind::of::<kinds::alertmanager_alerts::AlertmanagerAlerts>(),
        CheckKind::of::<kinds::alertmanager_routes::AlertmanagerRoutes>(),
        CheckKind::of::<kinds::alertmanager_status::AlertmanagerStatus>(),
    ],
    acts: &[
        ActKind::of::<kinds::alert_drill::AlertDrill>(),
        ActKind::of::<kinds::alert_silence::AlertSilence>(),
    ],
    ..System::EMPTY
};
