//! Bodies that tell their connection's standing whom they wait for and what they hold.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use minutehand_model::limits::BODY_BYTES_MAX;
use tokio::time::timeout;

use super::shared::Shared;
use super::standing::{Open, Share, Standing};

/// An answer is handed over in parts of this many bytes, so that what has been taken is known.
const PART_BYTES: usize = 64 * 1024;
/// How long what nobody wants to read any more of a body is taken off its sender, who would lose
/// the answer otherwise.
const LINGER: Duration = Duration::from_secs(1);

/// A request's body.
pub(super) struct Inbound {
    body: Option<Incoming>,
    share: Share,
    shared: Arc<Shared>,
    /// The sender sends without being asked to go on, or has been.
    is_coming: bool,
}

impl Inbound {
    /// `waits`: the sender waits to be asked before it sends (`Expect: 100-continue`).
    pub(super) fn new(
        body: Incoming,
        standing: &Arc<Standing>,
        shared: &Arc<Shared>,
        waits: bool,
    ) -> Inbound {
        let (share, shared) = (Share::new(standing), Arc::clone(shared));
        Inbound {
            body: Some(body),
            share,
            shared,
            is_coming: !waits,
        }
    }
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        this.is_coming = true;
        let frame = Pin::new(body).poll_frame(cx);
        this.share.on_peer(frame.is_pending());
        let frame = ready!(frame);
        match &frame {
            Some(Ok(frame)) => {
                // Whoever reads a body as a whole has read at most so much; whoever reads a stream
                // holds no more than that.
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let held = (this.share.held_bytes() + bytes).min(BODY_BYTES_MAX);
                if this.share.hold(held) > 0 {
                    this.shared.crowd.shed();
                }
            }
            Some(Err(_)) | None => this.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if let Some(body) = self
            .body
            .take()
            .filter(|body| self.is_coming && !body.is_end_stream())
        {
            tokio::spawn(timeout(LINGER, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}

/// The body of an answer; its request is under way until it ends.
pub(super) struct Outbound {
    body: Body,
    /// What is left of a part that was too large to be handed over as a whole.
    rest: Bytes,
    share: Share,
    _open: Open,
}

impl Outbound {
    pub(super) fn new(
        body: Body,
        open: Open,
        standing: &Arc<Standing>,
        shared: &Shared,
    ) -> Outbound {
        let mut share = Share::new(standing);
        let whole = body
            .size_hint()
            .exact()
            .and_then(|bytes| usize::try_from(bytes).ok());
        if share.hold(whole.unwrap_or_default()) > 0 {
            shared.crowd.shed();
        }
        Outbound {
            body,
            rest: Bytes::new(),
            share,
            _open: open,
        }
    }

    fn part(&mut self) -> Frame<Bytes> {
        let part = self.rest.split_to(self.rest.len().min(PART_BYTES));
        let held = self.share.held_bytes().saturating_sub(part.len());
        self.share.hold(held);
        self.share.on_peer(true);
        Frame::data(part)
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.part())));
        }
        this.share.on_peer(false);
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    this.rest = data;
                    this.part()
                }
                Err(trailers) => trailers,
            }))),
            ended => Poll::Ready(ended),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
