//! The calls, one file each.

mod audit;
mod conflict_resolve;
mod conflicts;
mod conflicts_csv;
mod connection;
mod connection_automation;
mod connection_check;
mod connection_discover;
mod connection_enabled;
mod connection_file;
mod connection_file_check;
mod connection_full_sync;
mod connection_records;
mod connection_records_csv;
mod connection_records_parquet;
mod connection_remove;
mod connection_save;
mod connection_setup;
mod connection_sign_in;
mod connection_sign_in_end;
mod connection_usage;
mod connections;
mod hook;
mod kinds;
mod logs;
mod me;
mod prelude;
mod project;
mod rejects;
mod rejects_csv;
mod run;
mod run_cancel;
mod run_log;
mod run_undo;
mod run_writes;
mod runs;
mod secret_remove;
mod secret_set;
mod secrets;
mod sync;
mod sync_automation;
mod sync_check;
mod sync_file;
mod sync_file_check;
mod sync_file_plan;
mod sync_pause;
mod sync_plan;
mod sync_preview;
mod sync_remove;
mod sync_resume;
mod sync_run;
mod sync_save;
mod sync_unqueue;
mod sync_why;
mod syncs;
mod token_add;
mod token_remove;
mod tokens;
mod user_put;
mod user_remove;
mod users;

use super::Endpoint;

/// Every call.
pub(super) fn all() -> Vec<Endpoint> {
    vec![
        audit::endpoint(),
        conflict_resolve::endpoint(),
        conflicts::endpoint(),
        conflicts_csv::endpoint(),
        connection::endpoint(),
        connection_automation::endpoint(),
        connection_check::endpoint(),
        connection_discover::endpoint(),
        connection_enabled::endpoint(),
        connection_file::endpoint(),
        connection_file_check::endpoint(),
        connection_full_sync::endpoint(),
        connection_records::endpoint(),
        connection_records_csv::endpoint(),
        connection_records_parquet::endpoint(),
        connection_remove::endpoint(),
        connection_save::endpoint(),
        connection_setup::endpoint(),
        connection_sign_in::endpoint(),
        connection_sign_in_end::endpoint(),
        connection_usage::endpoint(),
        connections::endpoint(),
        hook::endpoint(),
        kinds::endpoint(),
        logs::endpoint(),
        me::endpoint(),
        project::endpoint(),
        rejects::endpoint(),
        rejects_csv::endpoint(),
        run::endpoint(),
        run_cancel::endpoint(),
        run_log::endpoint(),
        run_undo::endpoint(),
        run_writes::endpoint(),
        runs::endpoint(),
        secret_remove::endpoint(),
        secret_set::endpoint(),
        secrets::endpoint(),
        sync::endpoint(),
        sync_automation::endpoint(),
        sync_check::endpoint(),
        sync_file::endpoint(),
        sync_file_check::endpoint(),
        sync_file_plan::endpoint(),
        sync_pause::endpoint(),
        sync_plan::endpoint(),
        sync_preview::endpoint(),
        sync_remove::endpoint(),
        sync_resume::endpoint(),
        sync_run::endpoint(),
        sync_save::endpoint(),
        sync_unqueue::endpoint(),
        sync_why::endpoint(),
        syncs::endpoint(),
        token_add::endpoint(),
        token_remove::endpoint(),
        tokens::endpoint(),
        user_put::endpoint(),
        user_remove::endpoint(),
        users::endpoint(),
    ]
}
