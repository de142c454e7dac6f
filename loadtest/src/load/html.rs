//! A report as one HTML page: no script, nothing from elsewhere, pictures as SVG.

use std::fmt::Write as _;

use super::report::LoadReport;
use super::timeline::{RowReport, Spread};

/// Size of a picture, and of the margin for its scales.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const BELOW: f64 = 24.0;
/// Lines across a picture.
const SCALE_LINES: usize = 4;
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#d0d7de;--soft:#57606a}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--faint:#30363d;--soft:#8b949e}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:960px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}p{margin:.25rem 0;color:var(--soft)}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--faint)}th:first-child,td:first-child{text-align:left}\
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}\
.grid{stroke:var(--faint);stroke-width:1}.kept{color:#1a7f37}.broken{color:#cf222e;font-weight:600}\
.key{display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 1em}";
const COLOURS: [&str; 6] = [
    "#0969da", "#cf222e", "#9a6700", "#1a7f37", "#8250df", "#bf3989",
];

/// A line of a picture.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Line {
        Line {
            name: name.into(),
            points,
        }
    }

    fn of(name: &str, rows: &[RowReport], value: impl Fn(&RowReport) -> f64) -> Line {
        Line::new(
            name,
            rows.iter().map(|row| (row.at_s, value(row))).collect(),
        )
    }
}

/// How the values of a picture are spread over its height.
#[derive(Clone, Copy, PartialEq)]
enum Height {
    Even,
    /// Each decade takes as much.
    Decades,
}

/// A run as a page.
pub fn page(report: &LoadReport) -> String {
    let mut page = String::new();
    let asked = &report.asked_for;
    let title = format!("{} over {}", asked.scenario, report.via);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}</style><h1>{0}</h1><p>{1}</p><p>Begun {2}, {3} s, up to {4} tasks/s of {5} bytes, \
         seed {6}, run {7}, part {8}.</p>",
        escaped(&title),
        escaped(&asked.about),
        escaped(&asked.began_at),
        asked.for_s,
        number(asked.rate),
        asked.payload_bytes,
        asked.seed,
        escaped(&asked.run),
        escaped(&asked.share),
    );
    verdict(&mut page, report);
    spreads(&mut page, report);
    let rows = &report.rows;
    picture(
        &mut page,
        "Tasks a second",
        "",
        Height::Even,
        &[
            Line::of("handed over", rows, |row| row.asked_per_s),
            Line::of("started", rows, |row| row.started_per_s),
        ],
    );
    lateness(&mut page, "Start lateness", rows, |row| row.start_ms);
    lateness(&mut page, "Publish lateness", rows, |row| row.publish_ms);
    lateness(&mut page, "Until the answer", rows, |row| row.answer_ms);
    let curve = report.curve.iter().filter(|(share, _)| *share < 1.0);
    let curve = curve.map(|(share, ms)| (-(1.0 - share).log10(), *ms));
    picture(
        &mut page,
        "Start lateness by share of starts (1: nine in ten, 2: 99 in a hundred, and so on)",
        "ms",
        Height::Decades,
        &[Line::new("start", curve.collect())],
    );
    processes(&mut page, report);
    page.push_str("</html>\n");
    page
}

fn verdict(page: &mut String, report: &LoadReport) {
    let counts = &report.counts;
    let (class, words) = match (report.is_verified, report.is_kept) {
        (false, _) => ("", "What became of the tasks was not looked at."),
        (true, true) => ("kept", "Nothing was lost, came twice or early."),
        (true, false) => ("broken", "Not every promise was kept."),
    };
    let _ = write!(page, "<h2 class=\"{class}\">{words}</h2><table><tr>");
    let cells = [
        ("handed over", report.asked),
        ("acknowledged", counts.acknowledged),
        ("started", counts.started + counts.occurrences),
        ("lost", counts.lost),
        ("twice", counts.twice),
        ("early", counts.early),
        ("strange", counts.strange + counts.cancelled_in_vain),
        ("refused", counts.refused),
        ("unknown", counts.unknown),
        ("not due", counts.not_due),
    ];
    for (name, _) in cells {
        let _ = write!(page, "<th>{name}</th>");
    }
    page.push_str("</tr><tr>");
    for (_, value) in cells {
        let _ = write!(page, "<td>{}</td>", number(value as f64));
    }
    page.push_str("</tr></table>");
    for violation in &report.violations {
        let _ = write!(page, "<p class=\"broken\">{}</p>", escaped(violation));
    }
    let _ = write!(
        page,
        "<p>The generator was at most {} ms behind its plan.</p>",
        report.behind_ms_max
    );
}

fn spreads(page: &mut String, report: &LoadReport) {
    page.push_str(
        "<h2>Milliseconds</h2><table><tr><th></th><th>count</th><th>p50</th><th>p90</th><th>p99</th>\
         <th>p99.9</th><th>p99.99</th><th>max</th></tr>",
    );
    let mut row = |name: &str, spread: &Spread| {
        if spread.count == 0 {
            return;
        }
        let _ = write!(page, "<tr><td>{}</td>", escaped(name));
        let shares = [
            spread.count as f64,
            spread.p50,
            spread.p90,
            spread.p99,
            spread.p999,
            spread.p9999,
            spread.max,
        ];
        for value in shares {
            let _ = write!(page, "<td>{}</td>", number(value));
        }
        page.push_str("</tr>");
    };
    row("due to published", &report.publish_ms);
    row("due to started", &report.start_ms);
    for stream in report.streams.iter().filter(|_| report.streams.len() > 1) {
        row(
            &format!("due to started: {}", stream.name),
            &stream.start_ms,
        );
    }
    row("asked to answered", &report.answer_ms);
    page.push_str("</table>");
}

fn lateness(page: &mut String, title: &str, rows: &[RowReport], of: fn(&RowReport) -> Spread) {
    let some: Vec<RowReport> = rows
        .iter()
        .filter(|row| of(row).count > 0)
        .copied()
        .collect();
    if some.is_empty() {
        return;
    }
    let line = |name, value: fn(&Spread) -> f64| Line::of(name, &some, |row| value(&of(row)));
    let lines = [
        line("p50", |spread| spread.p50),
        line("p99.9", |spread| spread.p999),
        line("p99", |spread| spread.p99),
    ];
    picture(page, title, "ms", Height::Decades, &lines);
}

fn processes(page: &mut String, report: &LoadReport) {
    let lines = |value: fn(&(f64, f64, u64)) -> f64| -> Vec<Line> {
        let lines = report.processes.iter().map(|process| {
            let points = process
                .samples
                .iter()
                .map(|sample| (sample.0, value(sample)));
            Line::new(process.name.clone(), points.collect())
        });
        lines.collect()
    };
    let mib = f64::from(1 << 20);
    picture(
        page,
        "Processors in use",
        "",
        Height::Even,
        &lines(|(_, processors, _)| *processors),
    );
    picture(
        page,
        "Resident memory",
        "MiB",
        Height::Even,
        &lines(|(.., bytes)| *bytes as f64 / f64::from(1 << 20)),
    );
    let folders = report.folders.iter().map(|folder| {
        let points = folder
            .samples
            .iter()
            .map(|(at, bytes)| (*at, *bytes as f64 / mib));
        Line::new(folder.name.clone(), points.collect())
    });
    picture(
        page,
        "Bytes stored",
        "MiB",
        Height::Even,
        &folders.collect::<Vec<_>>(),
    );
}

/// Draws lines; nothing where there are none.
fn picture(page: &mut String, title: &str, unit: &str, height: Height, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max);
    if points().next().is_none() || right == 0.0 {
        return;
    }
    let top = match height {
        Height::Even => round_up(points().map(|(_, y)| *y).fold(0.0, f64::max)),
        Height::Decades => {
            let most = points().map(|(_, y)| *y).fold(10.0, f64::max);
            10_f64.powf(most.log10().ceil())
        }
    };
    let across = |x: f64| LEFT + x / right * (WIDTH - LEFT);
    let part = |y: f64| match height {
        Height::Even => y / top,
        Height::Decades => y.max(1.0).log10() / top.log10(),
    };
    let up = |y: f64| (HEIGHT - BELOW) * (1.0 - part(y).clamp(0.0, 1.0));
    let _ = write!(
        page,
        "<h2>{}</h2><svg viewBox=\"0 -8 {WIDTH} {}\" role=\"img\" aria-label=\"{0}\">",
        escaped(title),
        HEIGHT + 8.0,
    );
    let scale: Vec<f64> = match height {
        Height::Even => (0..=SCALE_LINES)
            .map(|line| top * line as f64 / SCALE_LINES as f64)
            .collect(),
        Height::Decades => (0..=top.log10() as i32)
            .map(|power| 10_f64.powi(power))
            .collect(),
    };
    for value in scale {
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3} {unit}</text>",
            up(value),
            LEFT - 6.0,
            up(value) + 4.0,
            number(value),
        );
    }
    for line in 0..=SCALE_LINES {
        let x = right * line as f64 / SCALE_LINES as f64;
        let anchor = if line == SCALE_LINES { "end" } else { "middle" };
        let _ = write!(
            page,
            "<text x=\"{:.1}\" y=\"{HEIGHT}\" text-anchor=\"{anchor}\">{}</text>",
            across(x),
            number(x),
        );
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(
            page,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\""
        );
        for (x, y) in &line.points {
            let _ = write!(page, "{:.1},{:.1} ", across(*x), up(*y));
        }
        page.push_str("\"/>");
    }
    page.push_str("</svg><p>");
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(
            page,
            "<span class=\"key\" style=\"background:{colour}\"></span>{}",
            escaped(&line.name)
        );
    }
    page.push_str("</p>");
}

/// The next number of one digit and noughts.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let decade = 10_f64.powf(value.log10().floor());
    (value / decade).ceil() * decade
}

/// A number for people: groups of three, no more digits than it has.
fn number(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> LoadReport {
        let spread = Spread {
            count: 10,
            p50: 3.0,
            p90: 9.0,
            p99: 50.0,
            p999: 400.0,
            p9999: 2_000.0,
            max: 2_345.0,
        };
        let row = RowReport {
            at_s: 1.0,
            asked_per_s: 1_000.0,
            started_per_s: 990.0,
            publish_ms: spread,
            start_ms: spread,
            answer_ms: spread,
        };
        let text = serde_json::json!({
            "format": 1, "scenario": "a<b", "about": "x & y", "run": "r", "seed": 1, "via": "http", "rate": 1000.0,
            "for_s": 60.0, "payload_bytes": 256, "share": "1/1", "began_at": "2026-01-01T00:00:00Z",
            "is_verified": true, "is_kept": false, "asked": 1_234_567, "counts": super::super::Counts::default(),
            "started_per_s": 990.0, "behind_ms_max": 3, "publish_ms": spread, "start_ms": spread, "answer_ms": spread,
            "curve": [[0.5, 3.0], [0.99, 50.0], [1.0, 2345.0]], "streams": [], "rows": [row, row],
            "processes": [{ "name": "scheduler", "samples": [[1.0, 0.5, 1_048_576]] }],
            "folders": [{ "name": "kafka", "samples": [[1.0, 3_145_728]] }], "violations": ["task 7 was <lost>"],
        });
        serde_json::from_value(text).expect("a report")
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = page(&report());
        for foreign in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        for own in [
            "a&lt;b over http",
            "x &amp; y",
            "task 7 was &lt;lost&gt;",
            "1,234,567",
            "Not every promise was kept.",
            "Processors in use",
            "Bytes stored",
        ] {
            assert!(page.contains(own), "{own}");
        }
        let pictures = page.matches("<svg").count();
        assert_eq!((pictures, page.matches("</svg>").count()), (8, 8));
    }

    #[test]
    fn numbers_are_grouped_and_scales_are_round() {
        let told = [0.0, 0.25, 9.0, 1_234.0, 1_234_567.8].map(number);
        assert_eq!(told, ["0", "0.25", "9", "1,234", "1,234,568"]);
        let tops = [0.0, 0.13, 1.0, 42.0, 990.0].map(round_up);
        assert_eq!(tops, [1.0, 0.2, 1.0, 50.0, 1_000.0]);
    }
}
