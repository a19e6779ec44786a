//! How messages are laid out in frames of a WebSocket: as many together as fit, and with replies where that matters.
//!
//! Called by the socket. Writes nothing.

use super::exchange::Frame;
use crate::{bayeux::Reply, engine::Publication};
use bytes::Bytes;
use std::sync::Arc;

/// Messages on their way, in log order.
pub type Publications = Vec<Arc<Publication>>;

/// How many messages fit into a frame of `max_bytes`: at least one, at most `most`.
pub fn fitting(rest: &[Arc<Publication>], most: usize, max_bytes: usize) -> usize {
    let mut bytes = 2;
    let fits = rest.iter().take(most).take_while(|p| {
        bytes += p.draft.encoded().len() + 1;
        bytes <= max_bytes
    });
    fits.count().max(1).min(rest.len())
}

/// One frame of messages and replies. A message that is alone in it has its bytes ready, shared by all who receive it.
pub fn together(publications: &[Arc<Publication>], replies: &[Reply]) -> Bytes {
    if let ([one], []) = (publications, replies) {
        return one.draft.framed().clone();
    }
    let messages: usize = publications.iter().map(|p| p.draft.encoded().len() + 1).sum();
    let mut frame = Frame::with_capacity(messages + 256 * usize::from(!replies.is_empty()));
    publications.iter().for_each(|p| frame.raw(p.draft.encoded()));
    replies.iter().for_each(|reply| frame.reply(reply));
    frame.finish()
}
