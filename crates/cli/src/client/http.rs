//! Requests and answers.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use minutehand_caller::{CallerError, base_url, bearer, innermost, is_on_this_machine, trusting};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::failure_of;
use crate::args::ServerArgs;
use crate::exit::{Exit, Failure};

/// Time to reach the server before it counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to one server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// A good answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
}

impl Answered {
    /// The answer as a type of the API.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.body).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the server's answer cannot be read: {error}"),
            )
            .with_hint("server and command line may be of different releases")
        })
    }
}

/// Whether the environment names a proxy.
fn has_proxy() -> bool {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names
        .iter()
        .any(|name| is_set(name) || is_set(&name.to_ascii_lowercase()))
}

impl Client {
    /// A client as the arguments say.
    pub(crate) fn new(args: &ServerArgs) -> Result<Client, Failure> {
        let usage = |error: CallerError| Failure::new(Exit::Usage, error.in_words());
        let base = base_url(&args.server).map_err(usage)?;
        let token = args.token.as_ref();
        let authorization = token.map(|token| bearer(token.reveal())).transpose();
        let authorization = authorization.map_err(usage)?;
        let builder = trusting(&base, args.cacert.as_deref()).map_err(usage)?;
        let http = builder
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("minutehand/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format!("could not start the HTTP client: {}", innermost(&error)),
                )
                .with_hint(
                    "https needs the system's certificates (Debian: apt install ca-certificates)",
                )
            })?;
        Ok(Client {
            http,
            base,
            authorization,
            timeout: args.timeout,
        })
    }

    /// The same, for a request that the server answers after a while.
    pub(crate) fn waiting(mut self, wait: Duration) -> Client {
        self.timeout += wait;
        self
    }

    /// `GET`, with the parameters that are there.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<Answered, Failure> {
        let query = given(query);
        let request = self.request(Method::GET, path)?.query(&query);
        self.answer(request.timeout(self.timeout)).await
    }

    /// A request with a JSON body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answered, Failure> {
        self.answer(self.request(method, path)?.json(body).timeout(self.timeout))
            .await
    }

    /// The same, refused by the server when the resource's tag is another one.
    pub(crate) async fn send_if(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        tag: &str,
    ) -> Result<Answered, Failure> {
        self.answer(
            self.request(method, path)?
                .header(IF_MATCH, tag)
                .json(body)
                .timeout(self.timeout),
        )
        .await
    }

    /// `DELETE`.
    pub(crate) async fn delete(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<Answered, Failure> {
        let query = given(query);
        self.answer(
            self.request(Method::DELETE, path)?
                .query(&query)
                .timeout(self.timeout),
        )
        .await
    }

    /// `POST` of a stream of JSON lines; the answer is a stream, too, and neither has a time limit.
    pub(crate) async fn stream<S>(&self, path: &str, lines: S) -> Result<Response, Failure>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let request = self
            .request(Method::POST, path)?
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(reqwest::Body::wrap_stream(lines));
        let response = request
            .send()
            .await
            .map_err(|error| self.unanswered(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.failed(response).await)
        }
    }

    /// Why a request had no answer, or its answer no end.
    pub(crate) fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let base = &self.base;
        if error.is_connect() {
            let is_plain =
                base.starts_with("https://") && innermost(error).contains("InvalidContentType");
            let hint = if is_plain {
                "it may speak plain HTTP: name it with http://"
            } else if has_proxy() && !is_on_this_machine(base) {
                "it is asked through the proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY); NO_PROXY names \
                 servers that are asked without it"
            } else {
                "start one with `minutehand dev`, or name another with --server or MINUTEHAND_SERVER"
            };
            return Failure::new(
                Exit::Unreachable,
                format!("no server answers at {base}: {}", innermost(error)),
            )
            .with_hint(hint);
        }
        if error.is_timeout() {
            return Failure::new(
                Exit::Unreachable,
                format!("{base} did not answer within {:?}", self.timeout),
            )
            .with_hint("the request may have been carried out; --timeout allows for more");
        }
        Failure::new(
            Exit::Unreachable,
            format!("the connection to {base} broke: {}", innermost(error)),
        )
        .with_hint("the request may have been carried out")
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        refuse_other_places(path)?;
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header(ACCEPT, "application/json");
        Ok(match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        })
    }

    async fn failed(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap_or_default();
        failure_of(status, &bytes, self.authorization.is_some())
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answered, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unanswered(&error))?;
        if !response.status().is_success() {
            return Err(self.failed(response).await);
        }
        let status = response.status().as_u16();
        let etag = response
            .headers()
            .get(ETAG)
            .and_then(|tag| tag.to_str().ok())
            .map(str::to_owned);
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unanswered(&error))?;
        if bytes.is_empty() {
            return Ok(Answered {
                status,
                body: Value::Null,
                etag,
            });
        }
        let body = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("{} answered something that is not JSON: {error}", self.base),
            )
            .with_hint("is there a Minutehand server at that address?")
        })?;
        Ok(Answered { status, body, etag })
    }
}

/// Refuses a name that a URL takes for another place: the request would be about something else.
fn refuse_other_places(path: &str) -> Result<(), Failure> {
    let path = path.split('?').next().unwrap_or_default();
    match path.split('/').find(|name| [".", ".."].contains(name)) {
        Some(name) => Err(Failure::refused(format!(
            "{name:?} names another place in a path: nothing is called so; give a name other than . and .."
        ))),
        None => Ok(()),
    }
}

/// The parameters that are there.
fn given<'a>(query: &'a [(&'a str, Option<String>)]) -> Vec<(&'a str, &'a String)> {
    let given = |(name, value): &'a (&'a str, Option<String>)| Some((*name, value.as_ref()?));
    query.iter().filter_map(given).collect()
}
