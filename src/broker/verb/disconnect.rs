//! `/meta/disconnect`: the client says goodbye. Its held connect is told first, also one that is still on its way over
//! another connection.

use crate::{
    bayeux::{Message, Reply},
    broker::{Broker, Caller, End, Session},
};
use tokio::time::{Instant, timeout};

impl Broker {
    /// Handles a disconnect.
    pub async fn disconnect(&self, caller: &Caller, message: &Message<'_>) -> Reply {
        if let Some(fault) = &message.fault {
            return Reply::refuse(message, fault.clone());
        }
        match self.session(caller, message).await {
            Ok(session) => {
                // A page that is left says goodbye and does not stay for the answer: this is done also without it.
                let broker = self.clone();
                let ending = self.duties().spawn(async move {
                    broker.await_poll(&session).await;
                    broker.end(&session, End::Disconnected).await;
                });
                let _ = ending.await;
                // Lets the task that holds the connect write its answer before this one is.
                tokio::task::yield_now().await;
                Reply::to(message)
            }
            Err(error) => self.refuse_unknown(message, error),
        }
    }

    /// Waits for the poll that the client may have sent just before, but not for long.
    async fn await_poll(&self, session: &Session) {
        let under_way = session.lock().poll_under_way(Instant::now());
        if let Some(arrival) = under_way {
            // Late or never: both are answered all the same.
            let _ = timeout(self.settings().disconnect_grace, arrival.notified()).await;
        }
    }
}
