//! Fits a tree of given values to the settings' types: a serde deserializer over [`Node`] whose errors keep what a
//! person needs (the path, the wrong key and its right siblings, what was expected and what was found).
//!
//! Own code because `toml`'s deserializer says all this in one sentence for people, and `serde_path_to_error` adds the
//! path alone. Used by `mend` and by nobody else; never decides what happens to a value that does not fit.

use super::tree::{Kind, Node, Path, Step};
use serde::{
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use std::{collections::btree_map, fmt};
use toml::Value;

/// Why a value does not fit, and where.
#[derive(Clone, Debug)]
pub(super) struct Misfit {
    /// From the root to the value, or to the unknown key, or to the table that misses one.
    pub(super) path: Path,
    pub(super) reason: Reason,
}

#[derive(Clone, Debug)]
pub(super) enum Reason {
    UnknownKey {
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    Wrong {
        expected: String,
        found: String,
    },
    UnknownChoice {
        found: String,
        known: &'static [&'static str],
    },
    /// In the words of a type's own deserializer; may quote the value.
    Other(String),
}

impl Misfit {
    fn here(reason: Reason) -> Self {
        Self { path: Path::default(), reason }
    }

    fn inside(mut self, step: Step) -> Self {
        self.path.0.insert(0, step);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.reason)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::here(Reason::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::here(Reason::Wrong { expected: plain_expected(&expected.to_string()), found: plain_found(found) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::here(Reason::UnknownChoice { found: found.into(), known })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::here(Reason::UnknownKey { known }).inside(Step::Key(field.into()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::here(Reason::MissingKey(field))
    }
}

/// Says in an operator's words what serde says in Rust's.
fn plain_expected(expected: &str) -> String {
    match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "string" => "text in quotes".into(),
        "a sequence" => "a list like [\"a\", \"b\"]".into(),
        "a map" => "a table of settings".into(),
        rust if rust.starts_with("struct ") => "a table of settings".into(),
        rust if rust.starts_with("enum ") || rust.starts_with("variant ") => "one word".into(),
        other => other.into(),
    }
}

fn plain_found(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Str(value) => format!("{value:?}"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.kind {
            Kind::Table(entries) => visitor.visit_map(Entries { left: entries.iter(), next: None }),
            Kind::List(entries) => visitor.visit_seq(Elements { left: entries.iter() }),
            Kind::Scalar(Value::Boolean(value)) => visitor.visit_bool(*value),
            Kind::Scalar(Value::Integer(value)) => visitor.visit_i64(*value),
            Kind::Scalar(Value::Float(value)) => visitor.visit_f64(*value),
            Kind::Scalar(Value::String(value)) => visitor.visit_borrowed_str(value),
            Kind::Scalar(other) => visitor.visit_string(other.to_string()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.kind {
            Kind::Scalar(Value::String(value)) => visitor.visit_enum(StrDeserializer::new(value)),
            Kind::Table(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { left: entries.iter(), next: None }))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'de> {
    left: btree_map::Iter<'de, String, Node>,
    next: Option<(&'de str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, node)) = self.left.next() else { return Ok(None) };
        self.next = Some((key, node));
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (key, node) = self.next.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(node).map_err(|misfit: Misfit| misfit.inside(Step::Key(key.into())))
    }
}

struct Elements<'de> {
    left: btree_map::Iter<'de, usize, Node>,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some((index, node)) = self.left.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|misfit| misfit.inside(Step::Index(*index)))
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
