//! What the suite knows about bytes: HTTP/1.1 by hand, WebSocket, event streams, and Bayeux messages as plain JSON.
//!
//! Called by `peer` and by cases that need to send what no decent client would. Never uses a type of the broker, and
//! never repairs what the server said: a broken answer must look broken to the case.

pub mod grammar;
pub mod http;
pub mod message;
pub mod request;
pub mod response;
pub mod socket;
pub mod sse;
pub mod url;
