//! Aligned text.

/// Rows of cells under headings; columns are as wide as their widest cell.
pub(crate) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table whose columns have these headings; a heading that begins with `>` makes its column right-aligned.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            headings: headings
                .iter()
                .map(|heading| heading.trim_start_matches('>').to_owned())
                .collect(),
            right: headings.iter().map(|heading| heading.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl ToString>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    /// The table as lines, each with `indent` spaces in front.
    pub(crate) fn text(&self, indent: usize) -> String {
        let widths = self.widths();
        let headed = self.headings.iter().any(|heading| !heading.is_empty());
        let heading = headed.then_some(&self.headings);
        heading
            .into_iter()
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, indent))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| width(heading)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize], indent: usize) -> String {
        let mut line = " ".repeat(indent);
        for (index, (cell, wide)) in cells.iter().zip(widths).enumerate() {
            let gap = " ".repeat(wide.saturating_sub(width(cell)));
            match self.right.get(index) {
                Some(true) => line.extend([gap.as_str(), cell]),
                _ => line.extend([cell, gap.as_str()]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A whole number with thousands separated: 1234567 is 1,234,567.
pub(crate) fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.as_str()),
    };
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Table, grouped};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["actor", ">stake"]);
        table.row(["gateway", "5"]);
        table.row(["a", "12345678"]);
        assert_eq!(
            table.text(2),
            "  actor       stake\n  gateway         5\n  a        12345678\n"
        );
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(
            [0_i64, 999, 1_000, -1_234_567].map(grouped),
            ["0", "999", "1,000", "-1,234,567"].map(str::to_owned)
        );
    }
}
