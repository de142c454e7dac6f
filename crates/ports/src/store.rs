//! A store as an operator has it: reached, made ready, looked at and described, beside what is read
//! and written there.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{ErrorClass, Ledger, PortError, Timetable};

/// A store that timetables lie in. An adapter opens one from its settings, without reaching it yet.
#[async_trait]
pub trait TimetableStore: Send + Sync + 'static {
    /// How it is called, and where it is.
    fn describe(&self) -> StoreDescription;

    /// Connects, and makes sure that what lies there is as this build needs it.
    async fn connect(&self) -> Result<Connected, StoreError>;

    /// What is there and what is missing; changes nothing.
    async fn status(&self) -> Result<Vec<StorePart>, StoreError>;

    /// Creates what is missing; what is there then. Several processes may do so at the same time.
    async fn migrate(&self) -> Result<Vec<StorePart>, StoreError>;
}

/// The data ports of a store that timetables lie in.
#[derive(Clone)]
pub struct Connected {
    /// What is due beyond the look-ahead.
    pub timetable: Arc<dyn Timetable>,
    /// What was decided about every minute.
    pub ledger: Arc<dyn Ledger>,
}

/// How a store is called, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreDescription {
    /// Its name in a sentence: `Cassandra`.
    pub name: &'static str,
    /// Its word in settings and in what programs read: `cassandra`.
    pub word: &'static str,
    /// Where it is.
    pub endpoints: Vec<String>,
    /// The part of it that is ours: a keyspace, a database.
    pub within: String,
}

impl fmt::Display for StoreDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.endpoints.join(", "), self.within)
    }
}

/// A part of what a store holds for us: a table, a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePart {
    /// What it is: `keyspace`, `migration`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub is_there: bool,
    /// What it is like; may be empty.
    pub detail: String,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
    /// It does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] PortError),
    /// What lies there is not what this build needs.
    #[error(transparent)]
    Contents(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether it may work by itself later.
    pub fn may_pass(&self) -> bool {
        matches!(self, StoreError::Store(error) if error.class == ErrorClass::Retry)
    }
}
