//! Tables for a terminal: columns as wide as needed, no lines.

use crate::style::{Role, Theme, fit};

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    role: Option<Role>,
}

impl Cell {
    /// A cell in a look of its own.
    pub(crate) fn painted(role: Role, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            role: Some(role),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            role: None,
        }
    }
}

/// Rows under a head.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as text. The last column is cut where the terminal ends; others never are.
    pub(crate) fn render(&self, theme: &Theme) -> String {
        let widths = self.widths();
        let last = self.head.len().saturating_sub(1);
        let before: usize = widths.iter().take(last).map(|width| width + 2).sum();
        let room = theme.width.saturating_sub(before).max(12);
        let head: Vec<Cell> = self
            .head
            .iter()
            .map(|name| Cell::painted(Role::Quiet, *name))
            .collect();
        std::iter::once(&head)
            .chain(&self.rows)
            .map(|row| line(theme, row, &widths, room))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.text.chars().count()).max();
                let head = self.head.get(column).map_or(0, |name| name.chars().count());
                widest.unwrap_or(0).max(head)
            })
            .collect()
    }
}

fn line(theme: &Theme, row: &[Cell], widths: &[usize], room: usize) -> String {
    let mut text = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        let is_last = index + 1 == widths.len();
        let shown = if is_last && theme.color {
            fit(&cell.text, room)
        } else {
            cell.text.clone()
        };
        let blank = " ".repeat(width.saturating_sub(shown.chars().count()) + 2);
        let painted = match cell.role {
            Some(role) => theme.paint(role, &shown),
            None => shown,
        };
        text.push_str(&painted);
        if !is_last {
            text.push_str(&blank);
        }
    }
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let mut table = Table::new(&["NAME", "CONDITION"]);
        table.row(vec!["a".into(), "Ready".into()]);
        table.row(vec![
            "longer-name".into(),
            Cell::painted(Role::Bad, "Stalled"),
        ]);
        let expected = "NAME         CONDITION\na            Ready\nlonger-name  Stalled\n";
        assert_eq!(table.render(&Theme::PLAIN), expected);
    }
}
