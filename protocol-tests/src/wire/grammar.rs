//! The grammar of error texts, and the watch that holds every answer of a case against it.
//!
//! Called by the readers for each answer they parse, and by the runner when a case is over: a violation anywhere fails
//! the case that saw it, whatever the case was looking for. Never stops a case in the middle.

use super::message::{Message, excerpt};
use std::sync::{Arc, Mutex};

/// What clients of Salesforce's API read between braces: the one text with other characters, fixed by §8.
fn is_replay_refusal(text: &str) -> bool {
    let number = text.strip_prefix("400::The replayId {").and_then(|rest| rest.strip_suffix(REPLAY_REFUSAL_END));
    number.is_some_and(|number| number.chars().all(is_plain))
}

const REPLAY_REFUSAL_END: &str =
    "} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.";

/// Whether a text is `code:args:text`: three digits, exactly two colons, and only the characters all clients can parse.
pub fn is_error_text(text: &str) -> bool {
    if is_replay_refusal(text) {
        return true;
    }
    let parts: Vec<&str> = text.split(':').collect();
    let [code, args, words] = parts[..] else { return false };
    let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    digits && args.chars().chain(words.chars()).all(is_plain)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " _./*()!~$@-".contains(c)
}

/// What must hold for every answer that any case sees.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    /// Looks at one status line: nothing a client sends may make the server fail.
    pub fn status(&self, status: u16) {
        if status >= 500 {
            self.complain(format!("§1: an answer had status {status}"));
        }
    }

    /// Looks at one message: an error text must have the grammar of §2 and stand beside `successful:false`, and only a
    /// refusal may send its client back to the handshake (clients throw on anything else).
    pub fn message(&self, message: &Message) {
        if message.get("data").is_some() {
            return;
        }
        if message["advice"]["reconnect"] == "handshake" && message.successful() {
            self.complain(format!("§4: reconnect:handshake beside success: {}", excerpt(&message.raw)));
        }
        let Some(error) = message.get("error") else { return };
        if !error.as_str().is_some_and(is_error_text) {
            self.complain(format!(
                "§2: the error {} is not code:args:text in the allowed characters",
                excerpt(&error.to_string())
            ));
        }
        if message["successful"] != serde_json::Value::Bool(false) {
            self.complain(format!("§2: an error without successful:false: {}", excerpt(&message.raw)));
        }
    }

    /// What was seen to be wrong so far, first things first.
    pub fn complaints(&self) -> Vec<String> {
        self.0.lock().map(|list| list.clone()).unwrap_or_default()
    }

    fn complain(&self, what: String) {
        if let Ok(mut list) = self.0.lock()
            && !list.contains(&what)
        {
            list.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_contract_passes() {
        for good in ["402::session_unknown", "403::Unknown client", "400:data:missing", "403:no guests!:publish_denied"]
        {
            assert!(is_error_text(good), "{good}");
        }
    }

    #[test]
    fn what_clients_cannot_parse_is_refused() {
        for bad in ["", "402", "402:session_unknown", "40::x", "402:::", "402:a,b:x", "402::\"x\"", "402::é", "4O2::x"]
        {
            assert!(!is_error_text(bad), "{bad}");
        }
    }

    #[test]
    fn the_watch_remembers_bad_errors_and_server_failures_once() {
        let watch = Watch::default();
        let messages = r#"[{"successful":false,"error":"oops"},{"successful":true,"error":"402::x"},{"error":"any","data":1},
            {"successful":true,"advice":{"reconnect":"handshake"}}]"#;
        for message in Message::array(messages).unwrap() {
            watch.message(&message);
            watch.message(&message);
        }
        watch.status(500);
        watch.status(404);
        assert_eq!(watch.complaints().len(), 4);
    }
}
