//! Shows that cases can fail: each is run against a small server that is right, where it must pass, and against the
//! same server with one flaw, where it must fail and say what it saw.
//!
//! A case that is named here and still passes against its flaw would be decoration. Never needs the broker.

#![expect(clippy::unwrap_used, reason = "a test support server may panic; the test then fails and says where")]

mod canned;

use canned::{Flaw, start};
use protocol_tests::{case::Case, cases, runner::run_one, transport::Transport};
use std::sync::Arc;

/// A flaw, the case that must notice it, and a part of what the case must say.
const SAMPLE: &[(Flaw, &str, &str)] = &[
    (Flaw::AcceptsAnyChannel, "channels.empty_middle", "not refused"),
    (Flaw::AcceptsMissingData, "publish.data_missing", "not refused"),
    (Flaw::AnswersGarbageWith500, "bodies.cut_off", "status 500 instead of 400"),
    (Flaw::BelievesAnyAck, "ack.strange_numbers", "after the number"),
    (Flaw::BodyEndsWithConnection, "framing.content_length", "framed as Close"),
    (Flaw::ClientIdInReplies, "replies.publish_fields", "unexpected fields [\"clientId\"]"),
    (Flaw::CopiesPublisherFields, "publish.hostile_fields_stay", "unexpected fields"),
    (Flaw::DeliversForEachSubscription, "wildcards.overlap_once", "[0, 0, 0, 0, 1"),
    (Flaw::DeliversWithAnyReply, "delivery.not_with_publish_reply", "beside the reply"),
    (Flaw::DropsBinaryMarker, "binary.travels", "ext arrived as"),
    (Flaw::DropsWhatNobodyPollsFor, "erlycomet.a_several_events_in_one_poll", "not 0..3 in order"),
    (Flaw::ErrorOutsideGrammar, "erlycomet.b_unknown_id_stays_unknown", "§2"),
    (Flaw::FirstConnectHeld, "connect.first_at_once", "the first connect took"),
    (Flaw::ForgetsSubscriptionInRefusal, "replies.subscription_on_failure", "came back"),
    (Flaw::ForgetsWhatWasSent, "ack.response_lost", "in order but"),
    (Flaw::ForgetsWhatWasSent, "ack.without_a_number", "not 0..2 in order"),
    (Flaw::HandshakeBesideOthers, "handshake.refused_before_others", "status 200"),
    (Flaw::HoldNotMeasured, "timesync.hold_is_measured", "and p is 0"),
    (Flaw::IdAsString, "replies.id_number", "0 replies with the id 12"),
    (Flaw::IgnoresUnsubscribe, "subscriptions.unsubscribe_stops", "must not"),
    (Flaw::KnowsWhoAsksTwice, "erlycomet.b_unknown_id_stays_unknown", "not refused"),
    (Flaw::NewestFirst, "delivery.all_with_one_connect", "[9, 8"),
    (Flaw::NoBodyLimit, "limits.body_over_limit", "status 200 instead of 413"),
    (Flaw::NoHold, "connect.second_held", "not held"),
    (Flaw::NullId, "replies.id_null", "a null in"),
    (Flaw::OlderConnectUnanswered, "erlycomet.f_first_of_two_connects_answered", "no answer"),
    (Flaw::OneBlank, "replay.invalid", "is not \"400::"),
    (Flaw::PublishesToPatterns, "wildcards.publish_one_level", "not refused"),
    (Flaw::PublishesTwice, "kept.publish_once", "not the same place"),
    (Flaw::ReformatsData, "fidelity.decimals", "arrived [1.1,"),
    (Flaw::RepliesFirst, "replies.messages_first", "not last"),
    (Flaw::SuccessfulAsString, "replies.successful_is_boolean", "\"false\""),
    (Flaw::UnboundedHold, "connect.bounded", "no answer"),
];

fn named(id: &str) -> Arc<Case> {
    Arc::new(cases::all().into_iter().find(|case| case.id == id).unwrap_or_else(|| panic!("no case {id}")))
}

/// All of the sample at once: what takes time in it is waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flaw_is_noticed_by_its_case_and_only_then() {
    let mut running = tokio::task::JoinSet::new();
    for &(flaw, id, wanted) in SAMPLE {
        running.spawn(async move {
            let sound = run_one(start(Flaw::None).await, &named(id), Transport::LongPolling).await;
            assert_eq!(sound, Ok(()), "{id} fails against a server without flaws");
            let broken = run_one(start(flaw).await, &named(id), Transport::LongPolling).await;
            let Err(seen) = broken else { panic!("{id} does not notice {flaw:?}") };
            assert!(seen.contains(wanted), "{id} notices {flaw:?} but says: {seen}");
        });
    }
    let mut failures = Vec::new();
    while let Some(done) = running.join_next().await {
        failures.extend(done.err().map(|panic| panic.to_string()));
    }
    assert!(failures.is_empty(), "{} of {} failed: {failures:#?}", failures.len(), SAMPLE.len());
}
