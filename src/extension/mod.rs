//! The Bayeux extensions, one file each. They implement `broker::Extension`; the server and programs that embed the
//! broker pick them. Nothing here knows a transport.

pub mod ack;
pub mod replay;

pub use ack::Ack;
pub use replay::Replay;

use crate::broker::Extension;

/// All extensions there are, in the order they take part. `salesforce` says where messages carry their position.
pub fn all(salesforce: bool) -> Vec<Box<dyn Extension>> {
    vec![Box::new(Ack), Box::new(Replay { salesforce })]
}
