//! Lists that come in pages.

use serde_json::Value;

use crate::client::Client;
use crate::exit::Failure;

/// Most items asked for at once.
const PAGE_ITEMS_MAX: usize = 1_000;

/// The items of a list, at most so many, and whether there are more.
pub(super) struct Listed {
    pub(super) items: Vec<Value>,
    pub(super) has_more: bool,
}

/// Reads pages until there are enough items or no more. A page is `{"<name>": […], "next_cursor": …}`.
pub(super) async fn list(
    client: &Client,
    path: &str,
    query: &[(&str, Option<String>)],
    name: &str,
    limit: usize,
) -> Result<Listed, Failure> {
    let mut listed = Listed { items: Vec::new(), has_more: false };
    let mut cursor = None;
    loop {
        let wanted = (limit - listed.items.len()).min(PAGE_ITEMS_MAX);
        let mut query = query.to_vec();
        query.push(("limit", Some(wanted.to_string())));
        query.push(("cursor", cursor.take()));
        let page = client.get(path, &query).await?.body;
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        listed.items.extend(items(page, name));
        listed.has_more = cursor.is_some();
        // A page may be short, or empty, and have more behind it.
        if cursor.is_none() || listed.items.len() >= limit {
            listed.has_more |= listed.items.len() > limit;
            listed.items.truncate(limit);
            return Ok(listed);
        }
    }
}

/// The list of that name in a page.
pub(super) fn items(mut page: Value, name: &str) -> Vec<Value> {
    match page.get_mut(name).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
