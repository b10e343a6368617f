//! Postgres.

use crate::sqlite::Conn as Session;
use tidegate_model::error::{Error, Result};

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Write,
    Query,
    Snapshot,
}

pub(crate) struct Postgres;
impl Postgres {
    pub(crate) async fn open(_url: &str, _schema: Option<&str>) -> Result<Self> {
        Err(Error::config("Postgres is not built yet"))
    }
    pub(crate) async fn begin(&self, _mode: Mode) -> Result<Session> {
        Err(Error::config("Postgres is not built yet"))
    }
    pub(crate) async fn end<R>(&self, _session: Session, _mode: Mode, out: Result<R>) -> Result<R> {
        out
    }
    pub(crate) async fn scrub(&self) -> Result<()> {
        Ok(())
    }
}
