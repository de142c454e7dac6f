//! Reading the values of arguments.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use minutehand_crontab::Format;

/// Reads an address: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for loopback.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || "must be an address and a port, such as 127.0.0.1:8080, localhost:8080 or :8080".to_owned();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    match host {
        "" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        host => {
            let mut found = (host, port).to_socket_addrs().map_err(|error| format!("{host:?}: {error}"))?;
            found.next().ok_or_else(wrong)
        }
    }
}

/// Reads the format of a crontab.
pub(super) fn crontab_format(word: &str) -> Result<Format, String> {
    match word {
        "user" => Ok(Format::User),
        "system" => Ok(Format::System),
        _ => Err("must be user or system".to_owned()),
    }
}

/// Splits `NAME=VALUE`.
pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}
