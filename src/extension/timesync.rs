//! The timesync extension: clients learn how their clock and the broker's differ. A client tells with every meta message
//! its time `tc` and what it believes of lag `l` and offset `o`; the reply tells when the message came (`ts`), how long
//! the broker held it (`p`) and how wrong the belief is (`a`). A client that is right within the accuracy is told nothing.

use crate::{
    bayeux::Message,
    broker::{Clock, Extension, extension::Addition},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// See the file's head.
pub struct TimeSync {
    /// How wrong a client may be without being told.
    pub accuracy: Duration,
}

const NAME: &str = "timesync";
/// Longest number that is given back.
const MAX_DIGITS: usize = 24;
/// Far beyond any clock; what is further off says nothing.
const MAX_MS: f64 = 1e15;

/// What a client says.
#[derive(Deserialize)]
struct Said<'a> {
    /// Given back as it is written.
    #[serde(borrow)]
    tc: &'a RawValue,
    l: Option<f64>,
    o: Option<f64>,
}

impl Extension for TimeSync {
    fn received(&self, message: &Message<'_>, at: Clock) -> Option<Addition> {
        if !message.channel.starts_with("/meta/") {
            return None;
        }
        let said: Said<'_> = serde_json::from_str(message.ext_member(NAME)?.get()).ok()?;
        let told = self.told(&said, at.wall_ms)?;
        Some(Box::new(move |reply, now| {
            let held = now.steady.duration_since(at.steady).as_millis();
            reply.ext.push((NAME, told.replace(HELD, &held.to_string())));
        }))
    }
}

/// Stands for what is known only when the reply leaves.
const HELD: &str = "?";

impl TimeSync {
    /// What the client is told; nothing when it says nothing usable or knows already.
    fn told(&self, said: &Said<'_>, ts: u64) -> Option<String> {
        let tc = said.tc.get();
        let sent: f64 = tc.parse().ok().filter(|_| tc.len() <= MAX_DIGITS)?;
        let Some(lag) = said.l else { return Some(format!("{{\"tc\":{tc},\"ts\":{ts},\"p\":{HELD}}}")) };
        let wrong = (sent + said.o.unwrap_or_default() + lag - ts as f64).round();
        if !(-MAX_MS..=MAX_MS).contains(&wrong) {
            return None;
        }
        let known = lag != 0.0 && wrong.abs() < self.accuracy.as_secs_f64() * 1000.0;
        (!known).then(|| format!("{{\"tc\":{tc},\"ts\":{ts},\"p\":{HELD},\"a\":{}}}", wrong as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str) -> Option<String> {
        let said: Said<'_> = serde_json::from_str(said).ok()?;
        TimeSync { accuracy: Duration::from_millis(25) }.told(&said, 100_000)
    }

    #[test]
    fn a_client_that_knows_is_told_nothing_and_all_others_what_they_need() {
        assert_eq!(told(r#"{"tc":99990}"#).unwrap(), r#"{"tc":99990,"ts":100000,"p":?}"#);
        assert_eq!(told(r#"{"tc":99990,"l":0,"o":0}"#).unwrap(), r#"{"tc":99990,"ts":100000,"p":?,"a":-10}"#);
        assert_eq!(told(r#"{"tc":1,"l":5,"o":0}"#).unwrap(), r#"{"tc":1,"ts":100000,"p":?,"a":-99994}"#);
        assert_eq!(told(r#"{"tc":99990,"l":5,"o":-19}"#), None, "24 ms are within the accuracy");
        assert!(told(r#"{"tc":99990,"l":5,"o":-20}"#).is_some(), "25 ms are not");
    }

    #[test]
    fn what_is_no_number_is_as_if_it_were_not_sent() {
        for bad in [
            r#"{}"#,
            r#"{"tc":"1","l":0}"#,
            r#"{"tc":1,"l":"0"}"#,
            r#"{"tc":{},"l":0}"#,
            r#"{"tc":1e400,"l":0}"#,
            r#"{"tc":1,"l":1e300,"o":1e300}"#,
            r#"{"tc":1111111111111111111111111111111111,"l":0}"#,
            "[]",
            "7",
        ] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
