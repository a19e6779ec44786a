//! API keys: long random secrets that the configuration knows by their hash alone.
//!
//! A plain SHA-256 is right here: a key holds more than 240 random bits, so that there is nothing to guess and nothing that a slow
//! hash would make harder to guess; it would only make each request dear, and give whoever sends nonsense a lever.
//! Whoever reads the configuration cannot show the key.

use super::{hidden::Hidden, settings::KeySettings};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use uuid::Uuid;

/// What a key begins with, so that scanners of repositories know one when they see it.
pub const PREFIX: &str = "bayeuxd_";
/// What a hash begins with.
const SHA256: &str = "sha256:";

/// The hash of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(…)")
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(SHA256)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Hash {
    /// Of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Of its text form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be sha256: and 64 hex digits, as `bayeuxd key new` prints it";
        let hex = text.strip_prefix(SHA256).filter(|hex| hex.len() == 64 && hex.is_ascii()).ok_or(WRONG)?;
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
            if digits.contains('+') {
                return Err(WRONG);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(hash))
    }
}

/// A new key: the prefix and more than 240 random bits of a cryptographic generator.
pub fn generate() -> Hidden {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Hidden::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// A key that is known.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: Arc<str>,
    /// Its roles.
    pub roles: Vec<String>,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Keys {
    known: Vec<Known>,
    hashes: Vec<(Hash, u32)>,
}

impl Keys {
    /// Those of the settings, which were validated.
    pub fn new(settings: &[KeySettings]) -> Self {
        let mut keys = Self::default();
        for (number, key) in settings.iter().enumerate() {
            keys.known.push(Known { name: key.name.as_str().into(), roles: key.roles.clone() });
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            keys.hashes.extend(key.hash.iter().filter_map(|hash| Some((Hash::parse(hash).ok()?, number))));
        }
        keys
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The key of this secret. Takes the same time whichever it is, and whether it is one.
    pub fn find(&self, secret: &str) -> Option<&Known> {
        let shown = Hash::of(secret);
        let (mut found, mut which) = (Choice::from(0), u32::MAX);
        for (hash, number) in &self.hashes {
            let same = shown.0.ct_eq(&hash.0);
            which.conditional_assign(number, same);
            found |= same;
        }
        bool::from(found).then(|| self.known.get(which as usize)).flatten()
    }

    /// The key of this name.
    pub fn named(&self, name: &str) -> Option<&Known> {
        self.known.iter().find(|key| *key.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, secrets: &[&str]) -> KeySettings {
        let hash = secrets.iter().map(|secret| Hash::of(secret).to_string()).collect();
        KeySettings { name: name.into(), hash, roles: vec!["backend".into()], rule: Vec::new() }
    }

    #[test]
    fn a_key_is_found_by_any_of_its_hashes_and_by_nothing_else() {
        let keys = Keys::new(&[settings("a", &["one", "two"]), settings("b", &["three"])]);
        let name = |secret: &str| keys.find(secret).map(|key| key.name.to_string());
        assert_eq!(name("one"), Some("a".into()));
        assert_eq!(name("two"), Some("a".into()));
        assert_eq!(name("three"), Some("b".into()));
        assert_eq!(name("four"), None);
        assert_eq!(name(""), None);
        assert_eq!(name(&Hash::of("one").to_string()), None, "the hash is no key");
    }

    #[test]
    fn hashes_have_one_text_form() {
        let text = Hash::of("x").to_string();
        assert_eq!(Hash::parse(&text).unwrap().to_string(), text);
        let plus = format!("sha256:+1{}", &text[9..]);
        for bad in ["", "sha256:", &text[7..], &text[..70], &format!("{text}0"), "sha256:é", &plus] {
            assert!(Hash::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn new_keys_differ_and_hide() {
        let (one, two) = (generate(), generate());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
