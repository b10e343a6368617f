//! Records as a Parquet file: groups of rows, one page a column in each, plain and without compression. That is the part of the
//! format that every reader knows; a library for all of it brings a dozen more and minutes of build for one button.

use serde_json::Value as Json;

const MAGIC: &[u8; 4] = b"PAR1";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Integer,
    Real,
    Text,
}

impl Kind {
    /// The narrowest that takes a value and what came before it; what is mixed is text. Nothing: no value came yet.
    pub(crate) fn with(known: Option<Self>, value: &Json) -> Option<Self> {
        let own = match value {
            Json::Null => return known,
            Json::Bool(_) => Self::Boolean,
            Json::Number(number) if number.as_i64().is_some() => Self::Integer,
            // More digits than a double holds stay digits.
            Json::Number(number) if number.to_string().len() <= 15 => Self::Real,
            _ => Self::Text,
        };
        Some(match (known, own) {
            (None, own) => own,
            (Some(Self::Integer), Self::Real) | (Some(Self::Real), Self::Integer) => Self::Real,
            (Some(known), own) if known == own => known,
            _ => Self::Text,
        })
    }
    /// The format's number of the physical type.
    fn number(self) -> i64 {
        match self {
            Self::Boolean => 0,
            Self::Integer => 2,
            Self::Real => 5,
            Self::Text => 6,
        }
    }
}

/// A column of the file.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// What it holds in all records.
    pub(crate) kind: Kind,
}

/// A file that is written group by group; a value that a record lacks is null.
pub(crate) struct File {
    columns: Vec<Column>,
    groups: Vec<Group>,
    /// Where the next byte stands.
    at: usize,
}

/// Rows that stand together.
struct Group {
    rows: usize,
    /// Where each column's page begins, and its bytes.
    pages: Vec<(usize, usize)>,
}

impl File {
    /// A file with these columns, and how it begins.
    pub(crate) fn new(columns: Vec<Column>) -> (Self, Vec<u8>) {
        (Self { columns, groups: Vec::new(), at: MAGIC.len() }, MAGIC.to_vec())
    }

    /// The bytes of some more rows.
    pub(crate) fn group<'r>(&mut self, records: &'r [Json], cell: impl Fn(&'r Json, &str) -> &'r Json) -> Vec<u8> {
        let (mut out, mut pages) = (Vec::new(), Vec::with_capacity(self.columns.len()));
        for column in &self.columns {
            let values: Vec<&Json> = records.iter().map(|record| cell(record, &column.name)).collect();
            let page = page(column.kind, &values);
            pages.push((self.at + out.len(), page.len()));
            out.extend(page);
        }
        self.at += out.len();
        self.groups.push(Group { rows: records.len(), pages });
        out
    }

    /// How it ends.
    pub(crate) fn end(self) -> Vec<u8> {
        let mut out = footer(&self.columns, &self.groups);
        out.extend(u32::try_from(out.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(MAGIC);
        out
    }
}

fn number(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// A column's only page, with its header.
fn page(kind: Kind, values: &[&Json]) -> Vec<u8> {
    let levels = levels(values);
    let mut body = u32::try_from(levels.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    body.extend(levels);
    body.extend(plain(kind, values));
    let mut header = Thrift::default();
    header.int(1, I32, 0);
    header.int(2, I32, number(body.len()));
    header.int(3, I32, number(body.len()));
    header.begin(5);
    header.int(1, I32, number(values.len()));
    header.int(2, I32, 0);
    header.int(3, I32, 3);
    header.int(4, I32, 3);
    header.end();
    header.end();
    let mut out = header.out;
    out.extend(body);
    out
}

/// Which values are there, as runs of ones and zeros.
fn levels(values: &[&Json]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in values.chunk_by(|a, b| a.is_null() == b.is_null()) {
        varint(&mut out, (run.len() as u64) << 1);
        out.push(u8::from(run.first().is_some_and(|value| !value.is_null())));
    }
    out
}

/// The values that are there, one behind the other.
fn plain(kind: Kind, values: &[&Json]) -> Vec<u8> {
    let there = values.iter().filter(|value| !value.is_null());
    let mut out = Vec::new();
    match kind {
        Kind::Boolean => {
            let all: Vec<bool> = there.map(|value| value.as_bool().unwrap_or(false)).collect();
            for eight in all.chunks(8) {
                out.push(eight.iter().enumerate().fold(0, |byte, (at, bit)| byte | (u8::from(*bit) << at)));
            }
        }
        Kind::Integer => there.for_each(|value| out.extend(value.as_i64().unwrap_or(0).to_le_bytes())),
        Kind::Real => there.for_each(|value| out.extend(value.as_f64().unwrap_or(0.0).to_le_bytes())),
        Kind::Text => {
            for value in there {
                let text = super::text(value);
                out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                out.extend(text.as_bytes());
            }
        }
    }
    out
}

fn footer(columns: &[Column], groups: &[Group]) -> Vec<u8> {
    let mut out = Thrift::default();
    out.int(1, I32, 1);
    out.list(2, STRUCT, columns.len() + 1);
    out.enter();
    out.text(4, "records");
    out.int(5, I32, number(columns.len()));
    out.end();
    for column in columns {
        out.enter();
        out.int(1, I32, column.kind.number());
        out.int(3, I32, 1);
        out.text(4, &column.name);
        if column.kind == Kind::Text {
            out.int(6, I32, 0);
        }
        out.end();
    }
    out.int(3, I64, number(groups.iter().map(|group| group.rows).sum()));
    out.list(4, STRUCT, groups.len());
    groups.iter().for_each(|group| row_group(&mut out, columns, group));
    out.text(6, "tidegate");
    out.end();
    out.out
}

fn row_group(out: &mut Thrift, columns: &[Column], group: &Group) {
    out.enter();
    out.list(1, STRUCT, columns.len());
    for (column, (at, bytes)) in columns.iter().zip(&group.pages) {
        out.enter();
        out.int(2, I64, number(*at));
        out.begin(3);
        out.int(1, I32, column.kind.number());
        out.list(2, I32, 2);
        out.bare(0);
        out.bare(3);
        out.list(3, BINARY, 1);
        out.bare_text(&column.name);
        out.int(4, I32, 0);
        out.int(5, I64, number(group.rows));
        out.int(6, I64, number(*bytes));
        out.int(7, I64, number(*bytes));
        out.int(9, I64, number(*at));
        out.end();
        out.end();
    }
    out.int(2, I64, number(group.pages.iter().map(|(_, bytes)| bytes).sum()));
    out.int(3, I64, number(group.rows));
    out.end();
}

// Types of Thrift's compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// As much of Thrift's compact protocol as a footer needs.
#[derive(Default)]
struct Thrift {
    out: Vec<u8>,
    /// The last field of the structure at hand.
    last: u8,
    outer: Vec<u8>,
}

impl Thrift {
    fn field(&mut self, id: u8, kind: u8) {
        // Fields come in order and less than 16 apart.
        self.out.push(((id - self.last) << 4) | kind);
        self.last = id;
    }
    fn int(&mut self, id: u8, kind: u8, value: i64) {
        self.field(id, kind);
        self.bare(value);
    }
    fn text(&mut self, id: u8, value: &str) {
        self.field(id, BINARY);
        self.bare_text(value);
    }
    fn bare(&mut self, value: i64) {
        varint(&mut self.out, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }
    fn bare_text(&mut self, value: &str) {
        varint(&mut self.out, value.len() as u64);
        self.out.extend(value.as_bytes());
    }
    fn list(&mut self, id: u8, kind: u8, len: usize) {
        self.field(id, LIST);
        match u8::try_from(len) {
            Ok(short @ 0..15) => self.out.push((short << 4) | kind),
            _ => {
                self.out.push(0xf0 | kind);
                varint(&mut self.out, len as u64);
            }
        }
    }
    /// A structure as a field.
    fn begin(&mut self, id: u8) {
        self.field(id, STRUCT);
        self.enter();
    }
    /// A structure as an item of a list.
    fn enter(&mut self) {
        self.outer.push(std::mem::take(&mut self.last));
    }
    fn end(&mut self) {
        self.out.push(0);
        self.last = self.outer.pop().unwrap_or(0);
    }
}

/// The lowest seven bits.
fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low(value) | 0x80);
        value >>= 7;
    }
    out.push(low(value));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_take_the_narrowest_kind() {
        let kind = |values: &[Json]| values.iter().fold(None, Kind::with);
        assert_eq!(kind(&[json!(1), Json::Null, json!(-5)]), Some(Kind::Integer));
        assert_eq!(kind(&[json!(1), json!(2.5)]), Some(Kind::Real));
        assert_eq!(kind(&[json!(true), json!(false)]), Some(Kind::Boolean));
        assert_eq!(kind(&[json!(true), json!(1)]), Some(Kind::Text));
        assert_eq!(kind(&[Json::Null]), None);
    }

    #[test]
    fn what_is_there_is_told_in_runs() {
        let values = [json!(1), json!(2), Json::Null, json!(3)];
        let values: Vec<&Json> = values.iter().collect();
        assert_eq!(levels(&values), [4, 1, 2, 0, 2, 1]);
    }
}
