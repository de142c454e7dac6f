//! The paths that begin with one namespace.

use minutehand_api::routes::fill;

/// The paths of one namespace.
pub(crate) struct Routes {
    namespace: String,
}

impl Routes {
    pub(crate) fn new(namespace: &str) -> Routes {
        Routes {
            namespace: namespace.to_owned(),
        }
    }

    /// The path of something in the namespace.
    pub(crate) fn of(&self, route: &str) -> String {
        fill(route, &[&self.namespace])
    }

    /// The path of what has an id there.
    pub(crate) fn of_id(&self, route: &str, id: &str) -> String {
        fill(route, &[&self.namespace, id])
    }
}
