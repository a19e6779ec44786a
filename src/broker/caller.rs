//! Who sent a request, as far as the transport can tell. Built by transports for each request, read by the verbs.

use super::{
    browser::BrowserId,
    policy::{Asking, Credentials, Identity},
};
use crate::bayeux::{ClientId, ConnectionType};
use std::{net::IpAddr, sync::Arc};

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address it came from, when it came over a network.
    pub peer: Option<IpAddr>,
    /// The browser cookie it carried.
    pub browser: Option<BrowserId>,
    /// The transport it used.
    pub transport: ConnectionType,
    /// Whether many requests share its connection (HTTP/2): then tabs need not take turns.
    pub multiplexed: bool,
    /// The headers it carried that the policy wants to see.
    pub credentials: Option<Arc<Credentials>>,
}

impl Caller {
    /// The caller as somebody who asks the policy.
    pub(crate) fn asking(&self, who: Arc<Identity>, session: Option<ClientId>) -> Asking {
        Asking { who, session, peer: self.peer, credentials: self.credentials.clone() }
    }
}
