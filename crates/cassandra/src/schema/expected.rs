//! The columns that the migrations make, compared with those that are there.

use super::apply::statements;
use super::{Columns, MIGRATIONS, SchemaError};

/// A column as a migration makes it.
#[derive(Debug, PartialEq, Eq)]
struct Column {
    table: String,
    column: String,
    kind: String,
}

/// Read from the migrations themselves, which name one column a line.
fn expected() -> Vec<Column> {
    MIGRATIONS
        .iter()
        .flat_map(statements)
        .flat_map(|statement| columns_of(&statement))
        .collect()
}

fn columns_of(statement: &str) -> Vec<Column> {
    let mut lines = statement.lines().map(str::trim);
    let Some((_, table)) = lines
        .next()
        .and_then(|first| first.split_once("{keyspace}."))
    else {
        return Vec::new();
    };
    let table = table.trim_end_matches('(').trim();
    let columns = lines.take_while(|line| !line.starts_with("PRIMARY KEY"));
    let named = columns.filter_map(|line| line.trim_end_matches(',').split_once(' '));
    let column = |(column, kind): (&str, &str)| Column {
        table: table.to_owned(),
        column: column.to_owned(),
        kind: kind.to_owned(),
    };
    named.map(column).collect()
}

/// The first column that is missing or of another type. Columns beyond the expected are no harm.
pub(super) fn check(keyspace: &str, found: &Columns) -> Result<(), SchemaError> {
    let keyspace = || keyspace.to_owned();
    for Column {
        table,
        column,
        kind,
    } in expected()
    {
        let Some(columns) = found.get(&table) else {
            return Err(SchemaError::NoTable {
                keyspace: keyspace(),
                table,
            });
        };
        match columns.get(&column) {
            None => {
                return Err(SchemaError::NoColumn {
                    keyspace: keyspace(),
                    table,
                    column,
                    kind,
                });
            }
            Some(found) if *found != kind => {
                let found = found.clone();
                return Err(SchemaError::OtherType {
                    keyspace: keyspace(),
                    table,
                    column,
                    kind,
                    found,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Columns {
        let mut found = Columns::new();
        for Column {
            table,
            column,
            kind,
        } in expected()
        {
            found.entry(table).or_default().insert(column, kind);
        }
        found
    }

    #[test]
    fn every_table_and_column_of_the_migrations_is_expected() {
        let found = all();
        assert_eq!(found.len(), 9);
        assert_eq!(found["timetable"].len(), 11);
        assert_eq!(found["timetable"]["bucket"], "timestamp");
        assert_eq!(
            found["regions"].keys().collect::<Vec<_>>(),
            ["epoch", "region", "since", "speaker"]
        );
        check("minutehand", &found).unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut found = all();
        found.get_mut("timetable").unwrap().remove("bytes");
        let error = check("minutehand", &found).unwrap_err().to_string();
        assert!(
            error.contains("'minutehand.timetable' has no column 'bytes' (int)"),
            "{error}"
        );
        found.remove("timetable");
        let error = check("minutehand", &found).unwrap_err().to_string();
        assert!(error.contains("has no table 'timetable'"), "{error}");
    }

    #[test]
    fn another_type_is_named_with_both() {
        let mut found = all();
        found
            .get_mut("schedules")
            .unwrap()
            .insert("content".to_owned(), "text".to_owned());
        let error = check("minutehand", &found).unwrap_err().to_string();
        assert!(
            error.contains("'content'") && error.contains("text instead of blob"),
            "{error}"
        );
    }
}
