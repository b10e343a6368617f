//! Aligned tables, plain enough for a pipe.

use unicode_width::UnicodeWidthStr;

/// The widest a cell is shown; longer text is cut with an ellipsis. JSON output never cuts.
const CELL_WIDTH_MAX: usize = 60;

/// Rows of text under headings.
#[derive(Debug, Clone)]
pub struct Table {
    heads: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; one that starts with `#` is of numbers and stands to the right.
    pub fn new(heads: &[&str]) -> Self {
        Self {
            heads: heads.iter().map(|head| head.trim_start_matches('#').to_owned()).collect(),
            right: heads.iter().map(|head| head.starts_with('#')).collect(),
            rows: Vec::new(),
        }
    }
    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// The lines to print, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        std::iter::once(&self.heads).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(&self.right) {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            if !line.is_empty() {
                line.push_str("  ");
            }
            if *right {
                line.push_str(&blanks);
            }
            line.push_str(cell);
            if !*right {
                line.push_str(&blanks);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// One line of bounded width: control characters would tear the table, or steer the terminal.
fn clean(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if flat.width() <= CELL_WIDTH_MAX {
        return flat;
    }
    let mut cut = String::new();
    for c in flat.chars() {
        if cut.width() + 2 > CELL_WIDTH_MAX {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let mut table = Table::new(&["name", "#rows", "note"]);
        table.row(vec!["東京".to_owned(), "7".to_owned(), String::new()]);
        table.row(vec!["a\tb".to_owned(), "12345".to_owned(), "x".repeat(80)]);
        let lines = table.lines();
        assert_eq!(lines[0], "name   rows  note");
        assert_eq!(lines[1], "東京      7");
        assert_eq!(lines[2], format!("a b   12345  {}…", "x".repeat(59)));
    }
}
