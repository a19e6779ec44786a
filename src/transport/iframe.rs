//! iframe: `GET <mount>/<clientId>?iframe=<function>` answered with an endless page that calls a function of the page
//! around it for every batch. For browsers that can do nothing else; off by default.
//!
//! The page grows with every batch, so it ends at a bound and asks to be loaded anew.

use super::{
    Transport, body::Answer, connection::Connection, exchange::Frame, polling::is_function_name, response,
    streaming::Format,
};
use crate::{
    bayeux::{BadRequest, Seq},
    broker::{Caller, Delivery},
};
use bytes::Bytes;
use http::{HeaderValue, request::Parts};

/// Browsers begin to run scripts only after this much of a page has come.
const PADDING: usize = 1024;

struct Page {
    function: String,
    sent: usize,
    max: usize,
}

impl Transport {
    /// Opens an endless page.
    pub(super) async fn iframe(
        &self,
        connection: &Connection,
        caller: &Caller,
        parts: &Parts,
        function: String,
    ) -> Answer {
        if !is_function_name(&function) {
            return response::refused(BadRequest::malformed("iframe", "not a function name"));
        }
        let Some(session) = self.streamed_session(caller, parts).await else { return Self::no_such_stream() };
        let page = Page { function, sent: 0, max: self.settings().max_stream_bytes };
        self.stream_to(connection, parts, &session, None, HeaderValue::from_static("text/html;charset=UTF-8"), page)
    }
}

impl Format for Page {
    fn open(&self, _: Option<Seq>) -> Bytes {
        Bytes::from(format!("<!DOCTYPE html><title>bayeux</title><!--{}-->\n", " ".repeat(PADDING)))
    }

    fn messages(&mut self, delivery: &Delivery) -> Bytes {
        let mut frame = Frame::with_capacity(delivery.encoded_len());
        frame.deliver(delivery);
        let script = call(&self.function, &String::from_utf8_lossy(&frame.finish()));
        self.sent += script.len();
        script.into()
    }

    fn heartbeat(&self) -> Bytes {
        Bytes::from_static(b"<!-- -->\n")
    }

    fn close(&self) -> Bytes {
        let again = if self.is_full() { "<script>location.reload()</script>\n" } else { "" };
        Bytes::from_static(again.as_bytes())
    }

    fn is_full(&self) -> bool {
        self.sent >= self.max
    }
}

/// One call. `<` never stands in the script as itself, so that no data can end the script element.
fn call(function: &str, json: &str) -> String {
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("<script>parent.{function}({json});</script>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_the_script() {
        let script = call("cb", r#"["</script><img>"]"#);
        assert_eq!(script.matches('<').count(), 2, "{script}");
    }
}
