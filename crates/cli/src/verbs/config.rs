//! `minutehand config show`

use crate::args::ConfigShowArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::hooks::Commands;

pub(super) fn show(
    commands: &dyn Commands,
    args: &ConfigShowArgs,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let settings = commands.settings(args)?;
    if json {
        return settings
            .iter()
            .try_for_each(|setting| console.json(setting));
    }
    let rows = settings
        .into_iter()
        .map(|setting| {
            vec![
                setting.name,
                setting.value,
                setting.origin.as_str().to_owned(),
                setting.help,
            ]
        })
        .collect();
    console.table(
        &["setting", "value", "from", "what it does"],
        rows,
        "there are no settings",
    )
}
