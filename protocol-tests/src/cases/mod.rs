//! The cases, one file a topic, in the order of the contract's sections.
//!
//! Each file opens with its table: id, what is expected, the sentence of the contract. Below stand the functions that
//! look. Never does a case depend on another, or on what it is run beside.

use crate::case::Case;

mod ack;
mod bodies;
mod browser;
mod callback_polling;
mod channels;
mod connect;
mod cors;
mod delivery;
mod disconnect;
mod erlycomet;
mod eventsource;
mod expect;
mod expiry;
mod extensions;
mod fidelity;
mod fields;
mod frames;
mod framing;
mod handshake;
mod iframe;
mod kept;
mod limits;
mod publish;
mod replay;
mod replies;
mod salesforce;
mod subscriptions;
mod switching;
mod unknown_session;
mod websocket;
mod wildcards;

/// Every case.
pub fn all() -> Vec<Case> {
    let by_topic = [
        framing::cases(),
        bodies::cases(),
        fields::cases(),
        fidelity::cases(),
        replies::cases(),
        handshake::cases(),
        connect::cases(),
        unknown_session::cases(),
        expiry::cases(),
        switching::cases(),
        browser::cases(),
        disconnect::cases(),
        channels::cases(),
        wildcards::cases(),
        subscriptions::cases(),
        publish::cases(),
        delivery::cases(),
        ack::cases(),
        replay::cases(),
        kept::cases(),
        extensions::cases(),
        salesforce::cases(),
        websocket::cases(),
        frames::cases(),
        callback_polling::cases(),
        eventsource::cases(),
        iframe::cases(),
        cors::cases(),
        limits::cases(),
        erlycomet::cases(),
    ];
    by_topic.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// What the project promises to check.
    const FEWEST_CASES: usize = 150;

    #[test]
    fn ids_are_unique_and_every_case_names_its_section() {
        let cases = all();
        let ids: HashSet<&str> = cases.iter().map(|case| case.id).collect();
        assert_eq!(ids.len(), cases.len());
        assert!(cases.len() >= FEWEST_CASES, "{}", cases.len());
        for case in &cases {
            assert!(case.contract.starts_with('§') || case.contract.starts_with("Golden rule:"), "{}", case.id);
            assert!(
                case.id.split_once('.').is_some() && !case.title.is_empty() && !case.transports.is_empty(),
                "{}",
                case.id
            );
        }
    }
}
