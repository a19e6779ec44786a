//! Keys of issuers with paused time and an issuer that does what a test tells it: rotation, silence, floods of invented
//! key names.

use super::*;
use crate::{
    access::{jwt::Tokens, settings::AccessSettings},
    broker::Identity,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use std::sync::atomic::AtomicUsize;

const NOW_S: u64 = 1_800_000_000;

/// What the issuer does when it is asked.
#[derive(Clone)]
enum Does {
    Answer(String),
    Fail,
    Hang,
}

struct Issuer {
    does: Mutex<Does>,
    asked: AtomicUsize,
}

impl Issuer {
    fn new(does: Does) -> Arc<Self> {
        Arc::new(Self { does: Mutex::new(does), asked: AtomicUsize::new(0) })
    }

    fn now(&self, does: Does) {
        *self.does.lock() = does;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Issuer {
    fn get(&self, url: &str, most: usize) -> Answer<Result<Vec<u8>, String>> {
        assert_eq!((url, most), ("https://auth.example/keys", 256 << 10));
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.does.lock().clone() {
            Does::Answer(text) => Answer::later(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(text.into_bytes())
            }),
            Does::Fail => Answer::Now(Err("unreachable".into())),
            Does::Hang => Answer::later(std::future::pending()),
        }
    }
}

/// A public key of the test data as a member of a list.
fn jwk(kind: &str, more: Value) -> Value {
    let all: Value = serde_json::from_str(include_str!("../jwt/testdata/public.jwk.json")).unwrap();
    let mut key = all[kind].clone();
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

fn list(keys: &[Value]) -> Does {
    Does::Answer(json!({ "keys": keys }).to_string())
}

fn rsa(id: &str) -> Value {
    jwk("rsa", json!({"kid": id, "alg": "RS256", "use": "sig"}))
}

fn settings() -> JwtSettings {
    JwtSettings { jwks_url: Some("https://auth.example/keys".into()), ..JwtSettings::default() }
}

fn tokens(issuer: &Arc<Issuer>, settings: JwtSettings) -> Arc<Tokens> {
    let fetch: Arc<dyn Fetch> = Arc::clone(issuer) as _;
    Arc::new(Tokens::new(&AccessSettings::default(), &[settings], &fetch).unwrap())
}

/// A new token each time, so that none is remembered.
fn token(algorithm: Algorithm, id: Option<&str>) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let pem = |name: &str| std::fs::read(format!("src/access/jwt/testdata/{name}-private.pem")).unwrap();
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("ec")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed")).unwrap(),
        _ => EncodingKey::from_rsa_pem(&pem("rsa")).unwrap(),
    };
    let head = Header { kid: id.map(Into::into), ..Header::new(algorithm) };
    let claims = json!({"sub": "ann", "exp": NOW_S + 60, "n": COUNT.fetch_add(1, Ordering::SeqCst)});
    encode(&head, &claims, &key).unwrap()
}

async fn verify(tokens: &Arc<Tokens>, token: &str) -> Result<Arc<Identity>, Denial> {
    tokens.verify(token, NOW_S * 1000).await
}

fn unknown<T>() -> Result<T, Denial> {
    Err(Denial::NotAuthenticated("the token names a key that its issuer does not publish".into()))
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_for_many_and_kept() {
    let issuer = Issuer::new(list(&[rsa("one"), jwk("ec", json!({"kid": "two"})), jwk("ed", json!({"kid": "three"}))]));
    let tokens = tokens(&issuer, settings());
    let (one, two, three) = (
        token(Algorithm::RS256, Some("one")),
        token(Algorithm::ES256, Some("two")),
        token(Algorithm::EdDSA, Some("three")),
    );
    let all = tokio::join!(verify(&tokens, &one), verify(&tokens, &two), verify(&tokens, &three));
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok(), "{all:?}");
    assert!(verify(&tokens, &token(Algorithm::RS256, None)).await.is_ok(), "one that names no key");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_when_a_token_names_it_and_an_old_one_goes() {
    let issuer = Issuer::new(list(&[rsa("old")]));
    let tokens = tokens(&issuer, settings());
    let old = token(Algorithm::RS256, Some("old"));
    assert!(verify(&tokens, &old).await.is_ok());
    issuer.now(list(&[rsa("new")]));
    assert_eq!(
        verify(&tokens, &token(Algorithm::RS256, Some("new"))).await.err(),
        unknown::<()>().err(),
        "within the pause"
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(verify(&tokens, &token(Algorithm::RS256, Some("new"))).await.is_ok());
    assert_eq!(verify(&tokens, &old).await.err(), unknown::<()>().err(), "also one that was remembered");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn invented_key_names_cost_the_issuer_one_fetch_a_pause() {
    let issuer = Issuer::new(list(&[rsa("one")]));
    let tokens = tokens(&issuer, settings());
    for n in 0..100 {
        let invented = token(Algorithm::RS256, Some(&format!("x{n}")));
        assert_eq!(verify(&tokens, &invented).await.err(), unknown::<()>().err());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((3..=5).contains(&issuer.asked()), "{}", issuer.asked());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_costs_one_timeout_and_then_nothing() {
    let issuer = Issuer::new(Does::Hang);
    let tokens = tokens(&issuer, settings());
    let begun = Instant::now();
    let (one, two) = (token(Algorithm::RS256, Some("one")), token(Algorithm::RS256, Some("one")));
    let both = tokio::join!(verify(&tokens, &one), verify(&tokens, &two));
    assert_eq!((both.0.err(), both.1.err()), (Some(Denial::Unavailable), Some(Denial::Unavailable)));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(verify(&tokens, &one).await.err(), Some(Denial::Unavailable));
    assert_eq!((begun.elapsed(), issuer.asked()), (Duration::from_secs(5), 1));
    issuer.now(list(&[rsa("one")]));
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(verify(&tokens, &one).await.is_ok(), "it is asked again after the pause");
}

#[tokio::test(start_paused = true)]
async fn old_keys_serve_while_they_are_fetched_anew_and_as_long_as_they_are_kept() {
    let issuer = Issuer::new(list(&[rsa("one")]));
    let tokens = tokens(&issuer, settings());
    let one = || token(Algorithm::RS256, Some("one"));
    assert!(verify(&tokens, &one()).await.is_ok());
    issuer.now(Does::Fail);
    tokio::time::advance(Duration::from_secs(3600)).await;
    let begun = Instant::now();
    assert!(verify(&tokens, &one()).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for the fetch");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(issuer.asked(), 2, "but it is made");
    tokio::time::advance(Duration::from_secs(23 * 3600)).await;
    assert_eq!(verify(&tokens, &one()).await.err(), Some(Denial::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn keys_are_pinned_to_their_kind_and_their_own_algorithm() {
    let shared = json!({"kty": "oct", "k": "YSBzaGFyZWQgc2VjcmV0IG9mIDMyIGJ5dGVzIGhlcmU", "kid": "shared"});
    let issuer = Issuer::new(list(&[
        rsa("rs256"),
        jwk("rsa", json!({"kid": "enc", "use": "enc"})),
        jwk("rsa", json!({"kid": "oaep", "alg": "RSA-OAEP"})),
        shared,
        json!({"kty": "new kind", "kid": "x"}),
        json!("no key"),
    ]));
    let tokens = tokens(&issuer, settings());
    assert!(verify(&tokens, &token(Algorithm::RS256, Some("rs256"))).await.is_ok());
    for (algorithm, id) in [
        (Algorithm::PS256, "rs256"),
        (Algorithm::RS512, "rs256"),
        (Algorithm::ES256, "rs256"),
        (Algorithm::RS256, "enc"),
        (Algorithm::RS256, "oaep"),
        (Algorithm::RS256, "x"),
    ] {
        assert_eq!(
            verify(&tokens, &token(algorithm, Some(id))).await.err(),
            unknown::<()>().err(),
            "{algorithm:?} {id}"
        );
    }
    let hs = Header { kid: Some("shared".into()), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_secret(b"a shared secret of 32 bytes here");
    let forged = encode(&hs, &json!({"sub": "root", "exp": NOW_S + 60}), &secret).unwrap();
    assert_eq!(verify(&tokens, &forged).await.err(), unknown::<()>().err(), "a published secret is none");
}

#[test]
fn keys_come_over_https_and_from_listed_hosts() {
    let hosts = ["auth.example".to_owned()];
    assert_eq!(check_url("https://Auth.Example/keys", &hosts), Ok(()));
    assert_eq!(check_url("http://127.0.0.1:9/keys", &[]), Ok(()));
    assert_eq!(check_url("https://anything.example", &[]), Ok(()));
    for bad in [
        "https://evil.example/keys",
        "https://auth.example.evil.example/",
        "http://auth.example/keys",
        "https://user:secret@auth.example/",
        "file:///etc/passwd",
        "/keys",
    ] {
        assert!(check_url(bad, &hosts).is_err(), "{bad}");
    }
    assert!(check_url("http://127.evil.example.com.invalid/", &[]).is_err());
}
