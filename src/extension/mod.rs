//! The Bayeux extensions, one file each. They implement `broker::Extension`; the server and programs that embed the
//! broker pick them. Nothing here knows a transport.

pub mod ack;

pub use ack::Ack;

use crate::broker::Extension;

/// All extensions there are, in the order they take part.
pub fn all() -> Vec<Box<dyn Extension>> {
    vec![Box::new(Ack)]
}
