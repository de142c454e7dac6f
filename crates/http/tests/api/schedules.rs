//! Schedules: their life, their revisions, and why one has not run.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Api, SCHEDULES, Setup, api, api_with};

const NIGHTLY: &str = r#"{"id":"nightly","cron":"0 2 * * *","time_zone":"Europe/Berlin","queue":"mail","payload":{"a":1}}"#;

fn path(id: &str) -> String {
    format!("{SCHEDULES}/{id}")
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_created_once_shown_and_runs() {
    let api = api().await;
    let answer = api.post(SCHEDULES, NIGHTLY).await;
    let created = answer.expect(201);
    assert_eq!(answer.headers["etag"], "\"1\"");
    assert_eq!(
        answer.headers["location"],
        "/v1/namespaces/default/schedules/nightly"
    );
    assert_eq!(created["next_at"], "2026-11-24T01:00:00.000Z");
    assert_eq!(
        api.post(SCHEDULES, NIGHTLY).await.expect(200)["revision"],
        1
    );
    let other = api
        .post(SCHEDULES, &NIGHTLY.replace("0 2", "0 3"))
        .await
        .problem(409);
    assert_eq!(other["current_revision"], 1);

    let shown = api.get(&path("nightly")).await.expect(200);
    assert_eq!(
        (&shown["state"], &shown["owner"], &shown["cron"]),
        (&json!("active"), &json!("owning"), &json!("0 2 * * *"))
    );
    assert_eq!(texts(&shown["why"]), ["runs next at 2026-11-24T01:00:00Z"]);

    api.pass(2 * 24 * 3_600_000).await;
    let runs: Vec<String> = api.published().into_keys().collect();
    assert_eq!(
        runs,
        [
            "nightly@2026-11-24T01:00:00Z",
            "nightly@2026-11-25T01:00:00Z"
        ]
    );
    let shown = api.get(&path("nightly")).await.expect(200);
    assert_eq!(
        shown["counts"],
        json!({"started": 2, "skipped": 0, "missed": 0})
    );
    assert_eq!(shown["runs"][0]["task_id"], "nightly@2026-11-25T01:00:00Z");
    assert_eq!(shown["runs"].as_array().unwrap().len(), 2);
}

/// A schedule with a key lives where its key does, and its runs have that key.
#[tokio::test(start_paused = true)]
async fn a_keyed_schedule_is_found_by_its_id_and_key() {
    let api = api().await;
    let body = NIGHTLY.replace(r#""queue""#, r#""key":"team/7","priority":7,"queue""#);
    let answer = api.post(SCHEDULES, &body).await;
    let created = answer.expect(201);
    let keyed = "/v1/namespaces/default/schedules/nightly?key=team%2F7";
    assert_eq!(answer.headers["location"], keyed);
    let task = r#"{"id":"t","key":"team/7","queue":"mail","delay":"1h"}"#;
    let task = api.post(crate::support::TASKS, task).await.expect(201);
    assert_eq!(task["partition"], created["partition"]);
    api.get(&path("nightly")).await.problem(404);
    let shown = api.get(keyed).await.expect(200);
    assert_eq!(
        (&shown["key"], &shown["priority"]),
        (&json!("team/7"), &json!(7))
    );

    let moved = api.patch(keyed, r#"{"key":"team/8"}"#).await.problem(422);
    assert_eq!(moved["field"], "key");
    api.patch(keyed, r#"{"cron":"0 3 * * *"}"#)
        .await
        .expect(200);
    let paused = keyed.replace("nightly?", "nightly:pause?");
    assert_eq!(api.post(&paused, "{}").await.expect(200)["paused"], true);
    let resumed = keyed.replace("nightly?", "nightly:resume?");
    api.post(&resumed, "{}").await.expect(200);

    api.pass(10 * 3_600_000 + 500).await;
    let decoded = |encoded| minutehand_record::task::decode(encoded).unwrap();
    let published = api.store.published();
    let runs: Vec<_> = published
        .iter()
        .map(|record| decoded(&record.encoded))
        .map(|run| (run.order_key.unwrap().to_string(), run.priority.level()))
        .collect();
    assert!(runs.contains(&("team/7".to_owned(), 7)), "{runs:?}");
    api.delete(keyed).await.expect(204);
    api.get(keyed).await.problem(404);
}

/// In one partition an id names one schedule, and keys decide about the partition.
#[tokio::test(start_paused = true)]
async fn an_id_that_another_key_has_taken_is_told_so() {
    let api = api().await;
    let keyed =
        |number| format!(r#"{{"id":"nightly","cron":"0 2 * * *","queue":"q","key":"k{number}"}}"#);
    api.post(SCHEDULES, &keyed(0)).await.expect(201);
    let mut refused = 0;
    for number in 1..20 {
        let answer = api.post(SCHEDULES, &keyed(number)).await;
        let found = api.get(&path(&format!("nightly?key=k{number}"))).await;
        if answer.status == 201 {
            found.expect(200);
            api.delete(&path(&format!("nightly?key=k{number}")))
                .await
                .expect(204);
            continue;
        }
        found.problem(404);
        refused += 1;
        let problem = answer.problem(409);
        assert_eq!(
            (&problem["field"], &problem["given"]),
            (&json!("id"), &json!("nightly"))
        );
        assert_eq!(
            problem["detail"],
            "the id nightly is taken by a schedule with the key k0"
        );
        assert_eq!(
            problem["limit"],
            "another id; ?key=k0 names the schedule that has it"
        );
    }
    assert!((1..19).contains(&refused), "{refused}");
    let without = r#"{"id":"nightly","cron":"0 2 * * *","queue":"q"}"#;
    api.delete(&path("nightly?key=k0")).await.expect(204);
    api.post(SCHEDULES, without).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn an_etag_guards_a_change() {
    let api = api().await;
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    let change = async |etag: &str, body: &str| {
        api.with_headers(Method::PATCH, &path("nightly"), &[("If-Match", etag)], body)
            .await
    };
    let revised = change("\"1\"", r#"{"cron":"0 4 * * *","note":"later"}"#).await;
    assert_eq!(revised.headers["etag"], "\"2\"");
    assert_eq!(revised.expect(200)["next_at"], "2026-11-24T03:00:00.000Z");
    let stale = change("\"1\"", r#"{"cron":"0 5 * * *"}"#)
        .await
        .problem(412);
    assert_eq!(
        (&stale["current_revision"], &stale["field"]),
        (&json!(2), &json!("If-Match"))
    );
    assert_eq!(
        change("*", r#"{"every":"1h"}"#).await.expect(200)["every"],
        "1h"
    );
    for etag in ["1", "W/\"1\"", "\"x\"", "\"-1\""] {
        assert_eq!(change(etag, "{}").await.problem(422)["field"], "If-Match");
    }
    assert_eq!(
        api.patch(&path("nightly"), r#"{"id":"other"}"#)
            .await
            .problem(422)["field"],
        "id"
    );
    assert_eq!(
        api.patch(&path("nightly"), r#"{"cron":"61 * * * *"}"#)
            .await
            .problem(422)["field"],
        "cron"
    );
    assert_eq!(
        api.get(&path("nightly")).await.expect(200)["revision"],
        3,
        "what was refused left no revision"
    );
}

#[tokio::test(start_paused = true)]
async fn revisions_are_kept_and_can_be_put_in_force_again() {
    let api = api().await;
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    for hour in 3..6 {
        api.patch(&path("nightly"), &format!(r#"{{"cron":"0 {hour} * * *"}}"#))
            .await
            .expect(200);
    }
    let back = api
        .post(&path("nightly:rollback"), r#"{"to_revision":2}"#)
        .await
        .expect(200);
    assert_eq!(
        (&back["revision"], &back["cron"]),
        (&json!(5), &json!("0 3 * * *"))
    );
    for number in [0, 9] {
        api.post(
            &path("nightly:rollback"),
            &format!(r#"{{"to_revision":{number}}}"#),
        )
        .await
        .problem(404);
    }
    api.pass(5_000).await;
    assert_eq!(api.delete(&path("nightly")).await.status, 204);
    api.get(&path("nightly")).await.problem(404);
    api.delete(&path("nightly")).await.problem(404);
    api.pass(5_000).await;
    let list = api.get(&path("nightly/revisions")).await.expect(200);
    let list = list["revisions"].as_array().unwrap();
    let numbers: Vec<u64> = list
        .iter()
        .map(|revision| revision["revision"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        (&list[5]["deleted"], &list[4]["note"]),
        (&json!(true), &json!("back to revision 2"))
    );
    api.get(&path("unknown/revisions")).await.problem(404);
    assert_eq!(
        api.post(SCHEDULES, NIGHTLY).await.expect(201)["revision"],
        7,
        "a new life goes on counting"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_force_already_makes_no_revision() {
    let api = api().await;
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    let (pause, resume) = (path("nightly:pause"), path("nightly:resume"));
    let back = path("nightly:rollback");
    let (noted, to_first) = (r#"{"note":"holiday"}"#, r#"{"to_revision":1}"#);
    // The path, the body, and the newest revision after it.
    for (action, body, revision) in [
        (&resume, "{}", 1),
        (&back, to_first, 1),
        (&pause, "{}", 2),
        (&pause, "{}", 2),
        (&pause, noted, 3),
        (&pause, noted, 3),
        (&pause, "{}", 3),
        (&back, to_first, 3),
        (&resume, "{}", 4),
    ] {
        let answer = api.post(action, body).await;
        let etag = format!("\"{revision}\"");
        assert_eq!(answer.headers["etag"], etag, "{action} {body}");
        assert_eq!(answer.expect(200)["revision"], revision, "{action} {body}");
    }
    for body in ["{}", r#"{"cron":"0 2 * * *"}"#, r#"{"paused":false}"#] {
        let answer = api.patch(&path("nightly"), body).await.expect(200);
        assert_eq!(answer["revision"], 4, "{body}");
    }
    let stale = [("If-Match", "\"1\"")];
    api.with_headers(Method::POST, &resume, &stale, "{}")
        .await
        .problem(412);
}

#[tokio::test(start_paused = true)]
async fn a_paused_schedule_says_so_and_goes_on_when_resumed() {
    let api = api().await;
    api.post(SCHEDULES, r#"{"id":"a:b/c","every":"1m","queue":"q"}"#)
        .await
        .expect(201);
    let encoded = path("a:b%2Fc");
    let paused = api
        .post(&format!("{encoded}:pause"), r#"{"note":"holiday"}"#)
        .await
        .expect(200);
    assert_eq!(
        (&paused["state"], &paused["paused"]),
        (&json!("paused"), &json!(true))
    );
    api.pass(180_000).await;
    assert!(api.published().is_empty());
    let shown = api.get(&encoded).await.expect(200);
    assert!(
        texts(&shown["why"])[0].ends_with("by anonymous: holiday"),
        "{shown}"
    );
    assert_eq!(
        api.post(&format!("{encoded}:resume"), "").await.expect(200)["state"],
        "active"
    );
    api.pass(120_000).await;
    assert_eq!(api.published().len(), 2, "{:?}", api.published());
}

#[tokio::test(start_paused = true)]
async fn trigger_and_backfill_run_what_was_asked_for() {
    let api = api().await;
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    assert_eq!(
        api.post(&path("nightly:trigger"), "").await.expect(202)["runs"],
        1
    );
    api.pass(1_000).await;
    assert_eq!(api.published().len(), 1);
    let range = r#"{"from":"2026-10-01T00:00:00Z","to":"2026-10-10T23:59:59Z"}"#;
    assert_eq!(
        api.post(&path("nightly:backfill"), range).await.expect(202)["runs"],
        10
    );
    api.pass(10_000).await;
    assert_eq!(api.published().len(), 11, "{:?}", api.published());

    let records = api.store.records();
    for (range, field) in [
        (
            r#"{"from":"2026-10-10T00:00:00Z","to":"2026-10-01T00:00:00Z"}"#,
            "from",
        ),
        (
            r#"{"from":"2026-10-10T03:00:00Z","to":"2026-10-10T04:00:00Z"}"#,
            "from",
        ),
        (
            r#"{"from":"1990-01-01T00:00:00Z","to":"2026-10-01T00:00:00Z"}"#,
            "to",
        ),
        (
            r#"{"from":"yesterday","to":"2026-10-01T00:00:00Z"}"#,
            "from",
        ),
    ] {
        assert_eq!(
            api.post(&path("nightly:backfill"), range)
                .await
                .problem(422)["field"],
            field
        );
    }
    assert_eq!(
        api.post(&path("nightly:trigger"), r#"{"overlap":"never"}"#)
            .await
            .problem(422)["field"],
        "overlap"
    );
    assert_eq!(api.store.records(), records, "nothing half done");
    for (suffix, status) in [
        ("nightly:explode", 404),
        ("nightly", 404),
        ("unknown:trigger", 404),
        ("unknown:pause", 404),
    ] {
        api.post(&path(suffix), "{}").await.problem(status);
    }
}

#[tokio::test(start_paused = true)]
async fn backfills_are_listed_and_stopped() {
    let api = api().await;
    let daily = r#"{"id":"nightly","cron":"0 2 * * *","queue":"q","overlap":"skip","paused":true}"#;
    api.post(SCHEDULES, daily).await.expect(201);
    let range = r#"{"from":"2026-10-01T00:00:00Z","to":"2026-10-10T23:59:59Z"}"#;
    let asked = api.post(&path("nightly:backfill"), range).await.expect(202);
    let listed = api.get(&path("nightly/backfills")).await.expect(200);
    let [backfill] = &listed["backfills"].as_array().unwrap()[..] else {
        panic!("{listed}")
    };
    assert_eq!(backfill["id"], asked["offset"].to_string());
    assert_eq!(backfill["to"], "2026-10-10T02:00:00.000Z");
    let stop = |id: &str| format!(r#"{{"backfill":"{id}"}}"#);
    for (id, status) in [("99", 404), ("x", 422), ("", 422), ("-1", 422)] {
        api.post(&path("nightly:stop-backfill"), &stop(id))
            .await
            .problem(status);
    }
    api.post(&path("nightly:stop-backfill"), "{}")
        .await
        .problem(400);
    let id = backfill["id"].as_str().unwrap();
    assert_eq!(
        api.post(&path("nightly:stop-backfill"), &stop(id))
            .await
            .status,
        204
    );
    assert_eq!(
        api.get(&path("nightly/backfills")).await.expect(200),
        json!({ "backfills": [] })
    );
    api.post(&path("nightly:stop-backfill"), &stop(id))
        .await
        .problem(404);
    api.post(&path("nightly:resume"), "{}").await.expect(200);
    api.pass(10_000).await;
    assert_eq!(api.published().len(), 0, "nothing of it runs");
    api.get(&path("unknown/backfills")).await.problem(404);
}

#[tokio::test(start_paused = true)]
async fn runs_that_nothing_is_heard_of_can_be_forgotten() {
    let api = api().await;
    api.post(
        SCHEDULES,
        r#"{"id":"s","every":"1m","queue":"q","overlap":"skip"}"#,
    )
    .await
    .expect(201);
    api.pass(60_000).await;
    assert_eq!(api.published().len(), 1);
    api.pass(60_000).await;
    assert_eq!(api.published().len(), 1, "the second waits for the first");
    assert_eq!(
        api.post(&path("s:forget-runs"), "{}").await.expect(202)["runs"],
        1
    );
    assert_eq!(api.get(&path("s")).await.expect(200)["running"], json!([]));
    api.pass(60_000).await;
    assert_eq!(api.published().len(), 2);
    assert_eq!(
        api.post(&path("s:forget-runs"), "").await.expect(202)["runs"],
        1
    );
    api.post(&path("s:forget-runs"), r#"{"all":true}"#)
        .await
        .problem(400);
    api.post(&path("unknown:forget-runs"), "{}")
        .await
        .problem(404);
}

#[tokio::test(start_paused = true)]
async fn a_preview_shows_times_and_saves_nothing() {
    let api = api().await;
    let unsaved = format!("{SCHEDULES}:preview?n=3&from=2027-03-27T00:00:00Z");
    let body = r#"{"cron":"30 2 * * *","time_zone":"Europe/Berlin","queue":"q"}"#;
    let preview = api.post(&unsaved, body).await.expect(200);
    // The clocks go forward on 28 March at 2:00; the fixed time in the gap runs at its end.
    assert_eq!(
        texts(&preview["next"]),
        [
            "2027-03-27T01:30:00.000Z",
            "2027-03-28T01:00:00.000Z",
            "2027-03-29T00:30:00.000Z"
        ]
    );
    assert_eq!(preview["notes"][0]["at"], "2027-03-28T01:00:00.000Z");
    assert_eq!(api.store.records(), 0);
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    let stored = api.get(&path("nightly/preview?n=2")).await.expect(200);
    assert_eq!(
        texts(&stored["next"]),
        ["2026-11-24T01:00:00.000Z", "2026-11-25T01:00:00.000Z"]
    );
    for (n, given) in [
        ("0", "0"),
        ("1001", "1001"),
        ("-1", "-1"),
        ("2147483648", "2147483648"),
    ] {
        assert_eq!(
            api.get(&path(&format!("nightly/preview?n={n}")))
                .await
                .problem(422)["given"],
            given
        );
    }
}

#[tokio::test(start_paused = true)]
async fn schedules_are_listed_in_order_page_by_page() {
    let api = api().await;
    let mut expected: Vec<String> = (0..25).map(|n| format!("s-{}", (n * 7) % 25)).collect();
    for id in &expected {
        api.post(
            SCHEDULES,
            &format!(r#"{{"id":"{id}","every":"1h","queue":"q"}}"#),
        )
        .await
        .expect(201);
    }
    api.delete(&path("s-3")).await;
    expected.retain(|id| id != "s-3");
    expected.sort();
    assert_eq!(listed(&api, 4, "").await, expected);
    assert_eq!(listed(&api, 1_000, "&prefix=s-1").await.len(), 11);
    let page = api.get(&format!("{SCHEDULES}?limit=4")).await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let stolen = api
        .get(&format!("/v1/namespaces/other/schedules?cursor={cursor}"))
        .await
        .problem(422);
    assert_eq!(stolen["field"], "cursor");
}

async fn listed(api: &Api, limit: usize, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("{SCHEDULES}?limit={limit}{query}{cursor}"))
            .await
            .expect(200);
        ids.extend(
            page["schedules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn changes_at_the_same_time_are_all_kept_or_told() {
    let api = api().await;
    api.post(SCHEDULES, NIGHTLY).await.expect(201);
    let changes = (0..8).map(|n| {
        let body = format!(r#"{{"headers":{{"n":"{n}"}}}}"#);
        let api = &api;
        async move {
            api.with_headers(
                Method::PATCH,
                &path("nightly"),
                &[("If-Match", "\"1\"")],
                &body,
            )
            .await
        }
    });
    let answers = futures::future::join_all(changes).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    let lost = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!((won, lost), (1, 7));
    assert_eq!(api.get(&path("nightly")).await.expect(200)["revision"], 2);
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_the_answer_says_so() {
    let limits = minutehand_node::Limits {
        apply_wait_ms_max: 200,
        ..Default::default()
    };
    let api = api_with(Setup {
        no_node: true,
        limits: Some(limits),
        ..Setup::default()
    })
    .await;
    let problem = api.get(&path("nightly")).await;
    assert_eq!(problem.headers["retry-after"], "1");
    assert!(
        problem.problem(503)["detail"]
            .as_str()
            .unwrap()
            .contains("no owner that is ready")
    );
    api.post(SCHEDULES, NIGHTLY).await.problem(503);
    // A task is durable in the log whether or not anybody owns the partition.
    api.post(crate::support::TASKS, r#"{"queue":"q","delay":1}"#)
        .await
        .expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_tried_again_is_found_under_its_own_id() {
    use minutehand_model::{Command, Namespace, PartitionId};
    use minutehand_ports::CommandLog;
    let api = api().await;
    for schedule in ["a", "b", "c", "d"] {
        let body = format!(r#"{{"id":"{schedule}","every":"1m","queue":"q"}}"#);
        api.post(SCHEDULES, &body).await.expect(201);
    }
    api.pass(60_000).await;
    // Workers write the retry of a run to the log of the partition it came from: the schedule's.
    for record in api.store.published() {
        let mut task = minutehand_record::task::decode(&record.encoded).unwrap();
        let schedule = task.origin.as_ref().unwrap().schedule.clone();
        let namespace = Namespace::parse("default").unwrap();
        let partition = PartitionId::of(&namespace, schedule.as_str(), crate::support::PARTITIONS);
        task.attempt = 2;
        task.due = task.due.plus_millis(3_600_000);
        let retry = Command::Create(minutehand_record::task::record(&task));
        api.store
            .append(partition, vec![minutehand_record::command::encode(&retry)])
            .await
            .unwrap();
        let path = format!("{}/{}", crate::support::TASKS, task.id);
        let found = api.get(&path).await.expect(200);
        assert_eq!(
            (&found["state"], &found["attempt"]),
            (&json!("scheduled"), &json!(2))
        );
        assert_eq!(
            (&found["partition"], &found["schedule"]),
            (&json!(partition.number()), &json!(schedule.as_str()))
        );
        api.delete(&path).await.expect(200);
    }
}
