//! Bounded HTTP: what is read of an answer, and lines of one that never ends.

use std::time::Duration;

use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode};

/// Longest answer that is read whole, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Longest line of a stream, in bytes.
const LINE_BYTES_MAX: usize = 4 << 20;
/// How much of a refusal is repeated, in characters.
const SHOWN_MAX: usize = 500;
/// Longest time until a connection is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer that is not what was hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// There is none.
    #[error("{what}: {why}")]
    NoAnswer {
        /// What was asked.
        what: &'static str,
        /// The innermost cause.
        why: String,
    },
    /// It is too long.
    #[error("{what}: the answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong {
        /// What was asked.
        what: &'static str,
    },
    /// It is a refusal.
    #[error("{what}: HTTP {}: {said}", status.as_u16())]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The status.
        status: StatusCode,
        /// The beginning of what was said.
        said: String,
    },
    /// It cannot be understood.
    #[error("{what}: the answer cannot be understood: {why}")]
    Garbled {
        /// What was asked.
        what: &'static str,
        /// Why.
        why: serde_json::Error,
    },
}

impl CallError {
    /// Whether the other side has refused what was asked: it has done nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status()
            .is_some_and(|status| (400..500).contains(&status))
    }

    /// The status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            CallError::Refused { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }
}

/// How a client begins: it follows nobody, and goes by no proxy.
pub(crate) fn client() -> ClientBuilder {
    minutehand_caller::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("minutehand/", env!("CARGO_PKG_VERSION")))
}

/// Sends a request; the answer when it is a success.
pub(crate) async fn send(
    what: &'static str,
    request: RequestBuilder,
) -> Result<Response, CallError> {
    let response = request
        .send()
        .await
        .map_err(|error| no_answer(what, &error))?;
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let body = body(what, response).await.unwrap_or_default();
    // Both APIs say it in a field of that name.
    let message = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|body| body["message"].as_str().map(str::to_owned));
    let said = message.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    let said = said.trim().chars().take(SHOWN_MAX).collect();
    Err(CallError::Refused { what, status, said })
}

/// Sends a request whose answer is JSON.
pub(crate) async fn json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    request: RequestBuilder,
) -> Result<T, CallError> {
    let body = body(what, send(what, request).await?).await?;
    serde_json::from_slice(&body).map_err(|why| CallError::Garbled { what, why })
}

/// The whole body of an answer.
pub(crate) async fn body(what: &'static str, mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| no_answer(what, &error))?
    {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(CallError::TooLong { what });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The lines of an answer, one after the other.
pub(crate) struct Lines {
    what: &'static str,
    response: Response,
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn of(what: &'static str, response: Response) -> Lines {
        Lines {
            what,
            response,
            buffer: Vec::new(),
        }
    }

    /// The next line, without its end; `None` at the end of the answer. What was read is kept when
    /// this is dropped before it answers.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(CallError::TooLong { what: self.what });
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| no_answer(self.what, &error))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.buffer))),
            }
        }
    }
}

/// The innermost cause: the others repeat the URL.
pub(crate) fn no_answer(what: &'static str, error: &reqwest::Error) -> CallError {
    let why = minutehand_caller::innermost(error);
    CallError::NoAnswer { what, why }
}
