//! How settings read what may stand once or several times: `"a"` is `["a"]`.

/// One value or a list of them.
pub mod one_or_many {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{
            DeserializeOwned, SeqAccess, Visitor,
            value::{SeqAccessDeserializer, StrDeserializer},
        },
    };
    use std::{fmt, marker::PhantomData};

    /// Writes a list.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<T: Serialize, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        values.serialize(to)
    }

    /// Reads one text or a list of them.
    ///
    /// # Errors
    /// When it is neither.
    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Either<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| vec![one])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }

        from.deserialize_any(Either(PhantomData))
    }
}
