//! `minutehand schema apply|status`

use crate::args::SchemaVerb;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::hooks::{Commands, SchemaItem, SchemaState};

pub(super) async fn run(
    commands: &dyn Commands,
    verb: SchemaVerb,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let items = match verb {
        SchemaVerb::Apply(args) => commands.schema_apply(args).await?,
        SchemaVerb::Status(args) => commands.schema_status(args).await?,
    };
    show(&items, console, json)?;
    let missing = items
        .iter()
        .filter(|item| item.state == SchemaState::Missing)
        .count();
    if missing > 0 && json {
        return Err(Failure::silent(Exit::NotFound));
    }
    if missing > 0 {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{missing} parts of the schema are missing"),
        )
        .with_hint("minutehand schema apply creates what is missing"));
    }
    Ok(())
}

fn show(items: &[SchemaItem], console: &mut Console, json: bool) -> Result<(), Failure> {
    if json {
        return items.iter().try_for_each(|item| console.json(item));
    }
    let row = |item: &SchemaItem| {
        let state = item.state.as_str().to_owned();
        vec![
            item.store.clone(),
            item.kind.clone(),
            item.name.clone(),
            state,
            item.detail.clone(),
        ]
    };
    let rows = items.iter().map(row).collect();
    console.table(
        &["store", "kind", "name", "state", "detail"],
        rows,
        "there is no schema",
    )
}
