//! Which channels and patterns are held by anybody, for those who want to hear when that changes.
//!
//! Owned by the events' recorder; exists only when somebody listens.

use crate::bayeux::ClientId;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Who holds what.
#[derive(Debug, Default)]
pub struct Occupancy(HashMap<Arc<str>, HashSet<ClientId>>);

impl Occupancy {
    /// Notes whether a session holds a channel. Tells whether the channel is held from now on, if that changed.
    pub fn set(&mut self, channel: &Arc<str>, session: ClientId, holds: bool) -> Option<bool> {
        if holds {
            let holders = self.0.entry(Arc::clone(channel)).or_default();
            return (holders.insert(session) && holders.len() == 1).then_some(true);
        }
        let holders = self.0.get_mut(channel)?;
        holders.remove(&session);
        if !holders.is_empty() {
            return None;
        }
        self.0.remove(channel);
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occupies_and_the_last_vacates_however_often_it_is_told() {
        let mut occupancy = Occupancy::default();
        let channel: Arc<str> = "/a".into();
        let mut set = |session: u128, holds: bool| occupancy.set(&channel, ClientId::from_bits(session), holds);
        assert_eq!(set(1, false), None);
        assert_eq!((set(1, true), set(1, true), set(2, true)), (Some(true), None, None));
        assert_eq!((set(1, false), set(1, false), set(2, false)), (None, None, Some(false)));
        assert_eq!((set(2, false), set(3, true)), (None, Some(true)));
        assert_eq!(set(3, false), Some(false));
        assert!(occupancy.0.is_empty());
    }
}
