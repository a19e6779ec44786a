//! Who is let in: pages by their origin, scripts by their page, programs.

use super::*;

type Pair = (&'static str, &'static str);

const HOST: Pair = ("host", "b.example:8080");
const LOCAL: Pair = ("host", "localhost:8080");

fn headers(pairs: &[Pair]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
}

fn judge(policy: &OriginPolicy, pairs: &[Pair]) -> Verdict {
    policy.judge(&headers(pairs))
}

fn listed(origins: &[&str]) -> OriginPolicy {
    OriginPolicy::Listed(origins.iter().map(|&o| o.into()).collect())
}

#[test]
fn only_listed_and_own_pages_get_in() {
    let list = listed(&["https://a.example"]);
    let from = |origin| judge(&list, &[HOST, ("origin", origin)]);
    assert!(matches!(from("https://a.example"), Verdict::Listed(_)));
    assert!(matches!(from("http://b.example:8080"), Verdict::Listed(_)));
    assert_eq!(from("https://a.example.evil.example"), Verdict::Denied);
    assert_eq!(from("null"), Verdict::Denied);
    assert_eq!(judge(&list, &[HOST]), Verdict::Nameless);
}

#[test]
fn scripts_and_old_forms_are_judged_by_their_page() {
    let list = listed(&["https://a.example"]);
    let of = |pair| judge(&list, &[HOST, pair]);
    assert!(matches!(of(("referer", "https://a.example/page?x")), Verdict::Listed(_)));
    assert_eq!(of(("referer", "http://b.example:8080/page")), Verdict::Own);
    assert_eq!(of(("referer", "https://evil.example/")), Verdict::Denied);
    assert_eq!(of(("sec-fetch-site", "cross-site")), Verdict::Denied);
    assert_eq!(of(("sec-fetch-site", "same-site")), Verdict::Denied);
    assert_eq!(of(("sec-fetch-site", "same-origin")), Verdict::Own);
    assert_eq!(of(("sec-fetch-site", "none")), Verdict::Nameless, "a link in a mail");
}

#[test]
fn a_script_of_nobody_knows_whom_is_not_answered() {
    let nameless = Verdict::Nameless;
    assert!(!listed(&[]).admits_script(&nameless));
    assert!(!listed(&["https://a.example"]).admits_script(&nameless));
    assert!(listed(&["*"]).admits_script(&nameless));
    assert!(listed(&[]).admits_script(&Verdict::Own));
    assert!(OriginPolicy::Any.admits_script(&judge(&OriginPolicy::Any, &[LOCAL])));
    assert!(!OriginPolicy::Any.admits_script(&judge(&OriginPolicy::Any, &[HOST])));
}

#[test]
fn an_open_server_is_open_to_all_pages_only_under_a_loopback_name() {
    let any = |host| judge(&OriginPolicy::Any, &[("host", host), ("origin", "https://evil.example")]);
    for local in ["localhost:1", "LOCALHOST", "app.localhost:1", "127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]"] {
        assert!(matches!(any(local), Verdict::Listed(_)), "{local}");
    }
    for other in ["b.example", "10.0.0.1:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"] {
        assert_eq!(any(other), Verdict::Denied, "{other}");
    }
}

#[test]
fn cookies_count_only_where_the_page_is_known_or_had_to_ask() {
    let json = headers(&[HOST, ("content-type", "application/json; charset=utf-8")]);
    let form = headers(&[HOST, ("content-type", "application/x-www-form-urlencoded")]);
    let text = headers(&[HOST, ("content-type", "text/plain")]);
    let socket = headers(&[HOST, ("sec-websocket-key", "x")]);
    assert!(Verdict::Own.trusts_cookies(&form));
    assert!(Verdict::Listed(HeaderValue::from_static("https://a.example")).trusts_cookies(&form));
    assert!(!Verdict::Anonymous.trusts_cookies(&json), "a star brings no credentials");
    assert!(Verdict::Nameless.trusts_cookies(&json) && Verdict::Nameless.trusts_cookies(&socket));
    for simple in [&form, &text, &headers(&[HOST])] {
        assert!(!Verdict::Nameless.trusts_cookies(simple));
    }
}

#[test]
fn a_star_lets_pages_in_without_credentials() {
    let verdict = judge(&listed(&["*"]), &[HOST, ("origin", "https://x.example")]);
    let mut headers = HeaderMap::new();
    verdict.apply_preflight(&mut headers);
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
}
