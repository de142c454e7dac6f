//! Lists that come in pages.

use minutehand_api::Page;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;

/// Most items asked for at once.
const PAGE_ITEMS_MAX: usize = 1_000;

/// The items of a list, at most so many, and whether there are more.
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) has_more: bool,
}

/// Reads pages until there are enough items or no more.
pub(super) async fn list<P: Page + DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &[(&str, Option<String>)],
    limit: usize,
) -> Result<Listed<P::Item>, Failure> {
    let mut listed = Listed {
        items: Vec::new(),
        has_more: false,
    };
    let mut cursor = None;
    loop {
        let wanted = (limit - listed.items.len()).min(PAGE_ITEMS_MAX);
        let mut query = query.to_vec();
        query.push(("limit", Some(wanted.to_string())));
        query.push(("cursor", cursor.take()));
        let (items, next) = client.get(path, &query).await?.read::<P>()?.into_parts();
        listed.items.extend(items);
        listed.has_more = next.is_some();
        cursor = next;
        // A page may be short, or empty, and have more behind it.
        if cursor.is_none() || listed.items.len() >= limit {
            listed.has_more |= listed.items.len() > limit;
            listed.items.truncate(limit);
            return Ok(listed);
        }
    }
}

/// Says that a list goes on, where it does and a person reads it.
pub(super) fn tell_more(has_more: bool, console: &mut Console) -> Result<(), Failure> {
    match has_more {
        true => console.note("there are more; --limit shows them"),
        false => Ok(()),
    }
}
