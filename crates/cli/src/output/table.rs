//! Tables for people.

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ColumnConstraint, ContentArrangement, Table};

/// The heads of columns with prose, which may be wrapped; ids, times and numbers stay whole, so
/// that they can be copied.
const PROSE: [&str; 7] = [
    "reason",
    "detail",
    "note",
    "command",
    "value",
    "what it does",
    "what is broken",
];

/// Rows under a head, aligned; with lines on a terminal, bare where another program reads.
///
/// Control characters of cells are shown as `?`: cells hold what strangers wrote.
pub(crate) fn render(head: &[&str], rows: Vec<Vec<String>>, is_terminal: bool) -> String {
    let mut table = Table::new();
    table.load_style(if is_terminal {
        UTF8_FULL_CONDENSED
    } else {
        NOTHING
    });
    table.set_content_arrangement(if is_terminal {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(head.iter().map(|cell| (*cell).to_owned()));
    for (column, _) in table
        .column_iter_mut()
        .zip(head)
        .filter(|(_, name)| !PROSE.contains(name))
    {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    if !is_terminal {
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<&str>>()
        .join("\n")
}

/// Names and values, one per line, the values aligned.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = pairs
        .iter()
        .map(|(name, value)| format!("{name:width$}  {}", printable(value)));
    lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<String>>()
        .join("\n")
}

/// The text without characters that could move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["mail".to_owned(), "12".to_owned()],
            vec!["re\x1b[31mports\n".to_owned(), String::new()],
        ]
    }

    #[test]
    fn a_pipe_gets_bare_columns() {
        expect![[r#"
            queue          waiting
            mail           12
            re?[31mports?"#]]
        .assert_eq(&render(&["queue", "waiting"], rows(), false));
    }

    #[test]
    fn fields_line_up() {
        expect![[r#"
            id     a
            queue  b?c"#]]
        .assert_eq(&fields(&[
            ("id", "a".to_owned()),
            ("queue", "b\tc".to_owned()),
        ]));
    }
}
