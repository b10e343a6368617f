//! The warehouses: SQL systems that a data team owns. Each is one folder and one line in [`list`]; all implement
//! [`tidegate_model::ports::Warehouse`] and pass the suite `tidegate_testkit::warehouse_suite`.

mod arrived;
pub mod bigquery;
mod builder;
mod cell;
mod cut;
mod fence;
mod findings;
mod fit;
pub mod list;
mod loading;
mod near;
mod postgres;
mod records;
pub mod snowflake;
mod sources;
mod sqlite;

pub use list::{KindInfo, OpenContext, kinds, login, open};
pub use postgres::Script;
pub use tidegate_net::oauth::in_memory;
