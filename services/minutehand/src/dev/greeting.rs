//! The first lines a person sees.

use std::net::SocketAddr;
use std::path::Path;

/// At most six lines: API, page, metrics, data folder, and the command to try next.
pub(super) fn greeting(
    http: SocketAddr,
    is_tls: bool,
    data_dir: &Path,
    schedules: Option<usize>,
) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let mut lines = vec![
        format!("minutehand is ready   API      {scheme}://{http}/v1"),
        format!("                      page     {scheme}://{http}/"),
        format!("                      metrics  {scheme}://{http}/metrics"),
        format!("                      data     {}", data_dir.display()),
    ];
    if let Some(count) = schedules {
        let schedules = if count == 1 { "schedule" } else { "schedules" };
        lines.push(format!(
            "                      crontab  {count} {schedules}"
        ));
    }
    let server = match http.port() {
        8080 if http.ip().is_loopback() && !is_tls => String::new(),
        _ => format!(" --server {scheme}://{http}"),
    };
    lines.push(format!(
        "try: minutehand task create --queue hello --in 5s --payload hi{server}"
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_everything_in_six_lines() {
        let http: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let text = greeting(http, false, Path::new("minutehand-data"), Some(3));
        assert!(text.lines().count() <= 6);
        for part in [
            "/v1",
            "/metrics",
            "minutehand-data",
            "3 schedules",
            "minutehand task create",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let text = greeting(http, true, Path::new("minutehand-data"), None);
        assert!(
            text.ends_with(" --server https://127.0.0.1:8080") && !text.contains("http://"),
            "{text}"
        );
    }
}
