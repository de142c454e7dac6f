//! Who calls, and what for: authentication and the extractors that handlers begin with.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minutehand_api::{Duration, QueueAction, ScheduleAction, parse_queue, routes};
use minutehand_model::{Choice, Namespace, OrderKey, Timestamp};
use minutehand_node::InvalidField;

use crate::api::Api;
use crate::bearer::{Bearer, grant_for, refuse_beyond, refuse_read_only, refuse_restricted};
use crate::problem::Problem;
use crate::tokens::{Grant, Tokens};

/// Lets a request pass when its token (if any are configured) allows it, and notes whose it is.
pub(crate) async fn authenticate(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let grant = match grant(&api.tokens, request.headers()) {
        Ok(grant) => grant,
        Err(problem) => return problem.into_response(),
    };
    // A preview changes nothing although it is a POST.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let changes_nothing = is_read(request.method()) || route == Some(routes::SCHEDULES_PREVIEW);
    if !changes_nothing && let Err(problem) = refuse_read_only(&grant) {
        return problem.into_response();
    }
    request.extensions_mut().insert(grant);
    next.run(request).await
}

/// Lets another gateway pass: who bears a token of the cluster may do what the caller that it
/// speaks for may.
pub(crate) async fn authenticate_peer(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(places) = &api.lease_places else {
        return Problem::not_found("there is no other gateway").into_response();
    };
    match grant(&places.tokens, request.headers()) {
        Ok(grant) => {
            request.extensions_mut().insert(grant);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether a method only asks.
fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What the bearer of a request's token may do.
pub(crate) fn grant(tokens: &Tokens, headers: &HeaderMap) -> Result<Grant, Problem> {
    grant_for(tokens, headers.get(header::AUTHORIZATION))
}

fn bearer_of(parts: &Parts, api: &Api, namespace: Option<Namespace>) -> Bearer {
    Bearer {
        tokens: api.tokens.clone(),
        authorization: parts.headers.get(header::AUTHORIZATION).cloned(),
        namespace,
        changes: !is_read(&parts.method),
    }
}

fn grant_of(parts: &Parts) -> Grant {
    // Without the middleware nobody may do anything.
    let nothing = || Grant {
        name: "nobody".to_owned(),
        namespaces: Some(Vec::new()),
        read_only: true,
    };
    parts
        .extensions
        .get::<Grant>()
        .cloned()
        .unwrap_or_else(nothing)
}

/// A caller within a namespace that exists and that it may use.
pub(crate) struct Scoped {
    pub(crate) namespace: Namespace,
    pub(crate) grant: Grant,
    /// For what takes its time.
    pub(crate) bearer: Bearer,
    /// Where the parameters of its query are, once somebody asks for them.
    uri: Uri,
    params: Vec<(String, String)>,
}

impl FromRequestParts<Arc<Api>> for Scoped {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Scoped, Problem> {
        let params = path_params(parts, api).await?;
        let grant = grant_of(parts);
        let name = find(&params, "ns")?;
        let namespace = Namespace::parse(name)
            .map_err(|error| minutehand_api::name_refused("namespace", name, &error))?;
        refuse_beyond(&grant, &namespace)?;
        if !api.namespaces.exists(&namespace) {
            return Err(Problem::not_found(format!(
                "there is no namespace {namespace}; only listed ones exist here"
            )));
        }
        if !is_read(&parts.method) {
            api.namespaces.remember(&namespace);
        }
        Ok(Scoped {
            bearer: bearer_of(parts, api, Some(namespace.clone())),
            namespace,
            grant,
            uri: parts.uri.clone(),
            params,
        })
    }
}

impl Scoped {
    /// The last part of the path, decoded: an id, with or without a verb behind it.
    pub(crate) fn id(&self) -> Result<&str, Problem> {
        find(&self.params, "id")
    }

    /// The parameters of its query.
    pub(crate) fn params(&self, known: &[&str]) -> Result<Params, Problem> {
        Params::parse(&self.uri, known)
    }

    /// The key that a task or a schedule was created with: with the id in the path it names it.
    pub(crate) fn order_key(&self) -> Result<Option<OrderKey>, Problem> {
        let key = parameter(&self.uri, KEY);
        let key = key.as_deref().map(minutehand_api::parse_key);
        Ok(key.transpose()?)
    }

    /// The same, split at its last colon.
    pub(crate) fn id_and_verb(&self) -> Result<(&str, &str), Problem> {
        let text = self.id()?;
        text.rsplit_once(':')
            .ok_or_else(|| no_such_action::<ScheduleAction>(text))
    }
}

/// There is no such action.
pub(crate) fn no_such_action<A: Choice>(given: &str) -> Problem {
    let limit = format!("…:{}", A::WORDS.join(", …:"));
    let problem = Problem::not_found(format!("there is no action at {given:?}"));
    problem.about("action", limit, minutehand_api::json::shortened(given))
}

/// A caller that may use every namespace.
pub(crate) struct Everywhere {
    /// What its token is called.
    pub(crate) name: String,
    /// For what takes its time.
    pub(crate) bearer: Bearer,
    params: Vec<(String, String)>,
}

impl FromRequestParts<Arc<Api>> for Everywhere {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Everywhere, Problem> {
        let grant = grant_of(parts);
        refuse_restricted(&grant)?;
        Ok(Everywhere {
            bearer: bearer_of(parts, api, None),
            name: grant.name,
            params: path_params(parts, api).await?,
        })
    }
}

impl Everywhere {
    pub(crate) fn queue(&self) -> Result<minutehand_model::QueueName, Problem> {
        let text = find(&self.params, "queue")?;
        // No queue has a colon in its name.
        let is_action = |(_, action): (&str, &str)| action.parse::<QueueAction>().is_ok();
        if text.rsplit_once(':').is_some_and(is_action) {
            let detail = format!("{text} takes POST alone");
            return Err(Problem::method_not_allowed(detail, "POST"));
        }
        Ok(parse_queue(text)?)
    }

    /// The queue, and what is to be done with it, which stands behind its last colon.
    pub(crate) fn queue_and_action(
        &self,
    ) -> Result<(minutehand_model::QueueName, QueueAction), Problem> {
        let text = find(&self.params, "queue")?;
        let (queue, action) = text.rsplit_once(':').ok_or_else(|| {
            let detail = format!(
                "{text} is a queue, which takes no POST; its actions are …:{}",
                QueueAction::WORDS.join(", …:")
            );
            Problem::method_not_allowed(detail, "GET, HEAD, DELETE")
        })?;
        let action = action
            .parse()
            .map_err(|_| no_such_action::<QueueAction>(action))?;
        Ok((parse_queue(queue)?, action))
    }
}

async fn path_params(parts: &mut Parts, api: &Arc<Api>) -> Result<Vec<(String, String)>, Problem> {
    let params = RawPathParams::from_request_parts(parts, api)
        .await
        .map_err(|_| {
            let problem = Problem::malformed("the path is not UTF-8 once its % signs are decoded");
            problem.about("path", "percent-encoded UTF-8", parts.uri.path())
        })?;
    Ok(params
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

fn find<'a>(params: &'a [(String, String)], name: &str) -> Result<&'a str, Problem> {
    let found = params.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.as_str())
        .ok_or_else(|| Problem::not_found("the path is incomplete"))
}

/// The parameter that is a part of the names of tasks and schedules.
pub(crate) const KEY: &str = "key";

/// One parameter of a query, decoded; `None` when it is not given.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let found = query.0.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

/// The query of a request: every parameter at most once, none unknown.
pub(crate) struct Params {
    given: Vec<(String, String)>,
}

impl Params {
    pub(crate) fn parse(parts: &Uri, known: &[&str]) -> Result<Params, Problem> {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(parts);
        let axum::extract::Query(given) = query.map_err(|error| {
            let given = minutehand_api::json::shortened(parts.query().unwrap_or_default());
            Problem::malformed(error.to_string()).about("query", "name=value pairs", given)
        })?;
        for (index, (name, value)) in given.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let limit = match known {
                    [] => "none: there are no parameters here".to_owned(),
                    known => format!("one of {}", known.join(", ")),
                };
                return Err(InvalidField::new(
                    minutehand_api::json::shortened(name),
                    "is not a parameter",
                    limit,
                    value,
                )
                .into());
            }
            if given[..index].iter().any(|(before, _)| before == name) {
                return Err(
                    InvalidField::new(name, "is given twice", "at most once", value).into(),
                );
            }
        }
        Ok(Params { given })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, InvalidField> {
        self.parsed(name, minutehand_api::parse_time)
    }

    /// A time in a minute, with or without its seconds.
    pub(crate) fn minute(&self, name: &str) -> Result<Option<Timestamp>, InvalidField> {
        self.parsed(name, minutehand_api::parse_minute)
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str, &str) -> Result<T, InvalidField>,
    ) -> Result<Option<T>, InvalidField> {
        self.text(name).map(|text| parse(name, text)).transpose()
    }

    /// A length of time, in milliseconds, up to a limit.
    pub(crate) fn duration_ms(&self, name: &str, max_ms: i64) -> Result<Option<i64>, InvalidField> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let ms = Duration::Text(text.into()).as_ms(name)?;
        if ms > max_ms {
            let limit = format!("0 ms to {max_ms} ms");
            return Err(InvalidField::new(name, "is out of range", limit, text));
        }
        Ok(Some(ms))
    }

    /// A number within limits, or a default.
    pub(crate) fn number(
        &self,
        name: &str,
        default: usize,
        max: usize,
    ) -> Result<usize, InvalidField> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        match text.parse::<usize>() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(InvalidField::new(
                name,
                "is out of range",
                format!("1 to {max}"),
                text,
            )),
        }
    }
}
