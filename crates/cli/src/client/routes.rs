//! The paths that begin with one namespace.

use minutehand_api::routes::{fill, of_named};

/// The paths of one namespace.
pub(crate) struct Routes {
    namespace: String,
    key: Option<String>,
}

impl Routes {
    pub(crate) fn new(namespace: &str) -> Routes {
        Routes {
            namespace: namespace.to_owned(),
            key: None,
        }
    }

    /// The same, where what has an id has that key as well.
    #[must_use]
    pub(crate) fn keyed(self, key: Option<&str>) -> Routes {
        let key = key.map(str::to_owned);
        Routes { key, ..self }
    }

    /// Which namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of something in the namespace.
    pub(crate) fn of(&self, route: &str) -> String {
        fill(route, &[&self.namespace])
    }

    /// The path of what has an id there.
    pub(crate) fn of_id(&self, route: &str, id: &str) -> String {
        of_named(route, &self.namespace, id, self.key.as_deref())
    }
}
