//! Columns of a grid as Postgres arrays in binary, so that many rows travel in one statement.

use bytes::{BufMut, BytesMut};
use tidegate_model::{Error, Result};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::hub::cell::{Cell, CellRef, Grid, Kind};

/// An array parameter, encoded.
#[derive(Debug)]
pub struct Array(BytesMut);

/// The Postgres type of an array of this kind. Exact numbers travel as text and are cast in SQL.
pub fn array_type(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8_ARRAY,
        Kind::Real => Type::FLOAT8_ARRAY,
        Kind::Text | Kind::Dec => Type::TEXT_ARRAY,
        Kind::Blob => Type::BYTEA_ARRAY,
    }
}

fn element(kind: Kind) -> Type {
    match kind {
        Kind::Int => Type::INT8,
        Kind::Real => Type::FLOAT8,
        Kind::Text | Kind::Dec => Type::TEXT,
        Kind::Blob => Type::BYTEA,
    }
}

fn length(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).map_err(|_| Error::internal("a cell or page is larger than Postgres takes in one value"))
}

impl Array {
    /// Encodes one column of a grid.
    pub fn of(kind: Kind, rows: &dyn Grid, column: usize) -> Result<Self> {
        let count = rows.rows();
        let mut out = BytesMut::with_capacity(32 + count * 16);
        out.put_i32(1);
        out.put_i32(1);
        out.put_u32(element(kind).oid());
        out.put_i32(length(count)?);
        out.put_i32(1);
        for row in 0..count {
            match rows.cell(column, row) {
                CellRef::Null => out.put_i32(-1),
                CellRef::Int(n) if kind == Kind::Int => {
                    out.put_i32(8);
                    out.put_i64(n);
                }
                CellRef::Real(x) if kind == Kind::Real => {
                    out.put_i32(8);
                    out.put_f64(x);
                }
                CellRef::Text(text) if matches!(kind, Kind::Text | Kind::Dec) => {
                    out.put_i32(length(text.len())?);
                    out.put_slice(text.as_bytes());
                }
                CellRef::Blob(bytes) if kind == Kind::Blob => {
                    out.put_i32(length(bytes.len())?);
                    out.put_slice(bytes);
                }
                _ => return Err(Error::internal("a cell is not of its column's kind")),
            }
        }
        length(out.len())?;
        Ok(Self(out))
    }
}

impl ToSql for Array {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

/// A single parameter.
#[derive(Debug)]
pub struct Param(pub Cell);

impl Param {
    /// Its Postgres type; NULL takes what the statement says.
    pub fn type_of(&self) -> Type {
        match self.0 {
            Cell::Null => Type::UNKNOWN,
            Cell::Int(_) => Type::INT8,
            Cell::Real(_) => Type::FLOAT8,
            Cell::Text(_) => Type::TEXT,
            Cell::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Param {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Int(n) => out.put_i64(*n),
            Cell::Real(x) => out.put_f64(*x),
            Cell::Text(text) => out.put_slice(text.as_bytes()),
            Cell::Blob(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}
