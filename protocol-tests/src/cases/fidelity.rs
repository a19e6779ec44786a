//! §1, the payload: what a subscriber receives is byte for byte what the publisher sent.
//!
//! Publishers use long-polling; the receiver's transport is what is looked at. JSONP must escape U+2028 and U+2029
//! (§9), so that one case is not run there.

use crate::{
    case::{Case, Feature, case},
    context::Context,
    transport::{DELIVERY, Transport},
    wire::message::excerpt,
};
use anyhow::{Context as _, Result, ensure};

const FIDELITY: &str = "§1 data is forwarded byte for byte: 20-digit integers, 1.10, key order, duplicate keys and escapes arrive as they were sent.";
const PLAIN_TEXT: &[Transport] = &[Transport::LongPolling, Transport::WebSocket, Transport::EventSource];

pub(super) fn cases() -> Vec<Case> {
    let unchanged =
        |id, title, data: &'static str| case(id, title, FIDELITY, move |cx| survives(cx, data)).over(DELIVERY);
    vec![
        unchanged("fidelity.big_integer", "integers beyond 64 bit", "[12345678901234567890,-99999999999999999999]"),
        unchanged("fidelity.decimals", "decimals with trailing zeros", "[1.10,0.30000000000000004,100.0]"),
        unchanged("fidelity.exponents", "exponents and negative zero", "[1e3,1E+2,-0,-0.0,2e-7]"),
        unchanged("fidelity.key_order", "the order of keys", r#"{"z":1,"a":2,"m":{"y":1,"b":2}}"#),
        unchanged("fidelity.duplicate_keys", "keys that appear twice", r#"{"a":1,"a":2,"b":0,"a":3}"#),
        unchanged("fidelity.escapes", "escapes as they were spelt", r#""\u00e9\/\"\\\b\f\n\r\t\u0041\ud83d\ude00""#),
        unchanged("fidelity.nul_escape", "an escaped NUL", r#"{"k\u0000":"\u0000"}"#),
        unchanged("fidelity.utf8", "text outside ASCII", "\"Grüße, 世界, Привет, 🚀\""),
        unchanged("fidelity.blanks", "blanks between tokens", r#"{ "a" :  1 , "b" : [ 1,  2 ] }"#),
        unchanged("fidelity.line_feeds", "line feeds between tokens", "{\n  \"a\": 1,\n  \"b\": 2\n}"),
        unchanged(
            "fidelity.protocol_words",
            "a payload that looks like a message",
            r#"{"channel":"/meta/connect","successful":false,"advice":{"reconnect":"none"}}"#,
        ),
        unchanged("fidelity.script", "a payload that looks like a page", r#""</script><!--]]>');//""#),
        unchanged("fidelity.deep", "a payload nested 32 deep", DEEP),
        case("fidelity.line_separators", "U+2028 and U+2029 as they are", FIDELITY, |cx| {
            survives(cx, "\"a\u{2028}b\u{2029}c\"")
        })
        .over(PLAIN_TEXT),
        case(
            "fidelity.large",
            "500 KB in one message",
            "§1 Body limit is 1 MiB by default; data arrives as it was sent.",
            large,
        )
        .over(DELIVERY)
        .unless(Feature::SmallLimits),
    ]
}

const DEEP: &str = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";

async fn survives(cx: Context, data: &str) -> Result<()> {
    let mut peer = cx.peer().await?;
    let channel = cx.channel("a");
    peer.subscribe(&channel).await?;
    cx.publisher().await?.publish_bytes(&channel, data).await?;
    let message = peer.receive_one().await?;
    let seen = message.raw_field("data").context("the message has no data")?;
    ensure!(seen == data, "sent {}, arrived {}", excerpt(data), excerpt(&seen));
    Ok(())
}

async fn large(cx: Context) -> Result<()> {
    const BYTES: usize = 500 * 1024;
    let words = "The quick brown fox jumps over the lazy dog, größer als je zuvor. ";
    let text: String = words.chars().cycle().take(BYTES).collect();
    survives(cx, &format!("\"{text}\"")).await
}
