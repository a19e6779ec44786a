//! `bayeuxd publish CHANNEL JSON|-`: one message, without a session. The JSON goes out byte for byte.

use super::{
    Failure, small_runtime,
    target::{Target, unusable},
};
use crate::client::{Publication, Publisher};
use serde_json::value::RawValue;
use std::io::Read;

/// Publish one message
#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    #[command(flatten)]
    target: Target,
    /// The channel, like /demo/hello
    channel: String,
    /// The message as JSON; `-` reads it from standard input
    #[arg(value_name = "JSON|-", allow_hyphen_values = true)]
    data: String,
}

impl Publish {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = if self.data == "-" { read_input()? } else { self.data };
        let publication = Publication { channel: self.channel, data: json(&text)? };
        let mut publisher = Publisher::new(&self.target.url, self.target.token()).map_err(|error| unusable(&error))?;
        let published = small_runtime()?.block_on(publisher.publish(&publication));
        published.map_err(|error| Failure::Failed(error.to_string()))
    }
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

fn json(text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let hint = "a text is JSON when it stands in double quotes, like '\"hello\"'";
        Failure::Usage(format!("the message is not JSON: {error}\n  ({hint})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_kept_as_it_was_typed() {
        assert_eq!(json(" {\"a\": 1.10}\n").unwrap().get(), "{\"a\": 1.10}");
        assert!(matches!(json("hello"), Err(Failure::Usage(why)) if why.contains("double quotes")));
        assert!(matches!(json("1 2"), Err(Failure::Usage(_))));
    }
}
