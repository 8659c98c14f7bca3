//! The clients of Alertmanager, Grafana's alerting and the receiver.

pub mod alertmanager;
pub mod grafana;
pub mod receiver;
