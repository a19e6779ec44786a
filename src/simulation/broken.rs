//! Brokers that are broken on purpose, each in one way: what a simulation must find to be worth anything.

use crate::{
    bayeux::{Message, Reply, Seq},
    broker::{End, Extension, session::State},
    extension::Ack,
};
use tokio::time::Instant;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// An acknowledgement also forgets the message after it.
    ForgetsOne,
    /// A connect acknowledges whatever was sent, whether it arrived or not.
    AcksTooFar,
    /// Acknowledgements are not listened to, so that what a lost answer held never comes again.
    NeverGoesBack,
    /// Goes back further than what was acknowledged.
    GoesBackTooFar,
    /// Tells the number before the right one.
    TellsTooLittle,
    /// Tells a number beyond what is sent, as if what is still queued had been sent.
    TellsTooMuch,
    /// What a cut connection did not write is not put back.
    ForgetsCutAnswers,
}

/// The ack extension with a flaw.
pub struct BrokenAck(pub Mutation);

impl Extension for BrokenAck {
    fn opened(&self, message: &Message<'_>, session: &mut State, reply: &mut Reply) {
        Ack.opened(message, session, reply);
    }

    fn connecting(&self, message: &Message<'_>, session: &mut State, _now: Instant) -> Option<End> {
        let before = session.acked()?;
        let position: Option<Seq> = message.ext_member("ack").and_then(|number| number.get().parse().ok());
        let handed = session.handed();
        match self.0 {
            Mutation::ForgetsOne if position.is_some_and(|p| p > 0 && p < handed) => {
                session.acknowledge(position.map(|p| p + 1));
            }
            Mutation::AcksTooFar => session.acknowledge(Some(handed)),
            Mutation::NeverGoesBack => {}
            Mutation::GoesBackTooFar => {
                session.acknowledge(position);
                session.rewind(before.saturating_sub(2));
            }
            _ => session.acknowledge(position),
        }
        None
    }

    fn answering(&self, session: &State, position: Option<Seq>, reply: &mut Reply) {
        let told = match self.0 {
            Mutation::TellsTooLittle => position.map(|p| p - 1),
            Mutation::TellsTooMuch => position.map(|p| p + 1),
            _ => position,
        };
        Ack.answering(session, told, reply);
    }
}
