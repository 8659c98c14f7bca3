//! How Alertmanager, Grafana's alerting and the receiver are talked to.

pub mod alertmanager;
pub mod grafana;
pub mod receiver;
