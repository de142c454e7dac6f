//! A scripted API server: hyper on a socket, one function that answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// A request that was read.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: String,
    pub(crate) body: serde_json::Value,
}

/// An answer: whole, or in parts as they come.
pub(crate) struct Answer {
    status: u16,
    parts: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Answer {
    pub(crate) fn bytes(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        let (sender, parts) = mpsc::unbounded_channel();
        let body = body.into();
        if !body.is_empty() {
            sender.send(body).unwrap();
        }
        Answer { status, parts }
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer::bytes(status, body.to_string())
    }

    /// An answer that goes on as long as its sender lives.
    pub(crate) fn stream() -> (mpsc::UnboundedSender<Vec<u8>>, Answer) {
        let (sender, parts) = mpsc::unbounded_channel();
        (sender, Answer { status: 200, parts })
    }
}

struct Parts(mpsc::UnboundedReceiver<Vec<u8>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.map(|bytes| Ok(Frame::data(bytes.into()))))
    }
}

/// Serves one connection with a function.
pub(crate) fn serve<S, F, Fut>(stream: S, answer: Arc<F>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Asked) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = Arc::clone(&answer);
        async move {
            let Answer { status, parts } = answer(read(request).await).await;
            let mut response = Response::new(Parts(parts));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    tokio::spawn(async move {
        let server = Builder::new(TokioExecutor::new());
        server
            .serve_connection(TokioIo::new(stream), service)
            .await
            .ok();
    });
}

async fn read(request: Request<Incoming>) -> Asked {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    let authorization = head.headers.get("authorization");
    Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: authorization
            .map_or_else(String::new, |value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}
