//! The tests of the library and of the program as people call it: one binary, so that the library is linked once and tests
//! that wait do so side by side. A module is a subject.

#[path = "../ground"]
mod ground {
    pub mod backups;
    pub mod between;
    pub mod database;
    pub mod gate;
    pub mod hook;
    pub mod house;
    pub mod lasting;
    pub mod look;
    pub mod objects;
    pub mod postgres;
    pub mod program;
    pub mod store;
}

mod live;
mod pair;

mod alert_drill;
mod alert_drill_grafana_stand_in;
mod alert_silence;
mod alertmanager;
mod alertmanager_routes;
mod app;
mod audit;
mod backup;
mod backup_archive;
mod backup_commands;
mod backup_foreign;
mod backup_kills;
mod backup_notices;
mod backup_picture;
mod backup_restore;
mod backup_source;
mod bad_input;
mod can_fire;
mod captures;
mod clients;
mod command_line;
mod docs;
mod ends;
mod engine;
mod error_codes;
mod evidence;
mod faults;
mod grafana_stand_in;
mod http_act;
mod layers;
mod leaks;
mod ledger;
mod old_evidence;
mod phase5;
mod pipeline;
mod postgres;
mod postgres_ways;
mod process_stop;
mod programs;
mod prometheus;
mod prometheus_live;
mod reading;
mod receiver;
mod schema;
mod side_by_side;
mod terminal;
mod traps;
mod traps_file;
mod traps_log_lines;
mod traps_metrics;
mod traps_objects;
mod traps_uploads;
mod try_one;
mod words;
