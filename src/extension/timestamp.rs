//! The timestamp extension: replies to messages that tell when they were sent tell when they left, in the form that the
//! clients write (`Thu, 26 Nov 2026 11:04:20 GMT`). Off by default; what publishers say of their time stays with them.

use crate::{
    bayeux::Message,
    broker::{Clock, Extension, extension::Addition},
};
use std::time::{Duration, UNIX_EPOCH};

/// See the file's head.
pub struct Timestamp;

impl Extension for Timestamp {
    fn received(&self, message: &Message<'_>, _: Clock) -> Option<Addition> {
        if !message.is_timestamped {
            return None;
        }
        Some(Box::new(|reply, now| reply.timestamp = Some(written(now.wall_ms).into())))
    }
}

fn written(wall_ms: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(wall_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_clients_write() {
        assert_eq!(written(1_795_691_060_999), "Thu, 26 Nov 2026 11:04:20 GMT");
    }
}
