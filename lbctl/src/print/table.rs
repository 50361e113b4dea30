//! Columns: a header in capitals, two spaces between columns, numbers to the right, no lines.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Row, presets};

/// A table whose columns are as wide as what they hold.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns; `#` in front of a name marks one of numbers.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(columns.iter().map(|name| name.trim_start_matches('#')));
        for (column, name) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            if name.starts_with('#') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(Row::from(cells));
    }

    /// Writes the table, or nothing if it has no rows.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.0.is_empty() { Ok(()) } else { writeln!(out, "{}", self.0.trim_fmt()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::printed;

    #[test]
    fn columns_are_two_spaces_apart_and_lines_end_without_any() {
        let mut table = Table::new(&["NAME", "#PACKETS", "NOTE"]);
        table.row(["a".to_owned(), "7".to_owned(), String::new()]);
        table.row(["longer".to_owned(), "1234567890".to_owned(), "x y".to_owned()]);
        let expected = "NAME       PACKETS  NOTE\n\
                        a                7\n\
                        longer  1234567890  x y\n";
        assert_eq!(printed(|out| table.write(out)), expected);
    }
}
