//! How a connection that hyper serves ends when the server stops: what is answered is answered, a body that is still
//! coming is waited for a moment, and what is no request yet is not waited for.
//!
//! Used by `serving`, for each connection. `plain` needs none of it: whatever it holds is a whole request. Nothing here
//! looks into a request or an answer.

use super::watch::Progress;
use crate::{
    bayeux::ProtocolError,
    transport::{Connection, body::AnswerBody},
};
use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::watch::Receiver,
    time::{sleep, timeout},
};

/// Less would be looked at too often.
const LEAST_GRACE: Duration = Duration::from_millis(1);

/// What is under way on one connection.
pub(super) struct Ending {
    stopping: Receiver<bool>,
    grace: Duration,
    /// Requests whose head came and whose answer was not taken to its end.
    under_way: AtomicUsize,
}

impl Ending {
    /// Of a connection on which nothing is under way. `grace` is how long a stop waits for peers that keep it waiting.
    pub(super) fn new(stopping: Receiver<bool>, grace: Duration) -> Arc<Self> {
        Arc::new(Self { stopping, grace: grace.max(LEAST_GRACE), under_way: AtomicUsize::new(0) })
    }

    /// A request whose head came. It is under way until this is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Its body.
    pub(super) fn arriving<B>(self: &Arc<Self>, body: B) -> Arriving<B> {
        Arriving { body, ending: Arc::clone(self), given_up: None }
    }

    fn is_waited_for(&self, progress: &Progress) -> bool {
        self.under_way.load(Relaxed) > 0 || progress.is_blocked()
    }

    /// Serves HTTP/1 on, after it was told to end, until everything is answered. A head that is not complete is no reason
    /// to stay.
    pub(super) async fn see_off(&self, mut serving: Pin<&mut impl Future>, progress: &Progress) {
        poll_fn(|cx| {
            let done = serving.as_mut().poll(cx).is_ready() || !self.is_waited_for(progress);
            if done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The same for HTTP/2. It says goodbye in two steps and wants to hear of the peer in between, and what it keeps back
    /// because the peer's window is full is not to be seen from here. So even a connection with nothing under way cannot
    /// be closed at once, only when nothing has left for as long as the grace. A stream whose head is not complete counts
    /// as nothing. A peer that has us answer pings for ever is left to `drain_timeout`.
    pub(super) async fn see_off_streams(
        &self,
        mut serving: Pin<&mut impl Future>,
        progress: &Progress,
        connection: &Connection,
    ) {
        loop {
            let before = connection.moved();
            if timeout(self.grace, serving.as_mut()).await.is_ok() {
                return;
            }
            if connection.moved() == before && !self.is_waited_for(progress) {
                return;
            }
        }
    }

    /// Completes when the server has been stopping for as long as the grace. Unlike `serving::stopped` it may be asked by
    /// one after the other: a body is looked at before it is waited for.
    fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut stopping, grace) = (self.stopping.clone(), self.grace);
        async move {
            // An error is a broker that is gone.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            sleep(grace).await;
        }
    }
}

/// One request, from its head to the end of its answer.
pub(super) struct UnderWay(Arc<Ending>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// The body of a request. It fails with `ProtocolError::ShuttingDown` when it is not all there in time.
pub(super) struct Arriving<B> {
    body: B,
    ending: Arc<Ending>,
    /// Only bodies that are waited for need it.
    given_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let ending = &this.ending;
        ready!(this.given_up.get_or_insert_with(|| Box::pin(ending.over())).as_mut().poll(cx));
        // Asked again, it is still over.
        this.given_up = Some(Box::pin(std::future::ready(())));
        Poll::Ready(Some(Err(ProtocolError::ShuttingDown.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, with which its request is over.
pub(super) struct Leaving {
    body: AnswerBody,
    _request: UnderWay,
}

impl Leaving {
    /// The body that answers `request`.
    pub(super) fn new(body: AnswerBody, request: UnderWay) -> Self {
        Self { body, _request: request }
    }
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Empty, StreamBody};
    use tokio::{sync::watch, time::Instant};

    #[tokio::test(start_paused = true)]
    async fn a_body_has_the_grace_from_the_stop_on() {
        let (stop, stopping) = watch::channel(false);
        let ending = Ending::new(stopping, Duration::from_secs(1));
        let never = || StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let mut body = ending.arriving(never());
        assert!(body.frame().now_or_never().is_none(), "looked at before it is waited for");
        assert!(timeout(Duration::from_secs(60), body.frame()).await.is_err(), "without a stop it is not hurried");
        let stopped = Instant::now();
        stop.send(true).unwrap();
        for _ in 0..2 {
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&ProtocolError::ShuttingDown));
        }
        assert_eq!(stopped.elapsed(), Duration::from_secs(1));
        // What is there is given also then.
        assert!(ending.arriving(Empty::<Bytes>::new()).frame().await.is_none());
    }

    #[test]
    fn a_request_is_under_way_until_its_answer_was_taken() {
        let ending = Ending::new(watch::channel(false).1, Duration::ZERO);
        let progress = Progress::new(super::super::watch::Ticks::default());
        assert!(!ending.is_waited_for(&progress));
        let answer = Leaving::new(AnswerBody::Stream(axum::body::Body::empty()), ending.begin());
        assert!(ending.is_waited_for(&progress));
        drop(answer);
        progress.blocked();
        assert!(ending.is_waited_for(&progress), "its bytes did not leave yet");
        progress.wrote();
        assert!(!ending.is_waited_for(&progress));
    }
}
