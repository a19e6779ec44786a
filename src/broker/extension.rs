//! Where extensions take part: at the handshake, when a connect comes, and when its reply leaves.
//!
//! The trait is here, the extensions are in their own room above; the server decides which there are. An extension sees
//! messages and session state, never a transport.

use super::{replay::Begin, session::State};
use crate::bayeux::{Message, ProtocolError, Reply, Seq};

/// A Bayeux extension. Every method does nothing unless the extension says otherwise.
pub trait Extension: Send + Sync + 'static {
    /// A handshake made a session: what the client asks for may be granted in the reply.
    fn opened(&self, _message: &Message<'_>, _session: &mut State, _reply: &mut Reply) {}

    /// Where a new subscription to `pattern` begins, if the client says so.
    ///
    /// # Errors
    /// When it says something that makes no sense; the subscribe is then refused.
    fn beginning(&self, _message: &Message<'_>, _pattern: &str) -> Result<Option<Begin>, ProtocolError> {
        Ok(None)
    }

    /// A connect of a session came.
    fn connecting(&self, _message: &Message<'_>, _session: &mut State) {}

    /// The reply of a connect leaves, together with everything up to `position` if there are messages in it.
    fn answering(&self, _session: &State, _position: Option<Seq>, _reply: &mut Reply) {}
}
