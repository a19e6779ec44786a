//! `/meta/disconnect`: the client says goodbye. Its held connect is told first.

use crate::{
    bayeux::{Message, Reply},
    broker::{Broker, Caller, End},
};

impl Broker {
    /// Handles a disconnect.
    pub async fn disconnect(&self, caller: &Caller, message: &Message<'_>) -> Reply {
        if let Some(fault) = &message.fault {
            return Reply::refuse(message, fault.clone());
        }
        match self.session(caller, message).await {
            Ok(session) => {
                self.end(&session, End::Disconnected).await;
                // Lets the task that holds the connect write its answer before this one is.
                tokio::task::yield_now().await;
                Reply::to(message)
            }
            Err(error) => self.refuse_unknown(message, error),
        }
    }
}
