//! How a socket ends with its session, or with the server: who is told what, and who closes.
//!
//! Called by the socket's loop. Closes nothing itself: it tells the loop with which code.

use super::{
    super::exchange::{Frame, GOODBYE},
    GOODBYE_GRACE, Over, Socket,
};
use crate::{
    bayeux::Reply,
    broker::{End, Event},
};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

impl Socket {
    /// The held connect is answered before the disconnect; if the client does not close the socket then, we do.
    pub(super) fn say_goodbye(&mut self, replies: &mut Vec<Reply>) {
        let ended = self.stream.as_ref().and_then(|s| s.session().lock().ended);
        if let Some(end) = ended {
            self.stream = None;
            if let Some((plan, _)) = self.held.take() {
                replies.insert(0, plan.ended(&self.transport.exchange().broker, end));
            }
            self.close_at = Some(Instant::now() + GOODBYE_GRACE);
        }
    }

    pub(super) async fn session_ended(&mut self, end: End) -> Result<(), Over> {
        self.stream = None;
        let mut frame = Frame::with_capacity(256);
        if end.is_told() {
            frame.raw(GOODBYE);
            self.close_at = Some(Instant::now() + GOODBYE_GRACE);
        }
        if let Some((plan, _)) = self.held.take() {
            frame.reply(&plan.ended(&self.transport.exchange().broker, end));
        }
        if !frame.is_empty() {
            self.send(frame.finish()).await?;
        }
        if end == End::ShuttingDown { Err(Over(Some(CloseCode::Away))) } else { Ok(()) }
    }

    pub(super) async fn stop(&mut self) -> Result<(), Over> {
        while let Some(stream) = &self.stream
            && stream.is_current()
            && stream.session().lock().has_last_words()
            && (self.held.is_some() || !stream.acknowledges())
        {
            self.session_event(Event::Messages).await?;
        }
        match self.stream.take() {
            Some(_) => self.session_ended(End::ShuttingDown).await,
            None => Err(Over(Some(CloseCode::Away))),
        }
    }
}
