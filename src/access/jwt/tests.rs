//! Tokens as attackers make them, and as issuers do: each refusal has its reason, and nothing but the right key opens.

use super::*;
use crate::access::hidden::Hidden;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const SECRET: &str = "a secret of more than thirty-two bytes";
const NOW_S: u64 = 1_800_000_000;
const NOW_MS: u64 = NOW_S * 1000;

struct NoFetch;

impl Fetch for NoFetch {
    fn get(&self, url: &str, _: usize) -> Answer<Result<Vec<u8>, String>> {
        panic!("nothing is to be fetched here, but {url}")
    }
}

fn tokens(issuers: &[JwtSettings]) -> Arc<Tokens> {
    let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
    Arc::new(Tokens::new(&AccessSettings::default(), issuers, &fetch).unwrap())
}

fn issuer() -> JwtSettings {
    JwtSettings {
        issuer: "https://auth.example".into(),
        audience: vec!["bayeuxd".into(), "other".into()],
        secret: Some(Hidden::new(SECRET)),
        ..JwtSettings::default()
    }
}

fn claims() -> Value {
    json!({"iss": "https://auth.example", "aud": "bayeuxd", "sub": "ann", "jti": "t1", "exp": NOW_S + 60, "team": "red"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn signed_with(secret: &[u8], head: &Header, claims: &Value) -> String {
    encode(head, claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn signed(claims: &Value) -> String {
    signed_with(SECRET.as_bytes(), &Header::new(Algorithm::HS256), claims)
}

async fn verify(tokens: &Arc<Tokens>, token: &str) -> Result<Arc<Identity>, String> {
    tokens.verify(token, NOW_MS).await.map_err(|denial| match denial {
        Denial::NotAuthenticated(why) => why,
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn a_good_token_says_who_somebody_is_and_until_when() {
    let tokens = tokens(&[issuer()]);
    let who = verify(&tokens, &signed(&claims())).await.unwrap();
    assert_eq!((who.user.as_deref(), who.token.as_deref()), (Some("ann"), Some("t1")));
    assert_eq!(who.expires_ms, Some(NOW_MS + 60_000 + 30_000), "the leeway counts");
    assert_eq!(who.claims["team"], "red");
    let again = verify(&tokens, &signed(&claims())).await.unwrap();
    assert!(Arc::ptr_eq(&who, &again), "it is remembered");
    let later = tokens.verify(&signed(&claims()), NOW_MS + 90_000).await;
    assert!(later.is_err(), "but not for longer than it lasts");
}

#[tokio::test]
async fn every_claim_that_is_wrong_has_its_reason() {
    let tokens = tokens(&[issuer()]);
    for (claims, reason) in [
        (with("exp", json!(NOW_S - 30)), "the token has expired"),
        (without("exp"), "the token does not say when it expires"),
        (with("exp", json!("tomorrow")), "the token is malformed"),
        (with("exp", json!(-1)), "the token is malformed"),
        (with("nbf", json!(NOW_S + 31)), "the token is not valid yet"),
        (with("aud", json!("somebody else")), "the token is for another audience"),
        (with("aud", json!(["x", "y"])), "the token is for another audience"),
        (with("aud", json!(7)), "the token is for another audience"),
        (without("aud"), "the token is for another audience"),
        (with("iss", json!("https://evil.example")), "no issuer is known for the token"),
        (with("iss", json!(["https://auth.example"])), "no issuer is known for the token"),
        (without("iss"), "no issuer is known for the token"),
        (with("sub", json!("")), "the token names no user"),
        (with("sub", json!(7)), "the token names no user"),
        (without("sub"), "the token names no user"),
    ] {
        assert_eq!(verify(&tokens, &signed(&claims)).await.unwrap_err(), reason, "{claims}");
    }
    for good in [with("exp", json!(NOW_S - 29)), with("nbf", json!(NOW_S + 30)), with("aud", json!(["x", "other"]))] {
        assert!(verify(&tokens, &signed(&good)).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn an_entry_without_audience_refuses_tokens_for_somebody_else() {
    let tokens = tokens(&[JwtSettings { audience: Vec::new(), ..issuer() }]);
    assert!(verify(&tokens, &signed(&claims())).await.is_err());
    assert!(verify(&tokens, &signed(&without("aud"))).await.is_ok());
}

fn assembled(head: &str, claims: &Value, signature: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{signature}", part(head), part(&claims.to_string()))
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_verified() {
    let tokens = tokens(&[issuer()]);
    for head in [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"nOnE","typ":"JWT"}"#, r#"{"alg":""}"#] {
        for signature in ["", "AAAA"] {
            let token = assembled(head, &claims(), signature);
            assert_eq!(
                verify(&tokens, &token).await.unwrap_err(),
                "the algorithm of the token is not accepted",
                "{head}"
            );
        }
    }
    // The right secret, but another algorithm than the entry names.
    let other = signed_with(SECRET.as_bytes(), &Header::new(Algorithm::HS512), &claims());
    assert_eq!(verify(&tokens, &other).await.unwrap_err(), "the algorithm of the token is not accepted");
    let head = r#"{"alg":"HS256","crit":["exp"],"exp":1}"#;
    assert!(verify(&tokens, &assembled(head, &claims(), "AAAA")).await.unwrap_err().contains("not understood"));
}

#[tokio::test]
async fn tampering_is_seen() {
    let tokens = tokens(&[issuer()]);
    let token = signed(&claims());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let forged = URL_SAFE_NO_PAD.encode(with("sub", json!("root")).to_string());
    let wrong = "the signature of the token is wrong";
    assert_eq!(verify(&tokens, &format!("{head}.{forged}.{signature}")).await.unwrap_err(), wrong);
    assert_eq!(
        verify(&tokens, &signed_with(&[7; 32], &Header::new(Algorithm::HS256), &claims())).await.unwrap_err(),
        wrong
    );
    for broken in [
        String::new(),
        "..".into(),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{signature}.x"),
        format!("{head}.!!!.{signature}"),
        format!("%%.{body}.{signature}"),
        "\u{1f600}.\u{1f600}.\u{1f600}".into(),
    ] {
        assert!(verify(&tokens, &broken).await.is_err(), "{broken}");
    }
}

/// Made for these tests and used nowhere else.
const RSA_PRIVATE: &str = include_str!("testdata/rsa-private.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rsa-public.pem");
const EC_PRIVATE: &str = include_str!("testdata/ec-private.pem");
const EC_PUBLIC: &str = include_str!("testdata/ec-public.pem");
const ED_PRIVATE: &str = include_str!("testdata/ed-private.pem");
const ED_PUBLIC: &str = include_str!("testdata/ed-public.pem");

fn public(pem: &str, algorithms: &[Algorithm]) -> JwtSettings {
    let (public_key, algorithms) = (Some(pem.to_owned()), algorithms.to_vec());
    JwtSettings { secret: None, public_key, algorithms, ..issuer() }
}

fn by_pem(algorithm: Algorithm, pem: &str) -> String {
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem.as_bytes()),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_ed_pem(pem.as_bytes()),
    };
    encode(&Header::new(algorithm), &claims(), &key.unwrap()).unwrap()
}

#[tokio::test]
async fn every_family_of_keys_verifies_its_own_and_no_other() {
    let keys = [
        (Algorithm::RS256, RSA_PRIVATE, RSA_PUBLIC),
        (Algorithm::PS256, RSA_PRIVATE, RSA_PUBLIC),
        (Algorithm::ES256, EC_PRIVATE, EC_PUBLIC),
        (Algorithm::EdDSA, ED_PRIVATE, ED_PUBLIC),
    ];
    for (algorithm, private, _) in keys {
        let token = by_pem(algorithm, private);
        for (own, _, public_key) in keys {
            let verified = verify(&tokens(&[public(public_key, &[own])]), &token).await;
            assert_eq!(verified.is_ok(), algorithm == own, "{algorithm:?} by {own:?}: {verified:?}");
        }
        let both = tokens(&[issuer(), public(RSA_PUBLIC, &[Algorithm::RS256]), public(EC_PUBLIC, &[Algorithm::ES256])]);
        let known = matches!(algorithm, Algorithm::RS256 | Algorithm::ES256);
        assert_eq!(verify(&both, &token).await.is_ok(), known, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    for (pem, algorithm) in [(RSA_PUBLIC, Algorithm::RS256), (EC_PUBLIC, Algorithm::ES256)] {
        let tokens = tokens(&[public(pem, &[algorithm])]);
        for hs in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for secret in [pem.as_bytes(), pem.trim().as_bytes()] {
                let token = signed_with(secret, &Header::new(hs), &claims());
                assert_eq!(verify(&tokens, &token).await.unwrap_err(), "the algorithm of the token is not accepted");
            }
        }
    }
}

#[test]
fn secrets_are_long_and_say_nothing_of_themselves() {
    let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
    for bad in ["short", "base64:c2hvcnQ=", "base64:???"] {
        let settings = JwtSettings { secret: Some(Hidden::new(bad)), ..issuer() };
        let why = Tokens::new(&AccessSettings::default(), std::slice::from_ref(&settings), &fetch).err().unwrap();
        assert!(why.starts_with("jwt[0]: the secret") && !why.contains(bad), "{why}");
        assert!(!format!("{settings:?}").contains(bad), "{settings:?}");
    }
}

#[tokio::test]
async fn few_tokens_are_remembered() {
    let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
    let common = AccessSettings { max_remembered: 2, ..AccessSettings::default() };
    let tokens = Arc::new(Tokens::new(&common, &[issuer()], &fetch).unwrap());
    for n in 0..5 {
        verify(&tokens, &signed(&with("n", json!(n)))).await.unwrap();
        assert!(tokens.remembered.lock().len() <= 2);
    }
}
