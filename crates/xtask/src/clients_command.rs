//! `cargo xtask clients`: clients in other languages, made from the API's description and compiled.

use minutehand_testkit::{Language, with_causes};

use crate::root;

/// Makes and compiles a client in every language; answers how many there were.
///
/// # Errors
/// In words: the languages whose client could not be made or compiled, with what their programs
/// say.
pub fn make_clients() -> Result<u64, String> {
    let description = root().join("schema/openapi.json");
    let mut failures = Vec::new();
    for language in Language::ALL {
        match language.make_client(&description) {
            Ok(()) => println!("the client in {language} is made and compiled"),
            Err(error) => {
                println!("the client in {language}: {}", with_causes(&error));
                failures.push(language.to_string());
            }
        }
    }
    if failures.is_empty() {
        return Ok(Language::ALL.len() as u64);
    }
    Err(format!(
        "no client of schema/openapi.json in {}; printed above is why",
        failures.join(", ")
    ))
}
