//! Signatures of calls, after the Standard Webhooks layout: three headers that let a backend know that a call is from
//! this broker, that nobody changed it, and that it is not an old one sent again.
//!
//! Used by `target` for every request. Knows no URL and no HTTP; secrets are never logged.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a secret in text form begins with.
const PREFIX: &str = "whsec_";
/// Fewest and most bytes of a secret, as Standard Webhooks asks.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A shared secret in its text form: `whsec_` and base64.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Its bytes.
    ///
    /// # Errors
    /// What is wrong with the text, without the text.
    pub fn bytes(&self) -> Result<Vec<u8>, &'static str> {
        let text = self.0.strip_prefix(PREFIX).ok_or("must begin with whsec_")?;
        let bytes = STANDARD.decode(text).map_err(|_| "must be base64 after whsec_")?;
        if LENGTH.contains(&bytes.len()) { Ok(bytes) } else { Err("must hold 24 to 64 bytes") }
    }
}

/// Signs with every secret there is: while they rotate, a backend may know either.
pub struct Signer(Vec<Hmac<Sha256>>);

impl Signer {
    /// A signer; without secrets it signs nothing.
    ///
    /// # Errors
    /// When a secret cannot be used.
    pub fn new(secrets: &[Secret]) -> Result<Self, &'static str> {
        let key = |secret: &Secret| {
            Hmac::<Sha256>::new_from_slice(&secret.bytes()?).map_err(|_| "has a length that cannot be used")
        };
        secrets.iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The value of `webhook-signature`; `None` when there is no secret. `time_s` is the wall clock in seconds.
    pub fn sign(&self, id: &str, time_s: u64, body: &[u8]) -> Option<String> {
        let one = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(format!("{id}.{time_s}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(one).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signer(secrets: &[&str]) -> Signer {
        Signer::new(&secrets.iter().map(|s| Secret((*s).into())).collect::<Vec<_>>()).unwrap()
    }

    /// The example that the libraries of Standard Webhooks test themselves with.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let signature =
            signer(&[SECRET]).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn all_secrets_sign_the_first_one_first() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let both = signer(&[other, SECRET]).sign("m", 1, b"x").unwrap();
        let each = [signer(&[other]), signer(&[SECRET])].map(|s| s.sign("m", 1, b"x").unwrap());
        assert_eq!(both, each.join(" "));
        assert_eq!(signer(&[]).sign("m", 1, b"x"), None);
    }

    #[test]
    fn secrets_that_cannot_be_used_are_refused_and_never_shown() {
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_AAAA", "whsec_%%%"] {
            assert!(Secret(bad.into()).bytes().is_err(), "{bad}");
        }
        assert!(!format!("{:?}", Secret(SECRET.into())).contains("MfKQ"));
    }
}
