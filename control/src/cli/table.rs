//! Tables for people: columns as wide as they need to be, two blanks between.

/// A table with a heading.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self {
            rows: vec![heading.map(str::to_owned).into()],
        }
    }

    /// Adds a row. Control characters, which a host may have chosen, are shown as `?`.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let clean = |cell: String| {
            cell.chars()
                .map(|c| if c.is_control() { '?' } else { c })
                .collect()
        };
        self.rows.push(cells.map(clean).into());
    }

    /// The text, or `none` instead of a heading alone.
    pub fn to_text(&self, none: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{none}\n");
        }
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["HOST", "OS"]);
        assert_eq!(table.to_text("no hosts"), "no hosts\n");
        table.row(["a-long-name".into(), "Debian\x1b[2J".into()]);
        table.row(["ü".into(), "".into()]);
        assert_eq!(
            table.to_text(""),
            "HOST         OS\na-long-name  Debian?[2J\nü\n"
        );
    }
}
