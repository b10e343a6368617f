//! Rows on their way in: as one JSON text that a statement binds and the warehouse takes apart again. One value per
//! statement, however many rows; each cell a text, so that no number passes through a float.

use tidegate_model::{Error, Result};

use super::catalog::SourceColumn;
use super::types::from_text;
use crate::cell::Cell;

/// A statement carries at most this much: far below the 16 MB that a text may have.
pub(super) const PIECE_BYTES_MAX: usize = 4 << 20;
/// The largest row that is sent: with its escapes it must fit a text together with the piece before it.
pub(super) const ROW_BYTES_MAX: usize = 4 << 20;

/// Rows being written, as JSON: `[["a","1"],["b",null]]`.
#[derive(Debug, Default)]
pub(super) struct Piece {
    json: String,
    rows: usize,
}

impl Piece {
    /// Begins a row.
    pub(super) fn begin(&mut self) {
        self.json.push_str(if self.rows == 0 { "[[" } else { ",[" });
    }

    /// Adds a cell to the row in hand.
    pub(super) fn push(&mut self, text: Option<&str>) -> Result<()> {
        if !self.json.ends_with('[') {
            self.json.push(',');
        }
        match text {
            None => self.json.push_str("null"),
            Some(text) => {
                let quoted =
                    serde_json::to_string(text).map_err(|error| Error::internal("write a cell").cause(error))?;
                self.json.push_str(&quoted);
            }
        }
        Ok(())
    }

    /// Ends the row in hand; true when the piece is full.
    pub(super) fn end(&mut self) -> bool {
        self.json.push(']');
        self.rows += 1;
        self.json.len() >= PIECE_BYTES_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.json.len()
    }

    /// The text to bind; starts again.
    pub(super) fn take(&mut self) -> String {
        let mut json = std::mem::take(&mut self.json);
        if self.rows == 0 {
            json.push('[');
        }
        json.push(']');
        self.rows = 0;
        json
    }
}

/// The text of one cell of a piece, within [`unfolded`].
pub(super) fn cell_text(at: usize) -> String {
    format!("CAST(F.VALUE[{at}] AS VARCHAR)")
}

/// A cell of a piece as a value of its column.
pub(super) fn cell_value(at: usize, column: &SourceColumn) -> String {
    value_of(column, &cell_text(at))
}

/// A text, as an expression, as a value of a column.
pub(super) fn value_of(column: &SourceColumn, text: &str) -> String {
    let native = column.native.split(" COLLATE").next().unwrap_or(&column.native);
    from_text(column.kind, native, text)
}

/// Rows of a bound piece: `SELECT … FROM`.
pub(super) fn unfolded(list: &[String]) -> String {
    format!("SELECT {} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) F", list.join(", "))
}

/// A cell as text; `None` for NULL.
pub(super) fn text_of(cell: &Cell<'_>) -> Result<Option<String>> {
    Ok(match cell {
        Cell::Null => None,
        Cell::Float(x) => Some(format!("{x:e}")),
        Cell::Timestamp(_) => Some(cell.clone().into_value().to_string().replace('T', " ")),
        Cell::TimestampTz(_) => Some(cell.clone().into_value().to_string().replace('T', " ").replace('Z', "+00:00")),
        Cell::Text(text) | Cell::Json(text) | Cell::List(text) => Some(text.clone().into_owned()),
        Cell::Bool(_) | Cell::Int(_) | Cell::Decimal(_) | Cell::Date(_) | Cell::Time(_) | Cell::Binary(_) => {
            Some(cell.clone().into_value().to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_json_whatever_stands_in_it() {
        let mut piece = Piece::default();
        for row in [[Some("it's \"q\" \\ \u{1}å"), None], [Some(""), Some("2")]] {
            piece.begin();
            row.into_iter().for_each(|cell| piece.push(cell).expect("a cell"));
            assert!(!piece.end());
        }
        let json: Vec<Vec<Option<String>>> = serde_json::from_str(&piece.take()).expect("JSON");
        assert_eq!(
            json,
            [[Some("it's \"q\" \\ \u{1}å".to_owned()), None], [Some(String::new()), Some("2".to_owned())]]
        );
        assert_eq!(piece.take(), "[]");
    }

    #[test]
    fn a_cell_keeps_all_of_its_digits() {
        let text = |cell: Cell<'_>| text_of(&cell).expect("a text").expect("not NULL");
        assert_eq!(text(Cell::Float(5e-324)), "5e-324");
        assert_eq!(text(Cell::Float(f64::MAX)).parse::<f64>(), Ok(f64::MAX));
        assert_eq!(text(Cell::Timestamp(-1)), "1969-12-31 23:59:59.999999");
        assert_eq!(text(Cell::TimestampTz(0)), "1970-01-01 00:00:00+00:00");
        assert_eq!(text(Cell::Binary(vec![0, 255].into())), "00ff");
    }
}
