//! The binary extension: `ext.binary` marks a message whose `data.data` is bytes as text (Z85). Clients write and read
//! that text; the broker passes marker and data on, byte for byte, also to and from services.

use crate::broker::Extension;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// See the file's head.
pub struct Binary;

const NAME: &str = "binary";

impl Extension for Binary {
    fn travelling(&self) -> Option<&'static str> {
        Some(NAME)
    }

    /// A service may answer a call that came in bytes with something else.
    fn goes_with_answer(&self, data: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct Chunk<'a> {
            #[serde(borrow, rename = "data")]
            _data: Cow<'a, str>,
        }
        serde_json::from_str::<Chunk<'_>>(data.get()).is_ok()
    }
}
