//! Which pages may talk to the broker: the Origin check of every request and the CORS headers of every answer.
//!
//! Asked by the endpoint before anything else. Programs name no origin and pass; what a browser may
//! have sent for a page that nobody knows is given no credentials.

use http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority};
use std::net::IpAddr;

/// The rule for origins other than the server's own.
#[derive(Clone, Debug)]
pub enum OriginPolicy {
    /// Every page, as long as the request names a loopback host: a server for the person at this machine, that is open to
    /// everyone anyway. Behind a proxy the host is another, and then only the server's own pages get in.
    Any,
    /// The pages of these origins; `*` in the list lets all pages in, but without credentials.
    Listed(Vec<String>),
}

/// What a request's origin may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of the server's own pages, or a server for which it makes no difference.
    Own,
    /// Nothing says where it comes from: a program, or a browser that keeps it to itself.
    Nameless,
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
    /// Judges a request. Scripts loaded by a `<script>` tag and forms of old browsers carry no `Origin`: then the
    /// referring page counts, and then what the browser says of the page's site.
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        let named = headers.get(header::ORIGIN);
        let referrer = || headers.get(header::REFERER).and_then(|r| origin_of(r.to_str().ok()?));
        let Some(origin) = named.cloned().or_else(referrer) else { return self.judge_nameless(headers) };
        if is_own(&origin, headers) {
            return if named.is_some() { Verdict::Listed(origin) } else { Verdict::Own };
        }
        match self.list(headers) {
            None => Verdict::Listed(origin),
            Some(list) if list.iter().any(|o| o.as_bytes() == origin.as_bytes()) => Verdict::Listed(origin),
            Some(list) if has_star(list) => Verdict::Anonymous,
            Some(_) => Verdict::Denied,
        }
    }

    fn judge_nameless(&self, headers: &HeaderMap) -> Verdict {
        let Some(list) = self.list(headers) else { return Verdict::Own };
        match headers.get(&FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"same-origin") => Verdict::Own,
            Some(b"cross-site" | b"same-site") if has_star(list) => Verdict::Anonymous,
            Some(b"cross-site" | b"same-site") => Verdict::Denied,
            _ => Verdict::Nameless,
        }
    }

    /// Whether a script may be answered. Only pages load scripts, and they can read those of any site: so it must be
    /// known which page it is, unless all are let in.
    pub fn admits_script(&self, verdict: &Verdict) -> bool {
        match self {
            Self::Listed(list) if has_star(list) => true,
            _ => *verdict != Verdict::Nameless,
        }
    }

    /// The list that counts for this request; without one every page is let in.
    fn list(&self, headers: &HeaderMap) -> Option<&[String]> {
        match self {
            Self::Listed(list) => Some(list),
            Self::Any if names_loopback(headers) => None,
            Self::Any => Some(&[]),
        }
    }
}

fn has_star(list: &[String]) -> bool {
    list.iter().any(|o| o == "*")
}

impl Verdict {
    /// Whether cookies prove anything. A browser adds them to what any page makes it send: where it is not known which
    /// page that is, they count only with a request that no page sends to another site without asking first.
    pub fn trusts_cookies(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Own | Self::Listed(_) => true,
            Self::Anonymous | Self::Denied => false,
            // Every browser names the origin of a WebSocket.
            Self::Nameless => is_json(headers) || headers.contains_key(header::SEC_WEBSOCKET_KEY),
        }
    }

    /// Adds what the answer must say about origins.
    pub fn apply(&self, headers: &mut HeaderMap) {
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        match self {
            Self::Own | Self::Nameless | Self::Denied => {}
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

/// Whether the host that the request names can only be this machine.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let ip = host.parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether the body is of a type that pages cannot send to another site without asking.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

fn origin_of(url: &str) -> Option<HeaderValue> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    HeaderValue::from_str(&format!("{scheme}://{host}")).ok()
}

#[cfg(test)]
mod tests;
