//! The first lines a person sees.

use std::net::SocketAddr;
use std::path::Path;

/// At most six lines: API, page, metrics, data folder, and the command to try next.
pub(super) fn greeting(http: SocketAddr, data_dir: &Path, schedules: Option<usize>) -> String {
    let mut lines = vec![
        format!("minutehand is ready   API      http://{http}/v1"),
        format!("                      page     http://{http}/"),
        format!("                      metrics  http://{http}/metrics"),
        format!("                      data     {}", data_dir.display()),
    ];
    if let Some(count) = schedules {
        lines.push(format!("                      crontab  {count} schedules"));
    }
    let server = match http.port() {
        8080 if http.ip().is_loopback() => String::new(),
        _ => format!(" --server http://{http}"),
    };
    lines.push(format!("try: minutehand task create --queue hello --in 5s --payload hi{server}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_everything_in_six_lines() {
        let http: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let text = greeting(http, Path::new("minutehand-data"), Some(3));
        assert!(text.lines().count() <= 6);
        for part in ["/v1", "/metrics", "minutehand-data", "3 schedules", "minutehand task create"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
