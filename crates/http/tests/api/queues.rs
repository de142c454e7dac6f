//! Queues and dead letters.

use bytes::Bytes;
use minutehand_model::{Namespace, PartitionId, QueueName, Task, TaskId};
use minutehand_ports::DeadLetter;
use serde_json::json;

use crate::support::{Api, PARTITIONS, START, TASKS, api};

fn letter(id: &str, encoded: Option<Bytes>) -> DeadLetter {
    let namespace = Namespace::parse("default").unwrap();
    let partition = PartitionId::of(&namespace, id, PARTITIONS);
    let task = Task {
        payload: Bytes::from_static(b"p"),
        attempt: 10,
        first_due: START.plus_millis(-600_000),
        ..Task::new(
            namespace,
            TaskId::parse(id).unwrap(),
            QueueName::parse("mail").unwrap(),
            START.plus_millis(-60_000),
        )
    };
    DeadLetter {
        queue: task.queue.clone(),
        partition,
        key: task.key(),
        at: START,
        attempts: 10,
        reason: "no such mailbox".to_owned(),
        encoded: encoded.unwrap_or_else(|| minutehand_record::task::encode(&task)),
    }
}

async fn with_letters(count: u64) -> Api {
    let api = api().await;
    for number in 1..=count {
        api.store
            .add_dead_letter(letter(&format!("t{number}"), None));
    }
    api
}

#[tokio::test(start_paused = true)]
async fn a_queue_shows_how_full_it_is() {
    let api = api().await;
    assert_eq!(
        api.get("/v1/queues").await.expect(200),
        json!({"queues": []})
    );
    api.post(TASKS, r#"{"queue":"mail","delay":0}"#)
        .await
        .expect(201);
    api.pass(100).await;
    let queues = api.get("/v1/queues?group=blue").await.expect(200);
    let queue = json!({"queue": "mail", "group": "blue", "state": "open", "waiting": 1, "in_progress": 0, "settled": 0, "dead_letters": 0});
    assert_eq!(queues["queues"], json!([queue]));
    assert_eq!(api.get("/v1/queues/empty").await.expect(200)["waiting"], 0);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_listed_page_by_page() {
    let api = with_letters(5).await;
    let first = api
        .get("/v1/queues/mail/dead-letters?limit=3")
        .await
        .expect(200);
    let letter = &first["dead_letters"][0];
    assert_eq!(
        (&letter["id"], &letter["reason"], &letter["attempts"]),
        (&json!("t1"), &json!("no such mailbox"), &json!(10))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = api
        .get(&format!("/v1/queues/mail/dead-letters?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(second["dead_letters"].as_array().unwrap().len(), 2);
    assert!(second["next_cursor"].is_null());
    assert_eq!(
        api.get("/v1/queues/other/dead-letters").await.expect(200),
        json!({"dead_letters": []})
    );
}

#[tokio::test(start_paused = true)]
async fn a_replayed_letter_runs_again_once_from_its_first_attempt() {
    let api = with_letters(5).await;
    let replay = "/v1/queues/mail/dead-letters:replay";
    let done = api
        .post(replay, r#"{"numbers":[2,4,99]}"#)
        .await
        .expect(200);
    assert_eq!(done, json!({"count": 2, "unreadable": 0, "more": false}));
    assert_eq!(
        api.post(replay, r#"{"numbers":[2]}"#).await.expect(200)["count"],
        0
    );
    api.pass(1_000).await;
    let runs: Vec<(String, u32)> = api
        .store
        .published()
        .iter()
        .map(|record| minutehand_record::task::decode(&record.encoded).unwrap())
        .map(|task| (task.id.to_string(), task.attempt))
        .collect();
    assert_eq!(
        runs.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(
        api.published().into_keys().collect::<Vec<_>>(),
        ["t2", "t4"]
    );

    let both = async || {
        api.post(replay, r#"{"all":true}"#).await.expect(200)["count"]
            .as_u64()
            .unwrap()
    };
    let (one, two) = tokio::join!(both(), both());
    assert_eq!(one + two, 3, "two replays at once take every letter once");
    api.pass(1_000).await;
    assert_eq!(api.published().values().sum::<usize>(), 5);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_one_id_are_run_each_for_itself() {
    let api = api().await;
    for _ in 1..=3 {
        api.store.add_dead_letter(letter("same", None));
    }
    let done = api
        .post("/v1/queues/mail/dead-letters:replay", r#"{"all":true}"#)
        .await
        .expect(200);
    assert_eq!(done["count"], 3);
    api.pass(1_000).await;
    assert_eq!(api.published()["same"], 3);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_dead_letter_can_be_seen_and_discarded_only() {
    let api = api().await;
    api.store
        .add_dead_letter(letter("x", Some(Bytes::from_static(b"\xff\xff"))));
    let shown = api.get("/v1/queues/mail/dead-letters").await.expect(200);
    assert!(shown["dead_letters"][0]["unreadable"].is_string());
    let replayed = api
        .post("/v1/queues/mail/dead-letters:replay", r#"{"all":true}"#)
        .await
        .expect(200);
    assert_eq!(
        replayed,
        json!({"count": 0, "unreadable": 1, "more": false})
    );
    let discarded = api
        .post("/v1/queues/mail/dead-letters:discard", r#"{"numbers":[1]}"#)
        .await
        .expect(200);
    assert_eq!(discarded["count"], 1);
    assert_eq!(api.store.records(), 0);
}

/// Letters of two namespaces, two reasons and three times.
async fn with_various_letters() -> Api {
    let api = api().await;
    for number in 1..=12 {
        let mut letter = letter(&format!("t{number}"), None);
        letter.at = START.plus_millis(i64::from(number % 3) * 1_000);
        if number % 2 == 0 {
            letter.reason = "HTTP 503 Service Unavailable".to_owned();
        }
        if number % 4 == 0 {
            let mut task = minutehand_record::task::decode(&letter.encoded).unwrap();
            task.namespace = Namespace::parse("shop").unwrap();
            letter.encoded = minutehand_record::task::encode(&task);
        }
        api.store.add_dead_letter(letter);
    }
    api
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_found_by_what_they_are_like() {
    let api = with_various_letters().await;
    let numbers = async |query: &str| {
        let (mut numbers, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/queues/mail/dead-letters?limit=2&{query}{cursor}");
            let page = api.get(&path).await.expect(200);
            let letters = page["dead_letters"].as_array().unwrap().clone();
            numbers.extend(
                letters
                    .iter()
                    .map(|letter| letter["number"].as_u64().unwrap()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return numbers,
            }
        }
    };
    assert_eq!(numbers("namespace=shop").await, [4, 8, 12]);
    assert_eq!(numbers("reason=503").await, [2, 4, 6, 8, 10, 12]);
    let since = START.plus_millis(2_000).to_string();
    assert_eq!(numbers(&format!("since={since}")).await, [2, 5, 8, 11]);
    assert_eq!(
        numbers(&format!("reason=503&before={since}")).await,
        [4, 6, 10, 12]
    );
    assert_eq!(numbers("reason=404").await, [0_u64; 0]);
    for (query, field) in [
        ("namespace=a%20b", "namespace"),
        ("reason=", "reason"),
        ("since=soon", "since"),
        ("before=soon", "before"),
    ] {
        let path = format!("/v1/queues/mail/dead-letters?{query}");
        assert_eq!(api.get(&path).await.problem(422)["field"], field, "{query}");
    }
    // A cursor belongs to its filter.
    let page = api
        .get("/v1/queues/mail/dead-letters?limit=2&reason=503")
        .await
        .expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let path = format!("/v1/queues/mail/dead-letters?reason=404&cursor={cursor}");
    assert_eq!(api.get(&path).await.problem(422)["field"], "cursor");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_are_alike_go_together() {
    let api = with_various_letters().await;
    let replay = "/v1/queues/mail/dead-letters:replay";
    let body = r#"{"filter":{"reason":"503","namespace":"shop"}}"#;
    let done = api.post(replay, body).await.expect(200);
    assert_eq!(done, json!({"count": 3, "unreadable": 0, "more": false}));
    api.pass(1_000).await;
    assert_eq!(api.published().values().sum::<usize>(), 3);
    let discard = "/v1/queues/mail/dead-letters:discard";
    let done = api
        .post(discard, r#"{"filter":{"reason":"503"}}"#)
        .await
        .expect(200);
    assert_eq!(done["count"], 3);
    let left = api.get("/v1/queues/mail").await.expect(200);
    assert_eq!(left["dead_letters"], 6);
    for (body, field) in [
        (r#"{"filter":{}}"#, "filter"),
        (r#"{"filter":{"reason":"a"},"all":true}"#, "numbers"),
        (r#"{"filter":{"reason":""}}"#, "reason"),
    ] {
        assert_eq!(
            api.post(discard, body).await.problem(422)["field"],
            field,
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_selection_must_be_plain() {
    let api = with_letters(1).await;
    for body in [
        "{}",
        r#"{"all":false}"#,
        r#"{"numbers":[1],"all":true}"#,
        r#"{"numbers":[]}"#,
    ] {
        let problem = api
            .post("/v1/queues/mail/dead-letters:discard", body)
            .await
            .problem(422);
        assert_eq!(problem["field"], "numbers", "{body}");
    }
    api.post(
        "/v1/queues/mail/dead-letters:discard",
        r#"{"numbers":[-1]}"#,
    )
    .await
    .problem(400);
    assert_eq!(
        api.get("/v1/queues/mail").await.expect(200)["dead_letters"],
        1
    );
}
