//! Tables for a terminal: columns as wide as needed, no lines; blocks where they do not fit.

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

    /// The table as text.
    ///
    /// On a terminal the last column is cut where the terminal ends; where the others do not fit,
    /// each row is a block: its first cell on a line, and below it a line for each other.
    pub(crate) fn render(&self, theme: &Theme) -> String {
        let widths = self.widths();
        let last = self.head.len().saturating_sub(1);
        let before: usize = widths.iter().take(last).map(|width| width + 2).sum();
        let least = widths.last().copied().unwrap_or(0).min(12);
        if before + least > theme.columns() {
            return self.rows.iter().map(|row| self.block(theme, row)).collect();
        }
        let room = theme.columns().saturating_sub(before).max(12);
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

    fn block(&self, theme: &Theme, row: &[Cell]) -> String {
        let widest = self.head.iter().skip(1).map(|name| name.len()).max();
        let widest = widest.unwrap_or(0);
        let mut text = String::new();
        for (index, (name, cell)) in self.head.iter().zip(row).enumerate() {
            let room = theme.columns().saturating_sub(widest + 3).max(12);
            let shown = match cell.role {
                Some(role) => theme.paint(role, &cell.text),
                None if index > 0 => fit(&cell.text, room),
                None => cell.text.clone(),
            };
            let line = match index {
                0 => format!("{shown}\n"),
                _ => {
                    let name = format!("{:<widest$}", name.to_lowercase());
                    format!("  {} {shown}\n", theme.paint(Role::Quiet, name))
                }
            };
            text.push_str(&line);
        }
        text
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
        let shown = if is_last {
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

    #[test]
    fn where_columns_do_not_fit_each_row_is_a_block() {
        let narrow = Theme {
            terminal: true,
            width: 24,
            ..Theme::PLAIN
        };
        let mut table = Table::new(&["ADDRESS", "CONDITION"]);
        table.row(vec!["staging/local_file.index".into(), "Ready".into()]);
        let expected = "staging/local_file.index\n  condition Ready\n";
        assert_eq!(table.render(&narrow), expected);
        assert!(table.render(&Theme::PLAIN).starts_with("ADDRESS   "));
    }
}
