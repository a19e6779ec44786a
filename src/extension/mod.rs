//! The Bayeux extensions, one file each. They implement `broker::Extension`; the server and programs that embed the
//! broker pick them. Nothing here knows a transport.

pub mod ack;
pub mod activity;
pub mod binary;
pub mod replay;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod timestamp;
pub mod timesync;

pub use ack::Ack;
pub use activity::Activity;
pub use binary::Binary;
pub use replay::Replay;
pub use settings::ExtensionSettings;
pub use timestamp::Timestamp;
pub use timesync::TimeSync;

use crate::broker::Extension;

/// The extensions that are on by default, in the order they take part. `salesforce` says where messages carry their
/// position.
pub fn all(salesforce: bool) -> Vec<Box<dyn Extension>> {
    chosen(&ExtensionSettings::default(), salesforce)
}

/// The extensions that these settings switch on.
pub fn chosen(settings: &ExtensionSettings, salesforce: bool) -> Vec<Box<dyn Extension>> {
    let mut all: Vec<Box<dyn Extension>> = vec![Box::new(Ack), Box::new(Replay { salesforce }), Box::new(Binary)];
    if settings.timesync {
        all.push(Box::new(TimeSync { accuracy: settings.timesync_accuracy }));
    }
    if settings.timestamp {
        all.push(Box::new(Timestamp));
    }
    if !settings.max_inactivity.is_zero() {
        all.push(Box::new(Activity { max_inactivity: settings.max_inactivity, counts: settings.activity }));
    }
    all
}
