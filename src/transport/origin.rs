//! Which pages may talk to the broker: the Origin check of every request and the CORS headers of every answer.
//!
//! Asked by the endpoint before anything else. Requests without an origin come from programs, not pages, and pass.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// The rule for origins other than the server's own.
#[derive(Clone, Debug)]
pub enum OriginPolicy {
    /// Every page: a loopback server that is open to everyone anyway.
    Any,
    /// The pages of these origins; `*` in the list lets all pages in, but without credentials.
    Listed(Vec<String>),
}

/// What a request's origin may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No page is involved, or one of the server's own.
    Own,
    /// A page of another origin that is let in, with credentials.
    Listed(HeaderValue),
    /// Any page, without credentials.
    Anonymous,
    /// A page that is not let in.
    Denied,
}

/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_SECONDS: &str = "86400";
const ALLOWED_HEADERS: &str = "Accept, Authorization, Content-Type, Last-Event-ID, Pragma, X-Requested-With";
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl OriginPolicy {
    /// Judges a request. Scripts loaded by a `<script>` tag carry no `Origin`, so for GET the referring page counts.
    pub fn judge(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let named = headers.get(header::ORIGIN);
        let referrer = || headers.get(header::REFERER).and_then(|r| origin_of(r.to_str().ok()?));
        let origin = match named {
            Some(origin) => Some(origin.clone()),
            None if method == Method::GET => referrer(),
            None => None,
        };
        let Some(origin) = origin else { return self.judge_nameless(method, headers) };
        if is_own(&origin, headers) {
            return if named.is_some() { Verdict::Listed(origin) } else { Verdict::Own };
        }
        match self {
            Self::Any => Verdict::Listed(origin),
            Self::Listed(list) if list.iter().any(|o| o.as_bytes() == origin.as_bytes()) => Verdict::Listed(origin),
            Self::Listed(list) if list.iter().any(|o| o == "*") => Verdict::Anonymous,
            Self::Listed(_) => Verdict::Denied,
        }
    }

    /// No origin to go by: a program, unless a browser says that another site's page is behind it.
    fn judge_nameless(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let foreign = method == Method::GET
            && headers.get(&FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
        match self {
            Self::Listed(list) if foreign && !list.iter().any(|o| o == "*") => Verdict::Denied,
            _ => Verdict::Own,
        }
    }
}

impl Verdict {
    /// Adds what the answer must say about origins.
    pub fn apply(&self, headers: &mut HeaderMap) {
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        match self {
            Self::Own | Self::Denied => {}
            Self::Anonymous => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Listed(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
    }

    /// Adds what a preflight asks for, when the page is let in.
    pub fn apply_preflight(&self, headers: &mut HeaderMap) {
        self.apply(headers);
        if matches!(self, Self::Listed(_) | Self::Anonymous) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
        }
    }
}

/// Whether the page came from the host that the request names. The scheme is left out: TLS may end before us.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return false };
    origin
        .to_str()
        .ok()
        .and_then(|o| o.split_once("://"))
        .is_some_and(|(_, theirs)| !theirs.is_empty() && theirs.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
}

fn origin_of(url: &str) -> Option<HeaderValue> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    HeaderValue::from_str(&format!("{scheme}://{host}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(policy: &OriginPolicy, method: Method, pairs: &[(&'static str, &'static str)]) -> Verdict {
        let headers = pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect();
        policy.judge(&method, &headers)
    }

    const HOST: (&str, &str) = ("host", "b.example:8080");

    #[test]
    fn only_listed_and_own_pages_get_in() {
        let list = OriginPolicy::Listed(vec!["https://a.example".into()]);
        let post = |origin| judge(&list, Method::POST, &[HOST, ("origin", origin)]);
        assert!(matches!(post("https://a.example"), Verdict::Listed(_)));
        assert!(matches!(post("http://b.example:8080"), Verdict::Listed(_)));
        assert_eq!(post("https://a.example.evil.example"), Verdict::Denied);
        assert_eq!(post("null"), Verdict::Denied);
        assert_eq!(judge(&list, Method::POST, &[HOST]), Verdict::Own);
    }

    #[test]
    fn script_tags_are_judged_by_their_page() {
        let list = OriginPolicy::Listed(vec!["https://a.example".into()]);
        let get = |pairs: &[(&'static str, &'static str)]| judge(&list, Method::GET, pairs);
        assert!(matches!(get(&[HOST, ("referer", "https://a.example/page?x")]), Verdict::Listed(_)));
        assert_eq!(get(&[HOST, ("referer", "https://evil.example/")]), Verdict::Denied);
        assert_eq!(get(&[HOST, ("sec-fetch-site", "cross-site")]), Verdict::Denied);
        assert_eq!(get(&[HOST, ("sec-fetch-site", "same-origin")]), Verdict::Own);
        assert!(matches!(
            judge(&OriginPolicy::Any, Method::GET, &[HOST, ("referer", "https://evil.example/")]),
            Verdict::Listed(_)
        ));
    }

    #[test]
    fn a_star_lets_pages_in_without_credentials() {
        let any = OriginPolicy::Listed(vec!["*".into()]);
        let verdict = judge(&any, Method::POST, &[HOST, ("origin", "https://x.example")]);
        let mut headers = HeaderMap::new();
        verdict.apply_preflight(&mut headers);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
