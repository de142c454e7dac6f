//! The paths of the HTTP API.

use std::fmt::Write as _;

/// Paths in one namespace.
pub(crate) struct Routes {
    namespace: String,
}

impl Routes {
    pub(crate) fn new(namespace: &str) -> Routes {
        Routes { namespace: segment(namespace) }
    }

    pub(crate) fn tasks(&self) -> String {
        format!("/v1/namespaces/{}/tasks", self.namespace)
    }

    pub(crate) fn tasks_bulk(&self) -> String {
        format!("/v1/namespaces/{}/tasks:bulk", self.namespace)
    }

    pub(crate) fn task(&self, id: &str) -> String {
        format!("{}/{}", self.tasks(), segment(id))
    }

    pub(crate) fn schedules(&self) -> String {
        format!("/v1/namespaces/{}/schedules", self.namespace)
    }

    pub(crate) fn schedule(&self, id: &str) -> String {
        format!("{}/{}", self.schedules(), segment(id))
    }

    /// Something to do with a schedule: `pause`, `backfill`.
    pub(crate) fn schedule_action(&self, id: &str, action: &str) -> String {
        format!("{}:{action}", self.schedule(id))
    }

    /// A part of a schedule: `revisions`, `preview`, `backfills`.
    pub(crate) fn schedule_part(&self, id: &str, part: &str) -> String {
        format!("{}/{part}", self.schedule(id))
    }

    pub(crate) fn schedules_preview(&self) -> String {
        format!("{}:preview", self.schedules())
    }

    pub(crate) fn queues(&self) -> String {
        "/v1/queues".to_owned()
    }

    pub(crate) fn queue(&self, name: &str) -> String {
        format!("/v1/queues/{}", segment(name))
    }

    pub(crate) fn dead_letters(&self, queue: &str) -> String {
        format!("{}/dead-letters", self.queue(queue))
    }

    /// Something to do with dead letters: `replay`, `discard`.
    pub(crate) fn dead_letters_action(&self, queue: &str, action: &str) -> String {
        format!("{}:{action}", self.dead_letters(queue))
    }

    pub(crate) fn buckets(&self) -> String {
        "/v1/buckets".to_owned()
    }

    pub(crate) fn partitions(&self) -> String {
        "/v1/partitions".to_owned()
    }

    pub(crate) fn partition_skips(&self, partition: impl std::fmt::Display) -> String {
        format!("{}/{partition}/skips", self.partitions())
    }
}

/// Text as one segment of a path: everything but RFC 3986's unreserved characters is escaped.
fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method and path of every request, with the names of the API's description as ids.
    fn requests() -> Vec<(&'static str, String)> {
        let routes = Routes { namespace: "{ns}".to_owned() };
        let unescaped = |path: String| path.replace("%7B", "{").replace("%7D", "}");
        let mut requests = vec![
            ("post", routes.tasks()),
            ("get", routes.tasks()),
            ("post", routes.tasks_bulk()),
            ("get", routes.task("{id}")),
            ("patch", routes.task("{id}")),
            ("delete", routes.task("{id}")),
            ("post", routes.schedules()),
            ("get", routes.schedules()),
            ("post", routes.schedules_preview()),
            ("get", routes.schedule("{id}")),
            ("patch", routes.schedule("{id}")),
            ("delete", routes.schedule("{id}")),
            ("get", routes.schedule_part("{id}", "revisions")),
            ("get", routes.schedule_part("{id}", "preview")),
            ("get", routes.schedule_part("{id}", "backfills")),
            ("get", routes.queues()),
            ("get", routes.queue("{queue}")),
            ("get", routes.dead_letters("{queue}")),
            ("post", routes.dead_letters_action("{queue}", "replay")),
            ("post", routes.dead_letters_action("{queue}", "discard")),
            ("get", routes.buckets()),
            ("get", routes.partitions()),
            ("post", routes.partition_skips("{partition}")),
        ];
        for action in ["pause", "resume", "trigger", "backfill", "stop-backfill", "forget-runs", "rollback"] {
            requests.push(("post", routes.schedule_action("{id}", action)));
        }
        requests.into_iter().map(|(method, path)| (method, unescaped(path))).collect()
    }

    #[test]
    fn every_request_is_one_that_the_server_describes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/openapi.json");
        let text = std::fs::read_to_string(path).expect("schema/openapi.json is committed");
        let described: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for (method, path) in requests() {
            assert!(!described["paths"][&path][method].is_null(), "{method} {path}");
        }
    }

    #[test]
    fn ids_are_one_segment_whatever_they_hold() {
        let routes = Routes::new("a b");
        assert_eq!(routes.task("x/y?z#é"), "/v1/namespaces/a%20b/tasks/x%2Fy%3Fz%23%C3%A9");
        assert_eq!(
            routes.schedule_action("crontab/php/1-ab", "pause"),
            "/v1/namespaces/a%20b/schedules/crontab%2Fphp%2F1-ab:pause"
        );
    }
}
