//! How messages are laid out in frames of a WebSocket: as many together as fit, and with replies where that matters.
//!
//! Called by the socket. Writes nothing.

use super::exchange::Frame;
use crate::{bayeux::Reply, engine::Publication};
use bytes::Bytes;
use std::sync::Arc;

/// Messages on their way, in log order.
pub type Publications = Vec<Arc<Publication>>;

/// As many messages as fit into a frame of `max_bytes`, at least one and at most `most`: how many, and the frame.
pub fn next(rest: &[Arc<Publication>], most: usize, max_bytes: usize) -> (usize, Bytes) {
    let mut bytes = 2;
    let fits = rest.iter().take(most).take_while(|p| {
        bytes += p.draft.encoded().len() + 1;
        bytes <= max_bytes
    });
    let count = fits.count().max(1).min(rest.len());
    if let [one] = &rest[..count] {
        return (1, one.draft.framed().clone());
    }
    let mut frame = Frame::with_capacity(bytes.min(max_bytes));
    rest[..count].iter().for_each(|p| frame.raw(p.draft.encoded()));
    (count, frame.finish())
}

/// One frame of messages and replies.
pub fn together(publications: &[Arc<Publication>], replies: &[Reply]) -> Bytes {
    let messages: usize = publications.iter().map(|p| p.draft.encoded().len() + 1).sum();
    let mut frame = Frame::with_capacity(messages + 256);
    publications.iter().for_each(|p| frame.raw(p.draft.encoded()));
    replies.iter().for_each(|reply| frame.reply(reply));
    frame.finish()
}
