//! One handshake and one connect before any case runs: is there a server, what does it offer, how long does it hold?
//!
//! Called by `main`. Never judges; a server that offers too little fails the handshake cases, not the probe.

use crate::{
    context::{Context, Server},
    peer::Peer,
    transport::Transport,
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// What the server said about itself.
#[derive(Debug)]
pub struct Probe {
    /// Its `supportedConnectionTypes`.
    pub offers: Vec<String>,
    /// Its `advice.timeout`.
    pub advertised_timeout: Duration,
}

/// What a server that advises nothing is taken to hold.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks the server.
pub async fn probe(server: &Server) -> Result<Probe> {
    let context = Context::new(Arc::new(server.clone()), Transport::LongPolling);
    let mut peer = Peer::attach(context, Transport::LongPolling, "", None).await.context("no server at this URL")?;
    let hello = peer.handshake_message();
    let greeting = peer.ask_one(hello).await.context("no handshake over long-polling")?;
    peer.client_id = greeting["clientId"].as_str().unwrap_or_default().to_owned();
    let turn = peer.connect(Some(json!({"timeout": 0}))).await.context("no connect over long-polling")?;
    let bye = peer.message("/meta/disconnect", json!({}));
    peer.ask_one(bye).await.context("no disconnect over long-polling")?;

    let advised = [&turn.reply()?["advice"]["timeout"], &greeting["advice"]["timeout"]];
    let advertised_timeout = advised.into_iter().find_map(Value::as_u64).map_or(USUAL_TIMEOUT, Duration::from_millis);
    let offers = greeting["supportedConnectionTypes"].as_array().into_iter().flatten();
    Ok(Probe { offers: offers.filter_map(Value::as_str).map(str::to_owned).collect(), advertised_timeout })
}
