//! Answers of many rows, page by page.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use minutehand_ports::PortError;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use crate::error::failed;
use crate::timetable::CassandraTimetable;

/// A page of rows, and where the next one begins.
pub(crate) struct Page {
    pub(crate) rows: QueryRowsResult,
    pub(crate) next: Option<PagingState>,
}

/// Fetches one page of at most `rows_max` rows.
pub(crate) async fn fetch(
    timetable: &CassandraTimetable,
    statement: &PreparedStatement,
    values: impl SerializeRow,
    from: PagingState,
    rows_max: i32,
    action: &str,
) -> Result<Page, PortError> {
    debug_assert!(rows_max > 0, "a page has rows");
    let mut statement = statement.clone();
    statement.set_page_size(rows_max);
    timetable.pages_fetched.fetch_add(1, Ordering::Relaxed);
    let answer = timetable
        .session
        .execute_single_page(&statement, values, from)
        .await;
    let (rows, next): (_, PagingStateResponse) = answer.map_err(|error| failed(action, error))?;
    let next = match next.into_paging_control_flow() {
        ControlFlow::Continue(state) => Some(state),
        ControlFlow::Break(()) => None,
    };
    Ok(Page {
        rows: rows
            .into_rows_result()
            .map_err(|error| failed(action, error))?,
        next,
    })
}

/// Fetches all pages of an answer, one after the other, and hands each to `take`.
pub(crate) async fn fetch_all(
    timetable: &CassandraTimetable,
    statement: &PreparedStatement,
    values: impl SerializeRow,
    rows_max: i32,
    action: &str,
    mut take: impl FnMut(&QueryRowsResult) -> Result<(), PortError>,
) -> Result<(), PortError> {
    let mut from = PagingState::start();
    loop {
        let page = fetch(timetable, statement, &values, from, rows_max, action).await?;
        take(&page.rows)?;
        match page.next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// Hands each row of a page to `take`.
pub(crate) fn each<'a, R: DeserializeRow<'a, 'a>>(
    rows: &'a QueryRowsResult,
    action: &str,
    mut take: impl FnMut(R) -> Result<(), PortError>,
) -> Result<(), PortError> {
    for row in rows.rows::<R>().map_err(|error| failed(action, error))? {
        take(row.map_err(|error| failed(action, error))?)?;
    }
    Ok(())
}
