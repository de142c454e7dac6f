//! Bodies: sizes around every limit, damaged and deep JSON, bytes that are no text, compressed
//! ones, and schedules that are expensive to look into.

use minutehand_model::limits::{
    BODY_BYTES_MAX, CRON_BYTES_MAX, HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX,
    ID_BYTES_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX,
};
use serde_json::{Map, Value, json};

use crate::caller::{Case, Random, Target, Wanted, json as json_request, request};

const TASKS: &str = "/v1/namespaces/hostile/tasks";
const SCHEDULES: &str = "/v1/namespaces/hostile/schedules";

/// A task that everybody may create, due when nobody looks.
fn task() -> Value {
    json!({
        "id": "a", "queue": "hostile", "due_at": "2036-01-01T00:00:00Z", "payload": "x",
        "headers": {"name": "value"},
    })
}

/// The same with another value.
fn task_with(field: &str, value: Value) -> Value {
    let mut task = task();
    task[field] = value;
    task
}

fn case(name: impl Into<String>, body: impl AsRef<[u8]>, wanted: Wanted) -> Case {
    // What is too large is not read to its end, and the answer may be lost with what is still on
    // its way.
    let wanted = if body.as_ref().len() > BODY_BYTES_MAX {
        Wanted::NoFault
    } else {
        wanted
    };
    Case {
        name: name.into(),
        bytes: json_request("POST", TASKS, body.as_ref()),
        wanted,
    }
}

/// What lies at a limit is taken, and one more is refused.
fn around_limits() -> Vec<Case> {
    let text = |count: usize| Value::from("n".repeat(count));
    let headers = |count: usize| -> Map<String, Value> {
        (0..count)
            .map(|number| (format!("h{number}"), "v".into()))
            .collect()
    };
    let with = |value: Value| json!({ "h": value });
    let named =
        |count: usize| Value::Object([("n".repeat(count), "v".into())].into_iter().collect());
    type Make<'a> = &'a dyn Fn(usize) -> Value;
    let limits: [(&str, &str, usize, Make<'_>); 6] = [
        ("payload", "payload", PAYLOAD_BYTES_MAX, &text),
        ("id", "id", ID_BYTES_MAX, &text),
        ("queue", "queue", NAME_BYTES_MAX, &text),
        ("headers", "headers", HEADERS_MAX, &|count| {
            Value::Object(headers(count))
        }),
        (
            "header value",
            "headers",
            HEADER_VALUE_BYTES_MAX,
            &|count| with(text(count)),
        ),
        ("header name", "headers", HEADER_NAME_BYTES_MAX, &named),
    ];
    let mut cases = Vec::new();
    for (name, field, limit, make) in limits {
        for (size, wanted) in [
            (limit - 1, Wanted::Success),
            (limit, Wanted::Success),
            (limit + 1, Wanted::Refusal),
            (4 * limit, Wanted::Refusal),
        ] {
            let body = task_with(field, make(size)).to_string();
            cases.push(case(format!("{name} of {size}"), body, wanted));
        }
    }
    for (size, wanted) in [
        (BODY_BYTES_MAX, Wanted::Success),
        (BODY_BYTES_MAX + 1, Wanted::Refusal),
    ] {
        let mut body = task().to_string();
        body.push_str(&" ".repeat(size - body.len()));
        cases.push(case(format!("a body of {size}"), body, wanted));
    }
    let namespace = |size: usize| format!("/v1/namespaces/{}/tasks", "n".repeat(size));
    for (size, wanted) in [
        (NAME_BYTES_MAX, Wanted::Success),
        (NAME_BYTES_MAX + 1, Wanted::Refusal),
    ] {
        let bytes = json_request("POST", &namespace(size), task().to_string().as_bytes());
        cases.push(Case {
            name: format!("a namespace of {size}"),
            bytes,
            wanted,
        });
    }
    cases
}

/// Values where another kind of value belongs.
fn other_kinds() -> Vec<Case> {
    let values = [
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "-0",
        "18446744073709551616",
        "0.1",
        "\"\"",
        "\"..\"",
        "\".\"",
        "\"a b\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"ä\"",
        "\"a/b\"",
        "[]",
        "{}",
        "[[]]",
        "{\"a\":{}}",
    ];
    let fields = [
        "id",
        "queue",
        "due_at",
        "delay",
        "headers",
        "retry",
        "guarantee",
        "precision",
        "unknown",
    ];
    let pairs = fields
        .iter()
        .flat_map(|field| values.iter().map(move |value| (field, value)));
    pairs
        .map(|(field, value)| {
            let body = format!(r#"{{"id":"k","queue":"hostile","delay":9999,"{field}":{value}}}"#);
            case(format!("{field} is {value}"), body, Wanted::NoFault)
        })
        .collect()
}

/// A good body cut at every place, and with a byte changed at many.
fn damaged() -> Vec<Case> {
    let whole = task().to_string().into_bytes();
    let mut random = Random::new(7);
    let cut = (1..whole.len()).map(|length| (format!("cut at {length}"), whole[..length].to_vec()));
    let flipped = (0..300).map(|number| {
        let (mut bytes, at) = (whole.clone(), random.below(whole.len()));
        bytes[at] = random.below(256) as u8;
        (format!("byte {at} changed, number {number}"), bytes)
    });
    let cut = cut.map(|(name, bytes)| case(name, bytes, Wanted::Refusal));
    let cut: Vec<Case> = cut.collect();
    cut.into_iter()
        .chain(flipped.map(|(name, bytes)| case(name, bytes, Wanted::NoFault)))
        .collect()
}

/// Deep, wide and odd JSON, and bytes that are none.
fn odd() -> Vec<Case> {
    let mut cases = Vec::new();
    for depth in [100, 128, 10_000, 500_000] {
        let deep =
            |open: &str, close: &str| format!("{}{}", open.repeat(depth), close.repeat(depth));
        cases.push(case(
            format!("{depth} arrays"),
            deep("[", "]"),
            Wanted::Refusal,
        ));
        cases.push(case(
            format!("{depth} objects"),
            deep("{\"a\":", "}"),
            Wanted::Refusal,
        ));
        let within = format!(
            r#"{{"queue":"hostile","delay":1,"payload":{}}}"#,
            deep("[", "]")
        );
        cases.push(case(
            format!("{depth} arrays in a payload"),
            within,
            Wanted::NoFault,
        ));
        cases.push(case(
            format!("{depth} open arrays"),
            "[".repeat(depth),
            Wanted::Refusal,
        ));
    }
    let many = format!(
        "{{{}}}",
        (0..100_000)
            .map(|n| format!("\"k{n}\":0"))
            .collect::<Vec<_>>()
            .join(",")
    );
    cases.push(case("100,000 fields", many, Wanted::Refusal));
    let gzip = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0,
    ];
    for bytes in [
        &gzip[..],
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"\0",
        b"{}{}",
        b"\"",
        b"nul",
        b"\xc3\x28",
    ] {
        cases.push(case(format!("bytes {bytes:02x?}"), bytes, Wanted::Refusal));
    }
    for encoding in ["gzip", "deflate", "br", "identity, gzip", "nonsense"] {
        let heads = [
            ("Host", "localhost"),
            ("Content-Type", "application/json"),
            ("Content-Encoding", encoding),
        ];
        let name = format!("content encoding {encoding}");
        cases.push(Case {
            name,
            bytes: request("POST", TASKS, &heads, &gzip),
            wanted: Wanted::Refusal,
        });
    }
    cases
}

/// Lines of a bulk: empty ones, damaged ones, one that is too long, very many.
fn bulks() -> Vec<Case> {
    let good = task().to_string();
    let bodies = [
        ("nothing but ends of lines", "\n".repeat(100_000)),
        ("damaged between good ones", format!("{good}\n{{\n{good}\n")),
        ("one too long", "x".repeat(BODY_BYTES_MAX + 9)),
        ("no end of the last line", good.clone()),
        ("ends of lines of Windows", format!("{good}\r\n{good}\r\n")),
        ("10,000 damaged ones", "{\n".repeat(10_000)),
        (
            "1,000 queues",
            (0..1_000)
                .map(|n| format!("{{\"queue\":\"q{n}\",\"delay\":999999}}\n"))
                .collect(),
        ),
    ];
    let heads = [
        ("Host", "localhost"),
        ("Content-Type", "application/x-ndjson"),
    ];
    let bulk = |(name, body): (&str, String)| Case {
        name: format!("bulk: {name}"),
        bytes: request("POST", &format!("{TASKS}:bulk"), &heads, body.as_bytes()),
        wanted: Wanted::NoFault,
    };
    bodies.into_iter().map(bulk).collect()
}

/// Expressions that are wrong, that never fire, and whose next time is far to seek; created and
/// looked at beforehand.
fn schedules() -> Vec<Case> {
    let every_second_but_a_few = [
        "1-59 * * * * *",
        "0 1-59 * * * *",
        "0 0 1-4,6-9,11-14,16-19,21-23 * * *",
        "0 0 0,5,10,15,20 2-31 * *",
    ];
    let exclusions: Vec<String> = (0..96)
        .map(|n| format!("{} {} * * * *", n % 60, n % 59))
        .collect();
    let expensive: Vec<&str> = every_second_but_a_few
        .into_iter()
        .chain(exclusions.iter().map(String::as_str))
        .collect();
    let crons = [
        "* * * * * *".to_owned(),
        "0 0 30 2 *".to_owned(),
        "0 0 31 4,6,9,11 *".to_owned(),
        "* * *".to_owned(),
        "@never".to_owned(),
        "0 0 29 2 1#5".to_owned(),
        "*/0 * * * *".to_owned(),
        "60 24 32 13 8".to_owned(),
        "0,".repeat(CRON_BYTES_MAX),
        "9".repeat(CRON_BYTES_MAX),
        "\u{661} * * * *".to_owned(),
        String::new(),
    ];
    let zones = ["UTC", "Europe/Berlin", "../../etc/passwd", "Not/AZone", ""];
    let mut cases = Vec::new();
    for (cron, zone) in crons
        .iter()
        .flat_map(|cron| zones.iter().map(move |zone| (cron, zone)))
    {
        for exclude in [&[][..], expensive.as_slice()] {
            let body = json!({ "id": "s", "queue": "hostile", "cron": cron, "time_zone": zone, "exclude": exclude });
            let body = body.to_string();
            let name = format!(
                "cron {:.30?} in {zone:?}, {} exclusions",
                cron,
                exclude.len()
            );
            for path in [SCHEDULES.to_owned(), format!("{SCHEDULES}:preview?n=1000")] {
                let bytes = json_request("POST", &path, body.as_bytes());
                cases.push(Case {
                    name: format!("{name}, {path}"),
                    bytes,
                    wanted: Wanted::NoFault,
                });
            }
        }
    }
    cases
}

#[test]
fn bodies_at_and_beyond_every_limit_are_told_apart() {
    Target::start().endures(around_limits());
}

#[test]
fn bodies_that_are_damaged_or_of_another_kind_harm_nobody() {
    let mut target = Target::start();
    target.endures(other_kinds());
    target.endures(damaged());
}

#[test]
fn odd_bodies_and_bulks_harm_nobody() {
    let mut target = Target::start();
    target.endures(odd());
    target.endures(bulks());
}

#[test]
fn schedules_that_are_wrong_or_expensive_harm_nobody() {
    Target::start().endures(schedules());
}
