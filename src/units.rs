//! How settings write durations (`"30s"`) and sizes (`"64KiB"`).
//!
//! Used by every room's `settings.rs` through `#[serde(with = ...)]`. Holds no setting and no default of its own.

/// Durations as `"500ms"`, `"30s"`, `"1h 30m"`; a bare number is an error, because its unit would be a guess.
pub mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Writes a duration the way a person would.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    /// Reads a duration with its unit.
    ///
    /// # Errors
    /// When the text is not a number with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)
            .map_err(|_| D::Error::custom("a duration is written as text with its unit, like \"30s\""))?;
        humantime::parse_duration(&text)
            .map_err(|e| D::Error::custom(format!("\"{text}\" is not a duration like \"30s\" or \"500ms\": {e}")))
    }
}

/// The same where the setting may be left out.
pub mod optional_duration {
    use serde::{Deserializer, Serializer};
    use std::time::Duration;

    /// Writes a duration the way a person would.
    ///
    /// # Errors
    /// Only those of the serializer.
    #[allow(clippy::ref_option, reason = "the shape serde asks for")]
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::duration::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads a duration with its unit.
    ///
    /// # Errors
    /// When the text is not a number with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        super::duration::deserialize(from).map(Some)
    }
}

/// Sizes in bytes as `"64KiB"`, `"1MiB"` or a plain number of bytes.
pub mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a size with a binary unit.
    ///
    /// # Errors
    /// Only those of the serializer.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
    pub fn serialize<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
        let (n, unit) = match *value {
            v if v >= 1 << 30 && v % (1 << 30) == 0 => (v >> 30, "GiB"),
            v if v >= 1 << 20 && v % (1 << 20) == 0 => (v >> 20, "MiB"),
            v if v >= 1 << 10 && v % (1 << 10) == 0 => (v >> 10, "KiB"),
            v => (v, "B"),
        };
        to.serialize_str(&format!("{n}{unit}"))
    }

    /// Reads a size; a number without unit counts bytes.
    ///
    /// # Errors
    /// When it is neither a number nor a number with a known unit, or too large for this machine.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let written = Written::deserialize(from).map_err(|_| {
            D::Error::custom("a size is a number of bytes, 0 or more, or text with its unit, like \"64KiB\"")
        })?;
        let size = match written {
            Written::Bytes(bytes) => bytes,
            Written::Text(text) => {
                let size: Result<ByteSize, _> = text.parse();
                size.map_err(|_| D::Error::custom(format!("\"{text}\" is not a size like \"64KiB\" or \"1MiB\"")))?
                    .as_u64()
            }
        };
        usize::try_from(size).map_err(|_| D::Error::custom("larger than this machine can address"))
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Bytes(u64),
        Text(String),
    }
}

/// The same where the setting may be left out.
pub mod optional_size {
    use bytesize::ByteSize;
    use serde::{Deserializer, Serialize, Serializer};

    /// Writes a size with its unit.
    ///
    /// # Errors
    /// Only those of the serializer.
    #[allow(clippy::ref_option, reason = "the shape serde asks for")]
    pub fn serialize<S: Serializer>(value: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|bytes| ByteSize(bytes as u64)).serialize(to)
    }

    /// Reads a size.
    ///
    /// # Errors
    /// When it is neither a number of bytes nor a text with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        super::size::deserialize(from).map(Some)
    }
}
